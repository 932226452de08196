"""Weighted averages of models' probabilities, with weights that are tuned on out-of-fold predictions.

Not part of the study. Each model is a set of runs, one a fold, so that every labelled image has a prediction by a run
that was not trained on it.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kenyan13.analysis.alignment import ANOTHER_TEST, Aligned, align, check_classes
from kenyan13.analysis.ensemble import Classes, Probabilities, accuracy, average_probability
from kenyan13.errors import UserError, shorten
from kenyan13.runs.directory import TEST
from kenyan13.runs.predictions import read_predictions
from kenyan13.runs.run import Run

Weights = NDArray[np.float64]

NEEDED = (
    "--weights needs all folds of two or more models: python train.py -m model=A,B data.fold=0,1,2,3,4",
    "without --weights, all runs count the same",
)


@dataclass(frozen=True)
class Model:
    """The runs of one model, fold 0 first: their settings are the same but for data.fold and data.root."""

    folders: tuple[Path, ...]

    @property
    def name(self) -> str:
        """The run of fold 0, for messages and tables."""
        return str(self.folders[0])


@dataclass(frozen=True)
class Tuned:
    """Weights of models, and out-of-fold accuracies, 0..1: of each model, of all with equal weights, and nested.

    weights: float64 [models], tuned on the predictions of all folds; nested: each fold's images are predicted with
    weights that were tuned on the other folds; images: how many are labelled.
    """

    weights: Weights
    accuracies: tuple[float, ...]
    equal: float
    nested: float
    images: int


def group_folds(runs: Sequence[Run]) -> list[Model]:
    """Return the models that runs are the folds of, in the order in which they come first.

    Raises UserError for a run that is no fold, a fold given twice or missing, and fewer than two models.
    """
    models: dict[str, dict[int, Path]] = {}
    folds: dict[str, int] = {}
    for run in runs:
        fold = run.setting("data.fold")
        if fold is None:
            raise UserError(f"{run.folder} is no fold: its data.fold is null.", *NEEDED)
        key = json.dumps({**run.relevant, "data.fold": None}, sort_keys=True)
        there = models.setdefault(key, {})
        if fold in there:
            raise UserError(f"{there[fold]} and {run.folder} are the same fold of the same model.", "leave one out")
        there[fold] = run.folder
        folds[key] = run.setting("data.folds")
    for key, there in models.items():
        missing = [fold for fold in range(folds[key]) if fold not in there]
        if missing:
            raise UserError(f"{next(iter(there.values()))}: no run for data.fold={shorten(missing)}.", *NEEDED)
    if len(models) < 2:
        raise UserError("All runs are folds of one model: there is nothing to weigh.", *NEEDED)
    return [Model(tuple(there[fold] for fold in sorted(there))) for there in models.values()]


def tune_models(models: Sequence[Model]) -> Tuned:
    """Tune the weights of models on their out-of-fold predictions. Raises UserError when these do not fit together."""
    aligned, folds = out_of_fold(models)
    probabilities, targets = aligned.probabilities, aligned.targets
    return Tuned(
        weights=tune(probabilities, targets),
        accuracies=tuple(accuracy(one.argmax(axis=1), targets) for one in probabilities),
        equal=accuracy(average_probability(probabilities), targets),
        nested=accuracy(nested_predictions(aligned, folds), targets),
        images=int((targets >= 0).sum()),
    )


def out_of_fold(models: Sequence[Model]) -> tuple[Aligned, Classes]:
    """Return the models' predictions of all labelled images, and the fold of each image, int64 [n].

    Raises UserError when models have other classes or images, or an image is in two folds of one model.
    """
    pooled = {model.name: pool(model) for model in models}
    aligned = align({name: table for name, (table, _) in pooled.items()}, ("train all models on the same images",))
    return aligned, pooled[models[0].name][1]


def pool(model: Model) -> tuple[pd.DataFrame, Classes]:
    """Return a model's validation predictions of all folds, one below the other, and the fold of each, int64 [n]."""
    parts = {str(folder): read_predictions(folder) for folder in model.folders}
    check_classes(parts)
    table = pd.concat(parts.values())
    repeated = int(table.index.duplicated().sum())
    if repeated:
        raise UserError(
            f"{repeated:,} images are in more than one fold of {model.name}.", "train all folds on the same data"
        )
    return table, np.repeat(np.arange(len(parts)), [len(part) for part in parts.values()])


def mean_over_folds(models: Sequence[Model]) -> Aligned:
    """Return the models' predictions of the test images, each model's the mean over its folds."""
    means = {}
    for model in models:
        folds = align({str(folder): read_predictions(folder, TEST) for folder in model.folders}, ANOTHER_TEST)
        means[model.name] = folds.table(folds.probabilities.mean(axis=0))
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
