"""The command that predicts: photos by hand, or the test images of a run's data set."""

import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kenyan13.cli.app import RunFolder, app, console, examples
from kenyan13.cli.runs import open_run
from kenyan13.errors import UserError
from kenyan13.runs.directory import CONFIG, replacing
from kenyan13.terminal import WIDTH, fit, print_note, visible

if TYPE_CHECKING:
    from kenyan13.training.composed import AnyRun

SETTING = re.compile(r"(data|trainer|model)\.\w+=")


@app.command(
    epilog=examples(
        "predict runs/demo PHOTO.jpg holiday/", "predict runs/demo holiday/ -o it.csv", "predict runs/demo --test"
    )
)
def predict(
    run: RunFolder,
    given: Annotated[
        list[str] | None,
        typer.Argument(metavar="IMAGE|FOLDER", help="Photos, folders of photos, and settings: data.root=DIR."),
    ] = None,
    test: Annotated[
        bool, typer.Option("--test", help="Predict the data set's test images and write submission.csv.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="A .csv or .json file instead of a table; of --test, RUN/submission.csv."),
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="How many classes to print for each image.")] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Predict photos, or with --test the test images. Photos that cannot be read are named; the exit code is then 1."""
    overrides = [one for one in given or [] if SETTING.match(one)]
    images = [Path(one) for one in given or [] if not SETTING.match(one)]
    if run.is_file() or bool(images) == test:
        problem = "Photos and --test do not go together." if test else "Photos, or folders of photos, are missing."
        if not (run / CONFIG).is_file():
            problem = f"{run} is no run directory, which comes first."
        raise UserError(problem, "kenyan13 predict RUN PHOTO.jpg...", "for test images: kenyan13 predict RUN --test")
    if test and as_json:
        raise UserError("--test goes with --output, photos go with --json.", "see kenyan13 predict --help")
    if output and not test and (output.suffix.lower() not in (".csv", ".json") or output.is_dir()):
        raise UserError(f"{output} is no name of a CSV or JSON file.", "as in --output predictions.csv")
    if test:
        predict_test(open_run(run, overrides), output or run / "submission.csv")
    else:
        predict_photos(open_run(run, ["data.on_bad=skip", *overrides]), images, top, as_json, output)


def predict_test(run: "AnyRun", file: Path) -> None:
    """Write `id,class` in the order of the test images, and predictions_test.csv with all probabilities beside it."""
    from kenyan13.runs.directory import TEST
    from kenyan13.runs.predictions import predicted_of, write_predictions, write_submission
    from kenyan13.training import composed, inference

    table, bad = composed.predict_catalogue(run, inference.test_images(run))
    write_submission(file, table.index, predicted_of(table))
    write_predictions(file.parent / TEST, table)
    console.print(f"{len(table):,} test images predicted: {file}")
    if bad:
        console.print(f"{len(bad):,} images could not be read and are left out: a competition may refuse the file.")
        raise typer.Exit(1)


def predict_photos(run: "AnyRun", images: list[Path], top: int, as_json: bool, file: Path | None) -> None:
    """Print the top classes of each image as a table or as JSON, or write them to a file; leave with 1 for bad ones."""
    from kenyan13.training import composed, inference

    paths = inference.find_images(images)
    probabilities, bad = composed.predict(run, paths)
    best = (-probabilities).argsort(axis=1, kind="stable")[:, : min(top, len(run.classes))]
    predictions = [[(run.classes[k], float(probabilities[row, k])) for k in best[row]] for row in range(len(paths))]
    classes = [[{"class": name, "probability": share} for name, share in one] for one in predictions]
    listed = [
        {"image": str(path)} | ({"error": bad[row]} if row in bad else {"classes": classes[row]})
        for row, path in enumerate(paths)
    ]
    text = json.dumps(listed, indent=2, ensure_ascii=False)
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        with replacing(file) as temporary:
            temporary.write_text(as_csv(listed) if file.suffix.lower() == ".csv" else text, "utf-8")
        console.print(f"{len(paths) - len(bad):,} of {len(paths):,} images predicted: {file}")
    elif as_json:
        print(text)
    else:
        common = os.path.commonpath([path.absolute().parent for path in paths])
        print_table([os.path.relpath(path, common) for path in paths], predictions, bad)
    if bad:
        print_note(f"{len(bad):,} of {len(paths):,} images could not be read.")
        raise typer.Exit(1)


def as_csv(listed: Sequence[Mapping[str, Any]]) -> str:
    """Return predictions as CSV: image, class1, probability1, class2 and so on, error.

    It is for spreadsheets, which would take a cell that begins with = or the like for a formula: it gets an apostrophe.
    """
    import pandas as pd

    rows = [
        {"image": one["image"]}
        | {f"{name}{k}": value for k, found in enumerate(one.get("classes", []), 1) for name, value in found.items()}
        | {"error": one.get("error", "")}
        for one in listed
    ]
    table = pd.DataFrame(rows)
    table["error"] = table.pop("error")  # last
    return table.map(lambda cell: re.sub(r"^(?=[=+\-@\t\r])", "'", cell) if isinstance(cell, str) else cell).to_csv(
        index=False
    )


def print_table(paths: list[str], predictions: list[list[tuple[str, float]]], bad: dict[int, str]) -> None:
    """Print each image's path and its top classes, aligned in 80 columns; many classes take more lines.

    predictions: (class, probability) from the most probable one on; bad: row -> why an image could not be read.
    """
    widest = min(30, max(len(visible(name)) for row in predictions for name, _ in row))
    cell = widest + 7 + 2  # with the probability and the gap before it
    width = min(max(map(len, paths)), WIDTH - cell)
    a_line = (WIDTH - width) // cell
    for row, path in enumerate(paths):
        if row in bad:
            print(f"{fit(path, width):<{width}}  {fit(f'not read: {bad[row]}', WIDTH - width - 2)}")
            continue
        cells = [f"  {fit(name, widest):<{widest}} {probability:6.1%}" for name, probability in predictions[row]]
        for start in range(0, len(cells), a_line):
            print(f"{'' if start else fit(path, width):<{width}}" + "".join(cells[start : start + a_line]))
