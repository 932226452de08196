"""The command that sets runs side by side: compare."""

import json
import textwrap
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kenyan13.cli.app import Runs, app, console, examples
from kenyan13.terminal import WIDTH, align, fit

if TYPE_CHECKING:
    from kenyan13.analysis.compare import Comparison

LONGEST = 24  # of a setting's text


@app.command(epilog=examples("compare runs/first runs/second", "compare runs/efficientnet_b4_*"))
def compare(
    runs: Runs,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Compare runs: settings, metrics, and tests of chance.

    Runs are listed by accuracy, the highest first, not in the order given. Metrics are of the epoch with the lowest
    validation loss; shares are 0..1. Each run is tested against the most accurate one on the validation images that
    both have predicted, by McNemar's exact test, with Holm's correction for several tests.
    """
    from kenyan13.analysis import compare as comparing
    from kenyan13.runs.run import differing_settings

    found, left_out = comparing.read_runs(runs)
    comparisons = comparing.compare(found)
    remarks = [*comparing.other_origins(found), *comparing.remarks(found, left_out, comparisons)]
    concluded = comparing.conclusion(comparisons)
    names, settings = [str(run.folder) for run in found], differing_settings(found)
    listed = [
        {"run": names[k], "state": run.state.value, "settings": {key: settings[key][k] for key in settings}}
        | asdict(run.summary) for k, run in enumerate(found)
    ]  # fmt: skip
    if as_json:
        tests = [{**asdict(one), "run": names[one.run], "against": names[one.against]} for one in comparisons]
        whole = {"runs": listed, "tests": tests, "remarks": remarks, "conclusion": " ".join(concluded)}
        print(json.dumps(whole, indent=2, ensure_ascii=False))
        return
    texts = [align([(comparing.letter(k), name) for k, name in enumerate(names)]), run_table(listed)]
    sentences = [
        textwrap.fill(one, WIDTH, break_long_words=False, break_on_hyphens=False) for one in remarks + concluded
    ]
    console.print("\n\n".join(filter(None, [*texts, test_table(comparisons), "\n".join(sentences)])))


def run_table(listed: Sequence[dict[str, Any]]) -> str:
    """Return settings and metrics as rows with a column a run, broken to a terminal's width."""
    import pandas as pd

    from kenyan13.analysis.compare import letter
    from kenyan13.runs.run import value_text

    columns = {}
    for k, one in enumerate(listed):
        texts = {key: fit(value_text(value), LONGEST) for key, value in one["settings"].items()}
        for key in [key for key in one if key not in ("run", "settings")]:
            value = one[key]
            shown = f"{value:,.4f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else value
            texts[key.replace("_", " ")] = shown or "-"
        columns[letter(k)] = texts
    return str(pd.DataFrame(columns).to_string(line_width=WIDTH))


def test_table(comparisons: Sequence["Comparison"]) -> str:
    """Return the tests as a table; "" where there are none."""
    import pandas as pd

    from kenyan13.analysis.compare import letter

    rows = [
        {"McNemar's test": f"{letter(one.run)} and {letter(one.against)}", "images": one.images,
         "only it right": one.only_run, "only the other": one.only_against, "p": one.p, "p corrected": one.corrected}
        for one in comparisons if one.p is not None
    ]  # fmt: skip
    return str(pd.DataFrame(rows).to_string(index=False, float_format="{:.3g}".format)) if rows else ""
