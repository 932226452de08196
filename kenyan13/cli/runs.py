"""Commands that use runs: runs lists them, evaluate and predict take one."""

import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kenyan13.cli.app import RunFolder, app, console, examples
from kenyan13.errors import UserError
from kenyan13.runs.directory import CONFIG
from kenyan13.terminal import WIDTH, align, fit, number, print_note

if TYPE_CHECKING:
    from kenyan13.runs import run as runs
    from kenyan13.training.composed import AnyRun

SETTING = re.compile(r"(data|trainer|model)\.\w+=")
HEAD = ("accuracy %", "macro F1", "loss", "epochs", "state", "run")


@app.command("runs", epilog=examples("runs", "runs runs/smoke", "runs last"))
def list_runs(
    places: Annotated[
        list[Path] | None,
        typer.Argument(metavar="FOLDER", help="Folders of runs, and runs; by default runs."),
    ] = None,
) -> None:
    """List runs, the newest at the end: `last` in all commands."""
    from kenyan13.runs.find import changed, find_runs
    from kenyan13.runs.run import read_all

    found = list(read_all(sorted(find_runs(places or [Path("runs")]), key=changed)))
    several = len({run.folder.parent for run in found}) > 1
    rows = [(*cells(run), str(run.folder) if several else run.folder.name) for run in found]
    print(align([HEAD, *rows], right={0, 1, 2, 3}))
    for run in found:
        if run.problem or run.failure:
            console.print(f"{run.folder}: {run.problem or run.failure}")


def cells(run: "runs.Run") -> tuple[str, ...]:
    """Return a run's metrics at the lowest validation loss, its epochs so far, and its state."""
    from kenyan13.analysis.run_metrics import measure

    if run.problem:
        return "-", "-", "-", "-", "unreadable"
    metrics = measure(run)
    return (
        number(metrics.accuracy, 1, 100), number(metrics.macro_f1, 3), number(metrics.min_val_loss, 4),
        number(metrics.epochs), run.state.value,
    )  # fmt: skip


@app.command(epilog=examples("evaluate runs/demo"))
def evaluate(
    run: RunFolder,
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="KEY=VALUE", help="Settings to change, as in data.root=DIR where the images were moved."
        ),
    ] = None,
) -> None:
    """Compute a run's metrics again, to check a checkpoint. They are compared with those in result.json.

    Printed, too, is what mirror images and a temperature bring, whether or not the run predicts with them.
    """
    from kenyan13.runs.result import read_result
    from kenyan13.training import composed

    opened = open_run(run, overrides or [])
    metrics = composed.evaluate(opened)
    result = read_result(run)
    if result is None:
        print(align([(name, f"{value:.6f}") for name, value in metrics.items()]))
        console.print("The run has not finished: there is no result.json to compare with.\n")
        print_pieces(opened)
        return
    recorded = {"loss": result.min_val_loss, "accuracy": result.accuracy, "macro_f1": result.macro_f1}
    rows = [(name, f"{metrics[name]:.6f}", f"{value:.6f}") for name, value in recorded.items()]
    print(align([("", "now", "result.json"), *rows]))
    # Another device or number of threads adds in another order; the same machine gives the same bits.
    agrees = all(abs(metrics[name] - value) <= 1e-3 * max(1.0, abs(value)) for name, value in recorded.items())
    console.print("Both agree.\n" if agrees else "They differ: other images, another device, or changed files.\n")
    print_pieces(opened)
    if not agrees:
        raise typer.Exit(1)


def print_pieces(run: "AnyRun") -> None:
    """Print what each piece of predicting brings on the run's validation images."""
    from kenyan13.analysis.run_metrics import prediction_metrics
    from kenyan13.metrics.calibration import scale_by_others
    from kenyan13.runs.predictions import labelled, probabilities_of, scores, targets_of
    from kenyan13.training.composed import predict_validation, with_mirror

    plain, mirrored = (labelled(predict_validation(with_mirror(run, mirror))) for mirror in (False, True))
    scaled = mirrored.copy()
    scaled[list(run.classes)] = scale_by_others(probabilities_of(mirrored), targets_of(mirrored))
    named = {"image alone": plain, "and mirror image": mirrored, "and temperature": scaled}
    rows = []
    for name, table in named.items():
        found, error = scores(table), prediction_metrics(table)["calibration_error"]
        rows.append((name, f"{found['accuracy']:.2%}", f"{found['loss']:.4f}", f"{error:.3f}"))
    print(align([("", "accuracy", "loss", "calibration error"), *rows], right={1, 2, 3}))
    chosen = run.settings.predict
    uses = [name for name, used in (("mirror image", chosen.mirror), ("temperature", chosen.temperature)) if used]
    print(
        f"This run predicts new images with: {' and '.join(uses) or 'the image alone'}. Temperatures of this table are"
    )
    print("fitted to other images than they are used on.")


