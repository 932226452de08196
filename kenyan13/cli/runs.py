"""Commands for one finished run: evaluate and predict."""

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from kenyan13.cli.app import RunFolder, app, console
from kenyan13.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from kenyan13.training.inference import Run

SETTING = re.compile(r"(data|trainer|model)\.\w+=")


@app.command(epilog="Example:  kenyan13 evaluate runs/demo")
def evaluate(
    run: RunFolder,
    overrides: Annotated[
        list[str] | None, typer.Argument(help="Settings to change, as in data.root=DIR where the images were moved.")
    ] = None,
) -> None:
    """Compute a run's validation figures again from its best checkpoint, and compare them with result.json."""
    from kenyan13.runs.result import read_result
    from kenyan13.training import inference

    opened = inference.open_run(run, overrides or [])
    figures = inference.evaluate(opened)
    result = read_result(run)
    recorded = {} if result is None else {
        "loss": result.min_val_loss, "accuracy": result.accuracy, "macro_f1": result.macro_f1
    }  # fmt: skip
    table = Table("", "now", "result.json", box=None, padding=(0, 2, 0, 0))
    for name, value in figures.items():
        table.add_row(name, f"{value:.6f}", f"{recorded[name]:.6f}" if recorded else "-")
    console.print(table)
    if not recorded:
        console.print("The run has not finished: there is no result.json to compare with.")
        return
    # Another device or number of threads adds in another order; the same machine gives the same bits.
    agrees = all(abs(figures[name] - value) <= 1e-3 * max(1.0, abs(value)) for name, value in recorded.items())
    console.print("Both agree." if agrees else "They differ: other images, another device, or changed files.")
    if not agrees:
        raise typer.Exit(1)


@app.command(epilog="Examples:  kenyan13 predict runs/demo photo.jpg holiday/      kenyan13 predict runs/demo --test")
def predict(
    run: RunFolder,
    places: Annotated[
        list[str] | None,
        typer.Argument(metavar="[IMAGE|FOLDER]...", help="Photos, folders of photos, and settings: data.root=DIR."),
    ] = None,
    test: Annotated[
        bool, typer.Option("--test", help="Predict the data set's test images and write submission.csv.")
    ] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Where --test writes; by default RUN/submission.csv.")
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="How many classes to print for each image.")] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Print the most probable classes of photos, or with --test write a submission for the test images."""
    overrides = [place for place in places or [] if SETTING.match(place)]
    images = [Path(place) for place in places or [] if not SETTING.match(place)]
    if bool(images) == test:
        raise UserError("Give either photos (or folders of photos), or --test.", "see kenyan13 predict --help")
    if (test and as_json) or (output and not test):
        raise UserError("--test goes with --output, photos go with --json.", "see kenyan13 predict --help")
    from kenyan13.training import inference

    opened = inference.open_run(run, overrides)
    if test:
        predict_test(opened, output or run / "submission.csv")
    else:
        print_predictions(opened, images, top, as_json)


def predict_test(run: "Run", file: Path) -> None:
    """Write `id,class` in the order of the test images, and predictions_test.csv with all probabilities beside it."""
    import numpy as np

    from kenyan13.runs.predictions import write_submission, write_test_predictions
    from kenyan13.training import inference

    test = inference.test_images(run)
    probabilities, bad = inference.predict(run, test.paths)
    rows = [row for row in range(len(test)) if row not in bad]
    names = np.array(run.classes)[probabilities[rows].argmax(axis=1)]
    ids = [test.ids[row] for row in rows]
    write_submission(file, ids, names)
    write_test_predictions(file.parent, ids, run.classes, probabilities[rows])
    console.print(f"{len(rows):,} test images predicted: {file}")
    if bad:
        console.print(f"{len(bad):,} images could not be read and are left out: a competition may refuse the file.")


def print_predictions(run: "Run", places: list[Path], top: int, as_json: bool) -> None:
    """Print the top classes of each image, as a table or as JSON."""
    from kenyan13.training import inference

    paths = inference.find_images(places)
    probabilities, bad = inference.predict(run, paths)
    best = (-probabilities).argsort(axis=1, kind="stable")[:, : min(top, len(run.classes))]
    if as_json:
        answer = [
            {"image": str(path), "error": bad[row]}
            if row in bad
            else {
                "image": str(path),
                "classes": [{"class": run.classes[k], "probability": float(probabilities[row, k])} for k in best[row]],
            }
            for row, path in enumerate(paths)
        ]
        print(json.dumps(answer, indent=2, ensure_ascii=False))
    else:
        print_table(run, paths, probabilities, best, bad)
    if len(bad) == len(paths):
        raise typer.Exit(1)


def print_table(
    run: "Run", paths: list[Path], probabilities: "NDArray[np.float32]", best: "NDArray[np.int64]", bad: dict[int, str]
) -> None:
    """Print a line an image: its path and its top classes, aligned."""
    width = max(len(str(path)) for path in paths)
    widest = max(len(name) for name in run.classes)
    for row, path in enumerate(paths):
        cells = [f"{run.classes[k]:<{widest}} {probabilities[row, k]:6.1%}" for k in best[row]]
        print(f"{path!s:<{width}}  " + (f"not read: {bad[row]}" if row in bad else "   ".join(cells)))
