"""The command that combines finished runs: ensemble."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer

from kenyan13 import terminal
from kenyan13.cli.app import Runs, app
from kenyan13.errors import UserError

Method = Literal["AP", "MP", "V1", "V2"]  # the study's ways to combine runs


@app.command(epilog="Examples:  kenyan13 ensemble runs/GF*      kenyan13 ensemble runs/H* --test --method V2")
def ensemble(
    runs: Runs,
    test: Annotated[bool, typer.Option("--test", help="Combine predictions of the test images; write them.")] = False,
    method: Annotated[Method | None, typer.Option(help="How --test combines.", show_default="AP")] = None,
    top: Annotated[
        int | None, typer.Option(min=1, help="Use only so many of the most accurate runs.", show_default="all")
    ] = None,
    weights: Annotated[
        bool, typer.Option("--weights", help="AP with weights, tuned on all folds of two or more models.")
    ] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Where --test writes.", show_default="submission.csv")
    ] = None,
) -> None:
    """Combine runs, and print the accuracy of the best 2, 3, ... on their validation images.

    AP: highest mean probability. MP: the single highest probability. V1: majority vote, ties to the most accurate run.
    V2: majority vote, ties to the highest probability.
    """
    problem = ""
    if (method or output) and not test:
        problem = "--method and --output go with --test; without it, all four methods are compared."
    if weights and (method or top):
        problem = "--weights is a method of its own for all runs: it goes without --method and --top."
    if problem:
        raise UserError(problem, "see kenyan13 ensemble --help")
    file = (output or Path("submission.csv")) if test else None
    if weights:
        tune_weights(runs, file)
    elif file is not None:
        combine_test(runs, method or "AP", top, file)
    else:
        print_accuracies(runs, top)


def print_accuracies(folders: Sequence[Path], top: int | None) -> None:
    """Print the runs by accuracy, and the accuracy of each number of them combined."""
    from kenyan13.analysis.alignment import align
    from kenyan13.analysis.ensemble import METHODS, accuracy_table, rank
    from kenyan13.metrics.statistics import standard_error
    from kenyan13.runs.predictions import read_predictions

    ranked = rank(folders, top)
    aligned = align({str(run.folder): read_predictions(run.folder) for run in ranked})
    rows = accuracy_table(aligned).to_dict("records")
    images = int((aligned.targets >= 0).sum())
    single = [
        (percent(run.result.accuracy), f"{run.result.min_val_loss:.4f}", str(run.folder))
        for run in ranked
        if run.result is not None
    ]
    combined = [[str(row["models"]), *(percent(row[name]) for name in METHODS)] for row in rows]
    print(terminal.align([("accuracy %", "loss", "run"), *single], right={0, 1}))
    print("\nThe most accurate runs combined, accuracy in percent:")
    print(terminal.align([("models", *METHODS), *combined], right=range(5)))
    error = percent(standard_error(rows[0]["AP"], images))
    print(f"\nStandard error of the best run's accuracy: {error} points ({images:,} images).")


def combine_test(folders: Sequence[Path], method: Method, top: int | None, file: Path) -> None:
    """Combine the predictions of the test images and write them."""
    from kenyan13.analysis.alignment import ANOTHER_TEST, align
    from kenyan13.analysis.ensemble import METHODS, rank
    from kenyan13.runs.directory import TEST
    from kenyan13.runs.predictions import read_predictions, write_submission

    names = [str(run.folder) for run in rank(folders, top)]
    aligned = align({name: read_predictions(Path(name), TEST) for name in names}, ANOTHER_TEST)
    predicted = METHODS[method](aligned.probabilities)
    write_submission(file, aligned.ids, [aligned.classes[k] for k in predicted])
    print(f"{len(aligned.ids):,} test images predicted by {len(names)} runs, {method}: {file}")


def tune_weights(folders: Sequence[Path], file: Path | None) -> None:
    """Tune a weight a model on out-of-fold predictions, print them, and with a file combine the test predictions."""
    from kenyan13.analysis import ensemble_weights as weights
    from kenyan13.analysis.ensemble import accuracy, average_probability, rank
    from kenyan13.metrics.statistics import standard_error
    from kenyan13.runs.predictions import write_submission

    models = weights.group_folds(rank(folders))
    aligned, folds = weights.out_of_fold(models)
    probabilities, targets = aligned.probabilities, aligned.targets
    tuned = weights.tune(probabilities, targets)
    rows = [
        (weights.name_of(model), f"{weight:.3f}", percent(accuracy(one.argmax(axis=1), targets)))
        for model, weight, one in zip(models, tuned, probabilities, strict=True)
    ]
    nested = accuracy(weights.nested_predictions(aligned, folds), targets)
    both = [
        ("all, equal weights", "", percent(accuracy(average_probability(probabilities), targets))),
        ("all, weights tuned on the other folds", "", percent(nested)),
    ]
    print(terminal.align([("model, by its run of fold 0", "weight", "accuracy %"), *rows, *both], right={1, 2}))
    images = int((targets >= 0).sum())
    error = percent(standard_error(nested, images))
    print(f"\nOut-of-fold accuracy; standard error {error} points ({images:,} images).")
    if file is not None:
        test = weights.mean_over_folds(models)
        predicted = weights.weighted_average(test.probabilities, tuned)
        write_submission(file, test.ids, [test.classes[k] for k in predicted])
        print(f"{len(test.ids):,} test images predicted with these weights: {file}")


def percent(share: float) -> str:
    """Return 0.8318 as 83.18."""
    return f"{100 * share:.2f}"
