"""Commands of the two-stage classifier: groups proposes which classes to put together, cascade puts stages together."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kenyan13.cli.app import RunFolder, Runs, SaveAs, app, console, examples, output, print_next
from kenyan13.errors import UserError
from kenyan13.runs.config_file import read_settings
from kenyan13.runs.directory import CONFIG
from kenyan13.terminal import WIDTH, align, fit

if TYPE_CHECKING:
    import pandas as pd


@app.command(epilog=examples("groups runs/demo"))
def groups(
    run: RunFolder,
    threshold: Annotated[
        float, typer.Option(min=0, max=1, metavar="SHARE", help="Mutual confusion above which classes are together.")
    ] = 0.04,  # on the study's composed matrix, any value from 0.026 to 0.050 gives the study's three groups
) -> None:
    """Propose groups of classes that a run confuses. A two-stage classifier tells groups first, then their classes."""
    from kenyan13.analysis import grouping
    from kenyan13.runs.predictions import classes_of, confusion_of, labelled, read_predictions

    stage = read_settings(run).data.stage
    if stage is not None:
        raise UserError(f"{run} is a run of data.stage={stage}.", "give a run of all classes, without data.stage")
    table = labelled(read_predictions(run))
    classes = classes_of(table)
    matrix = confusion_of(table)
    order = grouping.reorder(matrix.to_numpy())
    found = grouping.propose_groups(matrix.to_numpy(), threshold)
    print("Rows are targets, columns are predictions; confused classes stand together.\n")
    console.print(matrix_text(matrix.iloc[order, order]))
    if len(found) == 1 and len(found[0]) == len(classes):
        problem = f"All classes are confused above {threshold:g}: there is nothing for a first stage to tell apart."
        raise UserError(problem, "train longer, or give a higher --threshold")
    if not found:
        print(f"\nNo classes are confused above {threshold:g}: a lower --threshold proposes more.")
        return
    print(f"\nGroups above a mutual confusion of {threshold:g}, for data.stage=first and each group:\n")
    console.print(grouping.as_setting(grouping.name_groups(found, classes)))


@app.command(epilog=examples("cascade runs/first runs/greens runs/meats --save two_stages"))
def cascade(
    stages: Runs,
    save: SaveAs = None,
    folder: Annotated[Path | None, output("A folder for predictions and confusion matrices as CSV.")] = None,
) -> None:
    """Put the runs of a two-stage classifier together. Their validation images must be the same."""
    from kenyan13.analysis.cascade import compose, read_stages, write_cascade
    from kenyan13.analysis.run_metrics import prediction_metrics
    from kenyan13.analysis.saving import save_runs
    from kenyan13.metrics.statistics import standard_error
    from kenyan13.runs.predictions import classes_of
    from kenyan13.runs.run import read_run

    if folder is not None and (folder / CONFIG).exists():
        raise UserError(f"{folder} is the folder of a run, with predictions of its own.", "choose another --output")
    composed = compose(read_stages(stages))
    if folder is not None:
        write_cascade(folder, composed)
    titles = {"stage1": "Stage 1", "hard": "Hard gating", "soft": "Soft gating"}
    for name, matrix in composed.matrices.items():
        title = titles.get(name, f"Stage 2, images sent to {name}")
        console.print(f"\n{title} (rows are targets, columns are predictions)\n\n{matrix_text(matrix)}")
    images = len(composed.hard)
    print(f"\n{images:,} validation images of {len(classes_of(composed.hard))} classes\n")
    found = {"hard gating": prediction_metrics(composed.hard), "soft gating": prediction_metrics(composed.soft)}
    rows = [("", "accuracy", "standard error", "macro F1")]
    for name, one in found.items():
        error = standard_error(one["accuracy"], images)
        rows.append((name, f"{one['accuracy']:.2%}", f"{error:.2%}", f"{one['macro_f1']:.3f}"))
    print(align(rows, right={1, 2, 3}))
    console.print(f"\nWritten: {folder}" if folder else "\n--output DIR writes predictions and matrices as CSV.")
    if save is not None:
        saved = save_runs(save, [*map(read_run, stages)], composed.soft)
        print_next(["kenyan13", "predict", str(saved), "photo.jpg"])


def matrix_text(matrix: "pd.DataFrame") -> str:
    """Return a confusion matrix as lines: targets by number and name, columns by number, zeros as dots."""
    numbers = [f"{k:>{len(str(len(matrix)))}}" for k in range(1, len(matrix) + 1)]
    counts = [[str(count or ".") for count in row] for row in matrix.to_numpy().tolist()]
    columns = align([numbers, *counts], right=range(len(numbers))).splitlines()
    width = max(8, WIDTH - len(f"{numbers[0]}   {columns[0]}"))
    names = [f"{number} {fit(str(name), width)}" for number, name in zip(numbers, matrix.index, strict=True)]
    return align(list(zip(["", *names], columns, strict=True)))
