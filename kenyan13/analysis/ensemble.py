"""Runs combined into one classifier, from their saved probabilities (study, H. Ensembles); folds as one model.

Runs that differ in data.fold alone are one model, which has predicted all of their images out of fold: each image is
predicted by the run that was not trained on it. Class indices are indices into the runs' classes; accuracies are 0..1.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import log_loss

from kenyan13.analysis.compare import best_first, check_several
from kenyan13.errors import UserError, shorten
from kenyan13.metrics.classification import fit_temperature, scale
from kenyan13.runs.directory import RESULT, TEST
from kenyan13.runs.predictions import classes_of, prediction_table, read_predictions, targets_of
from kenyan13.runs.run import Run, read_run

ANOTHER_SPLIT = (
    "runs with another seed, split_seed or fold have another split: their test predictions can be combined: --test",
    "of folds, all of each model: python train.py -m data.fold=0..4 makes them",
)
ANOTHER_TEST = ("predict the same test images with each of them: kenyan13 predict RUN --test",)
Classes = NDArray[np.int64]
Probabilities = NDArray[np.float64]  # [runs, n, classes], the most accurate run first
Model = list[Run]  # one run, or one a fold


@dataclass(frozen=True)
class Aligned:
    """Several runs' predictions of the same images.

    ids: n texts; targets: int64 [n], indices into `classes`, -1 for images without label or of no class of the runs;
    probabilities: float64 [runs, n, classes], 0..1, or NaN for images that a run has not predicted (see `stack`).
    """

    ids: tuple[str, ...]
    classes: tuple[str, ...]
    targets: NDArray[np.int64]
    probabilities: NDArray[np.float64]

    def table(self, probabilities: NDArray[np.float64]) -> pd.DataFrame:
        """Return probabilities of these images, [n, classes], as a run's predictions."""
        return prediction_table(self.ids, self.classes, probabilities, self.targets)

    def mean(self) -> pd.DataFrame:
        """Return the mean over the runs, as a run's predictions."""
        return self.table(self.probabilities.mean(axis=0))


def align(runs: Mapping[str, pd.DataFrame], advice: Sequence[str] = ANOTHER_SPLIT) -> Aligned:
    """Return the predictions of runs (name -> table) in the order of the first run's images.

    Raises UserError as `stack` does, and for runs of other images (with `advice`).
    """
    check_classes(runs)
    (first_name, first), *others = runs.items()
    for name, table in others:
        here, there = len(first.index.difference(table.index)), len(table.index.difference(first.index))
        if here or there:
            raise UserError(f"The images differ: {here:,} are only in {first_name}, {there:,} only in {name}.", *advice)
    return stack(runs)


def stack(runs: Mapping[str, pd.DataFrame]) -> Aligned:
    """Return the predictions of all images that any of the runs (name -> table) has predicted.

    Raises UserError when runs have other classes, or other labels of the same images.
    """
    classes = check_classes(runs)
    targets = pd.Series(dtype=str)
    for name, table in runs.items():
        common = table.index.intersection(targets.index)
        if different := int((targets[common] != table["target"][common]).sum()):
            problem = f"{different:,} images have another label in {name} than in the runs before it."
            raise UserError(problem, "combine runs that were trained on the same labels")
        targets = pd.concat([targets, table["target"].drop(common)])
    probabilities = [table[list(classes)].reindex(targets.index).to_numpy() for table in runs.values()]
    indices = targets_of(prediction_table(targets.index, classes, probabilities[0], targets))
    return Aligned(tuple(targets.index), classes, indices, np.stack(probabilities))


def check_classes(runs: Mapping[str, pd.DataFrame]) -> tuple[str, ...]:
    """Return the classes of runs. Raises UserError when these are not the same in the same order."""
    (first_name, first), *others = runs.items()
    for name, table in others:
        if classes_of(table) != classes_of(first):
            mine, theirs = (shorten(classes_of(one), 13) for one in (first, table))
            problem = f"{name} has other classes ({theirs}) than {first_name} ({mine})."
            raise UserError(problem, "combine runs of the same classes")
    return classes_of(first)


def tallies(probabilities: Probabilities) -> Classes:
    """Return how many runs voted for each class, int64 [n, classes]."""
    counts: Classes = (probabilities.argmax(axis=2)[:, :, None] == np.arange(probabilities.shape[2])).sum(axis=0)
    return counts


def vote(probabilities: Probabilities, strength: float | Probabilities) -> Classes:
    """Return the class with most votes, int64 [n]; of tied classes, the one with the strongest vote.

    strength: of each vote, at least 0, [runs, n]; of equals, the first run's decides.
    """
    votes, tally = probabilities.argmax(axis=2), tallies(probabilities)
    images = np.arange(votes.shape[1])
    tied = (tally == tally.max(axis=1, keepdims=True))[images, votes]
    predicted: Classes = votes[np.where(tied, strength, -1).argmax(axis=0), images]
    return predicted


# The study's four (H. Ensembles): the class, int64 [n], with the highest mean probability; with the single highest
# one; with most votes, where ties go to the most accurate run, or to the highest probability.
METHODS: dict[str, Callable[[Probabilities], Classes]] = {
    "AP": lambda probabilities: probabilities.mean(axis=0).argmax(axis=1),
    "MP": lambda probabilities: probabilities.max(axis=0).argmax(axis=1),
    "V1": lambda probabilities: vote(probabilities, 0),
    "V2": lambda probabilities: vote(probabilities, probabilities.max(axis=2)),
}


