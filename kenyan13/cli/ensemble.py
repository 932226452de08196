"""The command that combines finished runs: ensemble."""

from collections.abc import Sequence
from pathlib import Path
from statistics import stdev
from typing import Annotated, Literal

import typer

from kenyan13.cli.app import Runs, app, examples
from kenyan13.errors import UserError
from kenyan13.terminal import align, number

Method = Literal["AP", "MP", "V1", "V2"]  # the study's ways to combine runs


@app.command(epilog=examples("ensemble runs/GF*", "ensemble runs/H* --test --method V2"))
def ensemble(
    runs: Runs,
    test: Annotated[bool, typer.Option("--test", help="Combine predictions of the test images; write them.")] = False,
    method: Annotated[Method | None, typer.Option(help="How --test combines; by default AP.")] = None,
    top: Annotated[
        int | None, typer.Option(min=1, help="Use only so many of the most accurate runs; by default all.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Where --test writes; by default submission.csv.")
    ] = None,
) -> None:
    """Combine the predictions of several runs.

    Printed is the accuracy of the best 2, 3, ... runs on their validation images.

    AP: highest mean probability. MP: the single highest probability. V1: majority vote, ties to the most accurate run.
    V2: majority vote, ties to the highest probability.

    Runs that differ in data.fold alone count as one model: on each image by the run that was not trained on it, on
    test images by their mean.
    """
    if test:
        combine_test(runs, method or "AP", top, output or Path("submission.csv"))
    elif method or output:
        problem = "--method and --output go with --test; without it, all four methods are compared."
        raise UserError(problem, "see kenyan13 ensemble --help")
    else:
        print_accuracies(runs, top)


def print_accuracies(folders: Sequence[Path], top: int | None) -> None:
    """Print the models by accuracy, and the accuracy of each number of them combined."""
    from kenyan13.analysis.ensemble import METHODS, accuracy, accuracy_table, read_models
    from kenyan13.analysis.folds import name_of, out_of_fold
    from kenyan13.metrics.statistics import standard_error

    models = read_models(folders, top)
    aligned = out_of_fold(models)
    rows = accuracy_table(aligned).to_dict("records")
    images = int((aligned.targets >= 0).sum())
    single = []
    for model, probabilities in zip(models, aligned.probabilities, strict=True):
        results = [run.result for run in model if run.result]
        loss = sum(result.min_val_loss for result in results) / len(results)
        spread = number(stdev(result.accuracy for result in results), 2, 100) if len(results) > 1 else ""
        shown = number(accuracy(probabilities.argmax(axis=1), aligned.targets), 2, 100)
        single.append((shown, spread, f"{loss:.4f}", str(len(model)), name_of(model)))
    combined = [[str(row["models"]), *(number(row[name], 2, 100) for name in METHODS)] for row in rows]
    head = ("accuracy %", "sd of folds", "loss", "runs", "model")
    print(align([head, *single], right=range(4)))
    print("\nThe most accurate models combined, accuracy in percent:")
    print(align([("models", *METHODS), *combined], right=range(5)))
    error = number(standard_error(rows[0]["AP"], images), 2, 100)
    print(f"\nStandard error of the best model's accuracy: {error} points ({images:,} images).")


def combine_test(folders: Sequence[Path], method: Method, top: int | None, file: Path) -> None:
    """Combine the predictions of the test images and write them."""
    from kenyan13.analysis.ensemble import METHODS, read_models
    from kenyan13.analysis.folds import mean_over_folds
    from kenyan13.runs.predictions import write_submission

    models = read_models(folders, top)
    aligned = mean_over_folds(models)
    predicted = METHODS[method](aligned.probabilities)
    write_submission(file, aligned.ids, [aligned.classes[k] for k in predicted])
    print(f"{len(aligned.ids):,} test images predicted by {sum(map(len, models))} runs, {method}: {file}")
