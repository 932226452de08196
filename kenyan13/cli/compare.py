"""The command that sets runs side by side: compare."""

import json
import textwrap
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kenyan13.cli.app import Runs, app, console, examples
from kenyan13.terminal import WIDTH, align, duration, fit, number, visible

if TYPE_CHECKING:
    from kenyan13.analysis.compare import Comparison
    from kenyan13.analysis.run_metrics import RunMetrics
    from kenyan13.runs.run import Run

LONGEST = 24  # of a setting's text


@app.command(epilog=examples("compare runs/first runs/second", "compare runs/efficientnet_b4_*"))
def compare(
    runs: Runs,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables; shares are 0..1.")] = False,
) -> None:
    """Compare runs: settings, metrics, and tests of chance.

    Runs are listed by accuracy, the highest first, not in the order given. Metrics are of the epoch with the lowest
    validation loss. Each run is tested against the most accurate one on the validation images that both have
    predicted, by McNemar's exact test, with Holm's correction for several tests.
    """
    from kenyan13.analysis import compare as comparing
    from kenyan13.analysis import compare_text

    found, left_out = comparing.read_runs(runs)
    comparisons = comparing.compare(found)
    remarks = [*compare_text.origins(found), *compare_text.remarks(found, left_out, comparisons)]
    concluded = compare_text.conclusion(comparisons)
    if as_json:
        print(json.dumps(as_plain(found, comparisons, remarks, concluded), indent=2, ensure_ascii=False))
        return
    for k, run in enumerate(found):
        print(f"{compare_text.letter(k)}  {visible(str(run.folder))}")
    for text in filter(None, (columns(found), test_table(comparisons), fill(remarks), fill(concluded))):
        console.print(f"\n{text}")


def fill(sentences: Sequence[str]) -> str:
    """Return sentences as lines of a terminal's width, each beginning a line."""
    return "\n".join(textwrap.fill(one, WIDTH, break_long_words=False, break_on_hyphens=False) for one in sentences)


def columns(runs: Sequence["Run"]) -> str:
    """Return the settings that differ and the metrics as rows with a column a run, broken to a terminal's width."""
    import pandas as pd

    from kenyan13.analysis.compare_text import letter
    from kenyan13.analysis.run_metrics import measure
    from kenyan13.runs.run import differing_settings, value_text

    settings = pd.DataFrame(differing_settings(runs)).map(lambda value: fit(value_text(value), LONGEST))
    table = settings.join(pd.DataFrame([metric_cells(measure(run)) for run in runs]), how="right")
    return str(table.set_axis([letter(k) for k in range(len(runs))]).T.to_string(line_width=WIDTH))


def metric_cells(metrics: "RunMetrics") -> dict[str, str]:
    """Return a run's metrics as texts, by their names."""
    low, high = metrics.accuracy_low, metrics.accuracy_high
    return {
        "validation loss": number(metrics.min_val_loss, 4),
        "in epoch": "-" if metrics.best_epoch is None else f"{metrics.best_epoch} of {metrics.epochs}",
        "accuracy there, %": number(metrics.accuracy, 2, 100),
        "95 % interval": "-" if low is None or high is None else f"{100 * low:.1f}-{100 * high:.1f}",
        "images": number(metrics.images),
        "macro F1": number(metrics.macro_f1, 3),
        "top-2 accuracy, %": number(metrics.top2_accuracy, 2, 100),
        "calibration error": number(metrics.calibration_error, 3),
        "AUC loss": number(metrics.auc_loss, 2),
        "overfitting per epoch": number(metrics.overfitting, 3),
        "training time": "-" if metrics.seconds is None else duration(metrics.seconds),
        "parameters": number(metrics.parameters),
        "that train": number(metrics.trainable_parameters),
    }


def test_table(comparisons: Sequence["Comparison"]) -> str:
    """Return the tests as a table; "" where there are none."""
    from kenyan13.analysis.compare_text import letter

    tested = [one for one in comparisons if one.p is not None]
    if not tested:
        return ""
    against = letter(tested[0].against)
    rows = [["McNemar's test", "images", "only it right", f"only {against} right", "p", "p corrected"]]
    for one in tested:
        counts = f"{one.images:,}", str(one.only_run), str(one.only_against)
        rows.append([f"{letter(one.run)} and {against}", *counts, small(one.p), small(one.corrected)])
    width = 6 if len(tested) > 1 else 5  # one test needs no correction
    return align([row[:width] for row in rows], right=range(1, width))


def small(p: float | None) -> str:
    """Return a p-value for a table."""
    return "-" if p is None else "<0.001" if p < 0.001 else f"{p:.3f}"


def as_plain(
    runs: Sequence["Run"], comparisons: Sequence["Comparison"], remarks: Sequence[str], concluded: Sequence[str]
) -> dict[str, Any]:
    """Return the comparison as plain values, fit for JSON."""
    from kenyan13.analysis.run_metrics import measure
    from kenyan13.runs.run import differing_settings

    listed, settings, names = [], differing_settings(runs), [str(run.folder) for run in runs]
    for k, run in enumerate(runs):
        own = {key: values[k] for key, values in settings.items()}
        listed.append({"run": names[k], "state": run.state.value, "settings": own, **asdict(measure(run))})
    tests = [{**asdict(one), "run": names[one.run], "against": names[one.against]} for one in comparisons]
    return {"runs": listed, "tests": tests, "remarks": list(remarks), "conclusion": " ".join(concluded)}
