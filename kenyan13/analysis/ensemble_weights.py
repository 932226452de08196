"""Weighted averages of models' probabilities, with weights that are tuned on out-of-fold predictions.

Not part of the study. Each model is a set of runs, one a fold, so that every labelled image has a prediction by a run
that was not trained on it.
"""

import json
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kenyan13.analysis.alignment import ANOTHER_TEST, Aligned, align, check_classes
from kenyan13.analysis.ensemble import Classes, Probabilities
from kenyan13.errors import UserError, shorten
from kenyan13.runs.directory import TEST
from kenyan13.runs.predictions import read_predictions
from kenyan13.runs.run import Run

Weights = NDArray[np.float64]
Model = list[Run]  # a run a fold: their settings are the same but for data.fold and data.root

NEEDED = (
    "--weights needs all folds of two or more models: python train.py -m model=A,B data.fold=0,1,2,3,4",
    "without --weights, all runs count the same",
)


def group_folds(runs: Sequence[Run]) -> list[Model]:
    """Return the models that runs are the folds of, fold 0 first, in the order in which they come first.

    Raises UserError for a run that is no fold, a fold given twice or missing, and fewer than two models.
    """
    models: dict[str, dict[int, Run]] = {}
    for run in runs:
        fold = run.setting("data.fold")
        if fold is None:
            raise UserError(f"{run.folder} is no fold: its data.fold is null.", *NEEDED)
        there = models.setdefault(json.dumps({**run.relevant, "data.fold": None}, sort_keys=True), {})
        if fold in there:
            both = f"{there[fold].folder} and {run.folder}"
            raise UserError(f"{both} are the same fold of the same model.", "leave one out")
        there[fold] = run
    for there in models.values():
        one = next(iter(there.values()))
        missing = [fold for fold in range(one.setting("data.folds")) if fold not in there]
        if missing:
            raise UserError(f"{one.folder}: no run for data.fold={shorten(missing)}.", *NEEDED)
    if len(models) < 2:
        raise UserError("All runs are folds of one model: there is nothing to weigh.", *NEEDED)
    return [[there[fold] for fold in sorted(there)] for there in models.values()]


def name_of(model: Model) -> str:
    """Return the folder of a model's run of fold 0, which stands for the model."""
    return str(model[0].folder)


def out_of_fold(models: Sequence[Model]) -> tuple[Aligned, Classes]:
    """Return the models' predictions of all labelled images, and the fold of each image, int64 [n].

    Raises UserError when models have other classes or images, or an image is in two folds of one model.
    """
    pooled = {name_of(model): pool(model) for model in models}
    aligned = align({name: table for name, (table, _) in pooled.items()}, ("train all models on the same images",))
    return aligned, pooled[name_of(models[0])][1]


def pool(model: Model) -> tuple[pd.DataFrame, Classes]:
    """Return a model's validation predictions of all folds, one below the other, and the fold of each, int64 [n]."""
    parts = {str(run.folder): read_predictions(run.folder) for run in model}
    check_classes(parts)
    table = pd.concat(parts.values())
    repeated = int(table.index.duplicated().sum())
    if repeated:
        raise UserError(
            f"{repeated:,} images are in more than one fold of {name_of(model)}.", "train all folds on the same data"
        )
    return table, np.repeat(np.arange(len(parts)), [len(part) for part in parts.values()])


def mean_over_folds(models: Sequence[Model]) -> Aligned:
    """Return the models' predictions of the test images, each model's the mean over its folds."""
    means = {}
    for model in models:
        folds = align({str(run.folder): read_predictions(run.folder, TEST) for run in model}, ANOTHER_TEST)
        means[name_of(model)] = folds.table(folds.probabilities.mean(axis=0))
    return align(means, ANOTHER_TEST)


def weighted_average(probabilities: Probabilities, weights: Weights) -> Classes:
    """Return the class with the highest weighted mean probability, int64 [n]. weights: [models], their sum is 1."""
    predicted: Classes = np.tensordot(weights, probabilities, axes=1).argmax(axis=1)
    return predicted


def tune(probabilities: Probabilities, targets: Classes, gap: float = 1e-6, steps: int = 20_000) -> Weights:
    """Return the weights, float64 [models], 0 or more with sum 1, with the lowest log loss of the weighted mean.

    These are the weights of a mixture whose components are given: the steps are those of expectation maximisation. The
    log loss is convex in the weights, and the highest mean share of a model, less 1, bounds how far it is above the
    lowest; tuning ends below `gap`. probabilities: [models, n, classes]; targets: [n], -1 is left out.
    """
    rows = np.flatnonzero(targets >= 0)
    likelihoods = np.maximum(probabilities[:, rows, targets[rows]], 1e-12)  # a softmax can underflow to 0
    weights: Weights = np.full(len(likelihoods), 1 / len(likelihoods))
    for _ in range(steps):
        shares = (likelihoods / (weights @ likelihoods)).mean(axis=1)
        if shares.max() - 1 < gap:
            break
        weights = weights * shares
    weights /= weights.sum()  # the sum is 1 but for rounding
    return weights


def nested_predictions(aligned: Aligned, folds: Classes) -> Classes:
    """Return weighted-average class indices, int64 [n], each fold's with weights tuned on the other folds only.

    So that the accuracy of these predictions is an estimate for images that no weight was tuned on.
    """
    predicted = np.empty(len(folds), dtype=np.int64)
    for fold in np.unique(folds):
        inside = folds == fold
        weights = tune(aligned.probabilities[:, ~inside], aligned.targets[~inside])
        predicted[inside] = weighted_average(aligned.probabilities[:, inside], weights)
    return predicted