def read_models(folders: Sequence[Path], top: int | None = None) -> list[Model]:
    """Return the `top` models (all) that finished runs are, by accuracy, highest first; ties by lower loss, then name.

    The accuracy of a model with several folds is the mean of its runs. Raises UserError for fewer than two runs or
    fewer than `top` models, a run given twice, and a folder without result.json.
    """
    check_several(folders, "An ensemble", "runs/GF*")
    runs = [read_run(folder) for folder in folders]
    unfinished = [run.folder for run in runs if run.result is None]
    if unfinished:
        problem = f"No finished run, for there is no {RESULT}: {shorten(unfinished)}."
        raise UserError(problem, "leave it out, or train it to the end")
    models: dict[str, Model] = {}
    for run in sorted(runs, key=best_first):
        others = json.dumps({**run.relevant, "data.fold": None}, sort_keys=True)
        models.setdefault(str(run.folder) if run.setting("data.fold") is None else others, []).append(run)
    if top is not None and top > len(models):
        raise UserError(f"--top {top}: only {len(models)} models are given.", f"at most --top {len(models)}")
    folds = [sorted(model, key=lambda run: run.setting("data.fold") or 0) for model in models.values()]
    return sorted(folds, key=lambda model: -mean(run.result.accuracy for run in model if run.result))[:top]


def name_of(model: Model) -> str:
    """Return the folder of a model's first run, which stands for the model."""
    return str(model[0].folder)


def pool(model: Model) -> pd.DataFrame:
    """Return a model's validation predictions of all folds, one below the other.

    Raises UserError for folds of other classes, and for an image in two of them.
    """
    parts = {str(run.folder): read_predictions(run.folder) for run in model}
    check_classes(parts)
    table = pd.concat(parts.values())
    if repeated := int(table.index.duplicated().sum()):
        problem = f"{repeated:,} images are in more than one fold of {name_of(model)}."
        raise UserError(problem, "give each fold once, and train all folds on the same data")
    return table


def mean_over_folds(models: Sequence[Model]) -> Aligned:
    """Return the models' predictions of the test images, each model's the mean over its folds."""
    means = {}
    for model in models:
        folds = align({str(run.folder): read_predictions(run.folder, TEST) for run in model}, ANOTHER_TEST)
        means[name_of(model)] = folds.mean()
    return align(means, ANOTHER_TEST)


def accuracy_table(aligned: Aligned) -> pd.DataFrame:
    """Return the accuracy of the first 1, 2, ... runs combined: columns models, AP, MP, V1, V2.

    aligned: the most accurate run first; images without label do not count. Raises UserError when none has one.
    """
    known = aligned.targets >= 0
    if not known.any():
        raise UserError("None of the images has a label among the runs' classes.", "--test combines without labels")
    numbers = range(1, len(aligned.probabilities) + 1)
    rows = [
        {name: (combine(aligned.probabilities[:models, known]) == aligned.targets[known]).mean()
         for name, combine in METHODS.items()} for models in numbers
    ]  # fmt: skip
    return pd.DataFrame([{"models": models, **row} for models, row in zip(numbers, rows, strict=True)])


def select_by_others(tables: Mapping[str, pd.DataFrame], folds: Sequence[pd.Index]) -> pd.DataFrame:
    """Return what `select` would predict of each fold's images, ids, had it chosen models by the other folds alone.

    This tells how good such a choice is: the images that models are chosen by flatter them.
    """
    parts = []
    for ids in folds:
        chosen, _ = select({name: table.drop(ids) for name, table in tables.items()})
        parts.append(align({name: tables[name].loc[ids] for name in chosen}).mean())
    return pd.concat(parts)


def select(tables: Mapping[str, pd.DataFrame]) -> tuple[list[str], pd.DataFrame]:
    """Return the names of the models to average, the best first, and their mean predictions.

    The model with the lowest log loss is first; then comes the one, again and again, with which the mean has the lowest
    loss, until none lowers it; each time after a temperature, as runs put together predict with one. Source: Caruana et
    al., Ensemble Selection from Libraries of Models (ICML 2004), without its repetitions. tables: predictions by name,
    of the same images. Raises UserError for others.
    """
    aligned = align(tables)
    probabilities = dict(zip(tables, aligned.probabilities, strict=True))
    known = aligned.targets >= 0

    def loss(mean: NDArray[np.float64]) -> float:
        scaled = scale(mean[known], fit_temperature(mean[known], aligned.targets[known]))
        return float(log_loss(aligned.targets[known], scaled, labels=range(len(aligned.classes))))

    chosen: list[str] = []
    lowest, best = np.inf, aligned.probabilities[0]
    while rest := [name for name in tables if name not in chosen]:
        means = {name: sum(probabilities[one] for one in (*chosen, name)) / (len(chosen) + 1) for name in rest}
        losses = {name: loss(mean) for name, mean in means.items()}
        name = min(losses, key=losses.__getitem__)
        if losses[name] >= lowest:
            break
        chosen, lowest, best = [*chosen, name], losses[name], means[name]
    return chosen, aligned.table(best)
