"""The command that sets runs side by side: compare."""

import json
import textwrap
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kenyan13.cli.app import Runs, app
from kenyan13.terminal import align, duration

if TYPE_CHECKING:
    from kenyan13.analysis.compare import Comparison
    from kenyan13.analysis.run_metrics import RunMetrics
    from kenyan13.runs.run import Run

WIDTH = 80  # of a terminal
FEW = 6  # runs that are columns; of more, each is a row
LONGEST = 24  # of a setting's text

Column = list[str]


@app.command(epilog="Examples:  kenyan13 compare runs/first runs/second      kenyan13 compare runs/efficientnet_b4_*")
def compare(
    runs: Runs,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables; shares are 0..1.")] = False,
) -> None:
    """Set runs side by side: settings that differ, metrics, and whether these differ by more than chance.

    Metrics are of the epoch with the lowest validation loss. Each run is tested against the most accurate one on the
    validation images that both have predicted, by McNemar's exact test, with Holm's correction for several tests.
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
    parts = few(found) if len(found) <= FEW else many(found)
    parts += [test_table(comparisons), fill(remarks), fill(concluded)]
    print("\n\n".join(filter(None, parts)))


def fill(sentences: Sequence[str]) -> str:
    """Return sentences as lines of a terminal's width, each beginning a line."""
    return "\n".join(textwrap.fill(one, WIDTH, break_long_words=False, break_on_hyphens=False) for one in sentences)


def rows_of(runs: Sequence["Run"]) -> tuple[list[str], list[list[str]], dict[str, list[str]]]:
    """Return the runs' letters, the settings that differ as rows (name, a text a run), and the metrics by name."""
    from kenyan13.analysis.compare_text import letter
    from kenyan13.analysis.run_metrics import measure
    from kenyan13.runs.run import differing_settings

    settings = [[key, *map(setting, values)] for key, values in differing_settings(runs).items()]
    cells = [metric_cells(measure(run)) for run in runs]
    return [letter(k) for k in range(len(runs))], settings, {key: [one[key] for one in cells] for key in cells[0]}


def few(runs: Sequence["Run"]) -> list[str]:
    """Return the names of the runs, and settings and metrics as rows with a column a run."""
    letters, settings, metrics = rows_of(runs)
    names = align([(name, str(run.folder)) for name, run in zip(letters, runs, strict=True)])
    gap = [[""] * (len(runs) + 1)] if settings else []
    rows = [["", *letters], *settings, *gap, *([key, *texts] for key, texts in metrics.items())]
    return [names, *blocks([list(column) for column in zip(*rows, strict=True)])]


def many(runs: Sequence["Run"]) -> list[str]:
    """Return the runs as rows: their settings and metrics as columns, or in a line where all have the same."""
    letters, settings, metrics = rows_of(runs)
    same = [f"{key} {texts[0]}" for key, texts in metrics.items() if len(set(texts)) == 1]
    columns = [[SHORT.get(key, key), *texts] for key, texts in metrics.items() if len(set(texts)) > 1]
    names = align([(name, str(run.folder)) for name, run in zip(letters, runs, strict=True)])
    return [
        names,
        *(blocks([["", *letters], *settings]) if settings else []),
        *blocks([["", *letters], *columns]),
        fill([f"The same in all: {'; '.join(same)}."]) if same else "",
    ]


SHORT = {
    "lowest validation loss": "loss",
    "in epoch": "epoch",
    "accuracy there, %": "accuracy %",
    "top-2 accuracy, %": "top-2 %",
    "calibration error": "calibration",
    "overfitting per epoch": "overfitting",
    "training time": "time",
}


def metric_cells(metrics: "RunMetrics") -> dict[str, str]:
    """Return a run's metrics as texts, by their names."""
    low, high = metrics.accuracy_low, metrics.accuracy_high
    return {
        "lowest validation loss": number(metrics.min_val_loss, 4),
        "in epoch": "-" if metrics.best_epoch is None else f"{metrics.best_epoch} of {metrics.epochs}",
        "accuracy there, %": number(metrics.accuracy, 2, 100),
        "95 % interval": "-" if low is None or high is None else f"{100 * low:.1f}-{100 * high:.1f}",
        "images": number(metrics.images),
        "macro F1": number(metrics.macro_f1, 3),
        "top-2 accuracy, %": number(metrics.top2_accuracy, 2, 100),
        "calibration error": number(metrics.calibration_error, 3),
        "sum of losses": number(metrics.auc_loss, 2),
        "overfitting per epoch": number(metrics.overfitting, 3),
        "training time": "-" if metrics.seconds is None else duration(metrics.seconds),
        "parameters": number(metrics.parameters),
        "that train": number(metrics.trainable_parameters),
    }


def number(value: float | None, decimals: int = 0, factor: float = 1) -> str:
    """Return a number's text, times a factor; a dash for None."""
    return "-" if value is None else f"{factor * value:,.{decimals}f}"


def setting(value: Any) -> str:
    """Return a setting's value as it is written on the command line; the end of a long one."""
    if isinstance(value, float):
        return f"{value:g}"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST else "..." + text[3 - LONGEST :]


def test_table(comparisons: Sequence["Comparison"]) -> str:
    """Return the tests as a table; "" where there are none."""
    from kenyan13.analysis.compare_text import letter

    tested = [one for one in comparisons if one.p is not None]
    if not tested:
        return ""
    against = letter(tested[0].against)
    head = ["McNemar's test", "images", "only it right", f"only {against} right", "p", "p corrected"]
    rows = [
        [
            f"{letter(one.run)} and {against}", f"{one.images:,}", str(one.only_run), str(one.only_against),
            small(one.p), small(one.corrected),
        ]
        for one in tested
    ]  # fmt: skip
    width = len(head) if len(tested) > 1 else len(head) - 1
    return align([row[:width] for row in (head, *rows)], right=range(1, width))


def small(p: float | None) -> str:
    """Return a p-value for a table."""
    return "-" if p is None else "<0.001" if p < 0.001 else f"{p:.3f}"


def blocks(columns: Sequence[Column], keys: int = 1) -> list[str]:
    """Return columns as tables no wider than a terminal, each with the first `keys` columns; numbers flush right."""
    tables, chosen = [], list(columns[:keys])

    def width(some: Sequence[Column]) -> int:
        return sum(max(map(len, column)) + 2 for column in some) - 2

    def table() -> str:
        return align(list(zip(*chosen, strict=True)), right=range(keys, len(chosen)))

    for column in columns[keys:]:
        if len(chosen) > keys and width([*chosen, column]) > WIDTH:
            tables.append(table())
            chosen = list(columns[:keys])
        chosen.append(column)
    return [*tables, table()]


def as_plain(
    runs: Sequence["Run"], comparisons: Sequence["Comparison"], remarks: Sequence[str], concluded: Sequence[str]
) -> dict[str, Any]:
    """Return the comparison as plain values, fit for JSON."""
    from kenyan13.analysis.run_metrics import measure
    from kenyan13.runs.run import differing_settings

    settings = differing_settings(runs)
    return {
        "runs": [
            {
                "run": str(run.folder), "state": run.state.value,
                "settings": {key: values[k] for key, values in settings.items()}, **asdict(measure(run)),
            }
            for k, run in enumerate(runs)
        ],
        "tests": [
            {**asdict(one), "run": str(runs[one.run].folder), "against": str(runs[one.against].folder)}
            for one in comparisons
        ],
        "remarks": list(remarks),
        "conclusion": " ".join(concluded),
    }  # fmt: skip
