"""Commands that use runs: runs lists them, evaluate takes one."""

import shlex
from math import nan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kenyan13.cli.app import Overrides, RunFolder, app, console, examples, score_cells, words
from kenyan13.errors import UserError
from kenyan13.runs.directory import TEST
from kenyan13.runs.locate import changed, find_runs
from kenyan13.terminal import align, number, print_note

if TYPE_CHECKING:
    from kenyan13.training.inference import Evaluation, OpenRun

RECORDED = {"loss": "min_val_loss", "accuracy": "accuracy", "macro_f1": "macro_f1"}  # metric -> field of result.json


@app.command("runs", epilog=examples("runs", "runs runs/smoke", "runs last"))
def list_runs(
    places: Annotated[list[Path] | None, words("FOLDER", "Folders of runs, and runs; by default runs.")] = None,
) -> None:
    """List runs, the newest at the end: `last` in all commands."""
    from kenyan13.runs.run import read_all

    found = list(read_all(sorted(find_runs(places or [Path("runs")]), key=changed)))
    rows: list[tuple[str, ...]] = [("accuracy %", "macro F1", "loss", "epochs", "state", "run")]
    for run in found:
        one = run.summary
        shares = number(one.accuracy, 1, 100), number(one.macro_f1, 3), number(one.min_val_loss, 4)
        name = str(run.folder) if len({run.folder.parent for run in found}) > 1 else run.folder.name
        rows.append((*shares, number(one.epochs), "unreadable" if run.problem else run.state.value, name))
    print(align(rows, right={0, 1, 2, 3}))
    for run in found:
        if run.problem or run.failure:
            console.print(f"{run.folder}: {run.problem or run.failure}")


@app.command(epilog=examples("evaluate runs/demo", "evaluate runs/birds --test"))
def evaluate(
    run: RunFolder,
    overrides: Overrides = None,
    test: Annotated[bool, typer.Option("--test", help="Score the test images, if they have labels.")] = False,
) -> None:
    """Compute a run's metrics again, to check a checkpoint. They are compared with those in result.json.

    Printed, too, is what mirror images and a temperature bring, whether or not the run predicts with them; and what
    other views do, where it has them: predict.views=[1,0.7].
    """
    from kenyan13.runs.result import read_result

    opened = open_run(run, overrides or [])
    if test:
        evaluate_test(opened)
        return
    evaluation, result = opened.evaluate(), read_result(run)
    now = evaluation.metrics
    recorded = {name: nan if result is None else getattr(result, field) for name, field in RECORDED.items()}
    rows = [(name, f"{now[name]:.6f}", f"{value:.6f}") for name, value in recorded.items()]
    print(align([("", "now", "result.json"), *rows]))
    # Another device or number of threads adds in another order; the same machine gives the same bits.
    differ = any(abs(now[name] - value) > 1e-3 * max(1.0, abs(value)) for name, value in recorded.items())
    told = "They differ: other settings or images, another device, or changed files." if differ else "Both agree."
    print("The run has not finished: there is no result.json.\n" if result is None else f"{told}\n")
    print_pieces(opened, evaluation)
    if differ:
        raise typer.Exit(1)


def evaluate_test(run: "OpenRun") -> None:
    """Print how good a run is on the labelled test images; predictions_test.csv in its directory is for the report."""
    from kenyan13.report.run_page import class_table
    from kenyan13.runs.predictions import confusion_of, labelled, scores, write_predictions

    test = run.test_images()
    if not (test.targets >= 0).any():
        step = f"to predict them: kenyan13 predict {shlex.quote(str(run.folder))} --test"
        raise UserError(f"The test images in {run.settings.data.root} have no labels.", step)
    table, bad = run.predict_catalogue(test)
    write_predictions(run.folder / TEST, table)
    known = labelled(table)
    accuracy, interval, loss = score_cells(known)
    print(f"accuracy  {accuracy}%  (95 % interval {interval}, {len(known):,} test images)")
    print(f"macro F1  {scores(known)['macro_f1']:.4f}\nloss      {loss}\n")
    console.print(class_table(confusion_of(known).to_numpy(), run.classes).text())
    if bad:
        console.print(f"\n{len(bad):,} images could not be read and are left out.")
        raise typer.Exit(1)


def print_pieces(run: "OpenRun", evaluation: "Evaluation") -> None:
    """Print what each piece of predicting brings on the run's validation images."""
    from kenyan13.metrics.classification import scale_by_others
    from kenyan13.runs.predictions import labelled, probabilities_of, scores, targets_of

    plain, mirrored = labelled(evaluation.plain), labelled(evaluation.mirrored)
    scaled = mirrored.copy()
    scaled[list(run.classes)] = scale_by_others(probabilities_of(mirrored), targets_of(mirrored))
    rows: list[tuple[str, ...]] = [("", "accuracy %", "95 % interval", "log loss", "calibration error")]
    chosen = run.settings.predict
    views = "and other views, mirrored" if chosen.views else "and mirror image"
    for name, table in {"image alone": plain, views: mirrored, "and temperature": scaled}.items():
        rows.append((name, *score_cells(table), number(scores(table)["calibration_error"], 3)))
    print(align(rows, right={1, 2, 3, 4}))
    uses = (
        ["other views"] * bool(chosen.views) + ["mirror image"] * chosen.mirror + ["temperature"] * chosen.temperature
    )
    print(f"This run predicts new images with: {', '.join(uses) or 'the image alone'}.")
    print("Temperatures of this table are fitted to other images than they are used on.")


def open_run(run: Path, overrides: list[str]) -> "OpenRun":
    """Open a run; of a stage of a two-stage classifier, say that it is only one."""
    from kenyan13.training.composed import open_any

    opened = open_any(run, overrides)
    tell_stage(opened.settings.data.stage)
    return opened


def tell_stage(stage: str | None) -> None:
    """Say of a stage of a two-stage classifier what it does, and what not."""
    from kenyan13.data.catalogue import FIRST

    if stage:
        told = "groups" if stage == FIRST else stage
        print_note(f"This run only tells {told} apart; kenyan13 cascade --save puts stages together.")
