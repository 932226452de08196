"""The command that sets runs side by side: compare."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kenyan13.cli.app import app
from kenyan13.terminal import align, duration

if TYPE_CHECKING:
    from kenyan13.analysis.compare import Comparison, Figures, Run

WIDTH = 120  # of a terminal
FEW = 6  # runs that are columns; of more, each is a row
LONGEST = 24  # of a setting's text

Column = list[str]


@app.command(epilog="Examples:  kenyan13 compare runs/first runs/second      kenyan13 compare runs/efficientnet_b4_*")
def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN RUN...", help="Run directories, as in runs/GF*.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables; shares are 0..1.")] = False,
) -> None:
    """Set runs side by side: settings that differ, figures, and whether these differ by more than chance.

    Figures are of the epoch with the lowest validation loss. Each run is tested against the most accurate one on the
    validation images that both have predicted, by McNemar's exact test, with Holm's correction for several tests.
    """
    from kenyan13.analysis import compare as comparing
    from kenyan13.analysis import compare_text as comparison_text

    found, left_out = comparing.read_runs(runs)
    comparisons = comparing.compare(found)
    said = [*comparison_text.origins(found), *comparison_text.remarks(found, left_out, comparisons)]
    concluded = comparison_text.conclusion(comparisons)
    if as_json:
        print(json.dumps(as_plain(found, comparisons, said, concluded), indent=2, ensure_ascii=False))
        return
    parts = few(found) if len(found) <= FEW else many(found)
    parts += [test_table(comparisons), "\n".join(said), "\n".join(concluded)]
    print("\n\n".join(filter(None, parts)))


def few(runs: Sequence["Run"]) -> list[str]:
    """Return the names of the runs, and settings and figures as rows with a column a run."""
    from kenyan13.analysis.compare import differing_settings
    from kenyan13.analysis.compare_text import letter

    names = align([(letter(place), str(run.folder)) for place, run in enumerate(runs)])
    settings = [[key, *map(setting, values)] for key, values in differing_settings(runs).items()]
    cells = [figure_cells(run.figures) for run in runs]
    figures = [[key, *(column[key] for column in cells)] for key in cells[0]]
    rows = [
        ["", *(letter(place) for place in range(len(runs)))],
        *settings,
        *([[""] * (len(runs) + 1)] if settings else []),
        *figures,
    ]
    return [names, *blocks([list(column) for column in zip(*rows, strict=True)])]


def many(runs: Sequence["Run"]) -> list[str]:
    """Return the runs as rows: their settings and figures as columns, or in a line where all have the same."""
    from kenyan13.analysis.compare import differing_settings
    from kenyan13.analysis.compare_text import letter

    names = ["", *(letter(place) for place in range(len(runs)))]
    settings = [[key, *map(setting, values)] for key, values in differing_settings(runs).items()]
    cells = [figure_cells(run.figures) for run in runs]
    columns = {key: [column[key] for column in cells] for key in cells[0]}
    same = [f"{key} {column[0]}" for key, column in columns.items() if len(set(column)) == 1]
    figures = [[SHORT.get(key, key), *column] for key, column in columns.items() if len(set(column)) > 1]
    folders = ["run", *(str(run.folder) for run in runs)]
    return [
        *blocks([names, folders, *settings], keys=2),
        *blocks([names, *figures]),
        f"The same in all: {'; '.join(same)}." if same else "",
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


def figure_cells(figures: "Figures") -> dict[str, str]:
    """Return a run's figures as texts, by their names."""
    low, high = figures.accuracy_low, figures.accuracy_high
    return {
        "lowest validation loss": number(figures.min_val_loss, 4),
        "in epoch": "-" if figures.best_epoch is None else f"{figures.best_epoch} of {figures.epochs}",
        "accuracy there, %": number(figures.accuracy, 2, 100),
        "95 % interval": "-" if low is None or high is None else f"{100 * low:.1f}-{100 * high:.1f}",
        "images": number(figures.images),
        "macro F1": number(figures.macro_f1, 3),
        "top-2 accuracy, %": number(figures.top2_accuracy, 2, 100),
        "calibration error": number(figures.calibration_error, 3),
        "sum of losses": number(figures.auc_loss, 2),
        "overfitting per epoch": number(figures.overfitting, 3),
        "training time": "-" if figures.seconds is None else duration(figures.seconds),
        "parameters": number(figures.parameters),
        "that train": number(figures.trainable_parameters),
    }


def number(value: float | None, digits: int = 0, factor: float = 1) -> str:
    """Return a number's text, times a factor; a dash for None."""
    return "-" if value is None else f"{factor * value:,.{digits}f}"


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
    runs: Sequence["Run"], comparisons: Sequence["Comparison"], said: Sequence[str], concluded: Sequence[str]
) -> dict[str, Any]:
    """Return the comparison as plain values, fit for JSON."""
    from kenyan13.analysis.compare import differing_settings

    settings = differing_settings(runs)
    tests = [
        {
            "run": str(runs[one.run].folder), "against": str(runs[one.against].folder),
            **{key: value for key, value in asdict(one).items() if key not in ("run", "against")},
        }
        for one in comparisons
    ]  # fmt: skip
    return {
        "runs": [
            {
                "run": str(run.folder), "state": run.state.value,
                "settings": {key: values[place] for key, values in settings.items()}, **asdict(run.figures),
            }
            for place, run in enumerate(runs)
        ],
        "tests": tests,
        "remarks": list(said),
        "conclusion": " ".join(concluded),
    }  # fmt: skip