@app.command(epilog=examples("predict runs/demo PHOTO.jpg holiday/", "predict runs/demo --test"))
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
        Path | None, typer.Option("--output", "-o", help="Where --test writes; by default RUN/submission.csv.")
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="How many classes to print for each image.")] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Predict photos, or with --test the test images."""
    overrides = [one for one in given or [] if SETTING.match(one)]
    images = [Path(one) for one in given or [] if not SETTING.match(one)]
    if run.is_file() or bool(images) == test:
        problem = "Photos and --test do not go together." if test else "Photos, or folders of photos, are missing."
        if not (run / CONFIG).is_file():
            problem = f"{run} is no run directory, which comes first."
        raise UserError(problem, "kenyan13 predict RUN PHOTO.jpg...", "for test images: kenyan13 predict RUN --test")
    if (test and as_json) or (output and not test):
        raise UserError("--test goes with --output, photos go with --json.", "see kenyan13 predict --help")
    opened = open_run(run, overrides)
    if test:
        predict_test(opened, output or run / "submission.csv")
    else:
        print_predictions(opened, images, top, as_json)


def open_run(run: Path, overrides: list[str]) -> "AnyRun":
    """Open a run; of a stage of a two-stage classifier, say that it is only one."""
    from kenyan13.data.stages import FIRST
    from kenyan13.training import composed

    opened = composed.open_any(run, overrides)
    if stage := opened.settings.data.stage:
        told = "groups" if stage == FIRST else stage
        print_note(f"This run only tells {told} apart; kenyan13 cascade --save puts stages together.")
    return opened


def predict_test(run: "AnyRun", file: Path) -> None:
    """Write `id,class` in the order of the test images, and predictions_test.csv with all probabilities beside it."""
    import numpy as np

    from kenyan13.runs.directory import TEST
    from kenyan13.runs.predictions import prediction_table, write_predictions, write_submission
    from kenyan13.training import composed, inference

    test = inference.test_images(run)
    probabilities, bad = composed.predict(run, test.paths)
    rows = [row for row in range(len(test)) if row not in bad]
    names = np.array(run.classes)[probabilities[rows].argmax(axis=1)]
    ids = [test.ids[row] for row in rows]
    write_submission(file, ids, names)
    write_predictions(file.parent / TEST, prediction_table(ids, run.classes, probabilities[rows]))
    console.print(f"{len(rows):,} test images predicted: {file}")
    if bad:
        console.print(f"{len(bad):,} images could not be read and are left out: a competition may refuse the file.")


def print_predictions(run: "AnyRun", images: list[Path], top: int, as_json: bool) -> None:
    """Print the top classes of each image, as a table or as JSON."""
    from kenyan13.training import composed, inference

    paths = inference.find_images(images)
    probabilities, bad = composed.predict(run, paths)
    best = (-probabilities).argsort(axis=1, kind="stable")[:, : min(top, len(run.classes))]
    predictions = [[(run.classes[k], float(probabilities[row, k])) for k in best[row]] for row in range(len(paths))]
    if as_json:
        classes = [[{"class": name, "probability": share} for name, share in one] for one in predictions]
        listed = [
            {"image": str(path)} | ({"error": bad[row]} if row in bad else {"classes": classes[row]})
            for row, path in enumerate(paths)
        ]
        print(json.dumps(listed, indent=2, ensure_ascii=False))
    else:
        common = os.path.commonpath([path.absolute().parent for path in paths])
        print_table([os.path.relpath(path, common) for path in paths], predictions, bad)
    if len(bad) == len(paths):
        raise typer.Exit(1)


def print_table(paths: list[str], predictions: list[list[tuple[str, float]]], bad: dict[int, str]) -> None:
    """Print each image's path and its top classes, aligned in 80 columns; many classes take more lines.

    predictions: (class, probability) from the most probable one on; bad: row -> why an image could not be read.
    """
    widest = min(30, max(len(name) for row in predictions for name, _ in row))
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
