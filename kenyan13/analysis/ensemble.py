"""Runs combined from their saved probabilities: one classifier (study, H. Ensembles), one model of folds, wrong labels.

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

from kenyan13.analysis.compare import best_first, check_several
from kenyan13.errors import UserError, shorten
from kenyan13.runs import predictions
from kenyan13.runs.directory import OUT_OF_FOLD, RESULT, TEST, VALIDATION
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


def rank_labels(runs: Sequence[Run]) -> tuple[pd.DataFrame, int]:
    """Return the images by id, the likeliest wrong label first, and how many cleanlab counts as wrong.

    probable: the most probable other class; quality: cleanlab's self-confidence, 0..1, low for labels that are likely
    wrong (docs/data-check.md compares it with others); like_label, like_probable: ids of the image of either class that
    the runs name rightly and take for most alike. Probabilities are means over the runs that were not trained on the
    image: of validation, and of head=linear out of fold. Raises UserError for runs of other classes or without
    predictions.
    """
    from cleanlab.count import num_label_issues
    from cleanlab.rank import get_label_quality_scores

    files = [(run, name) for run in runs for name in (VALIDATION, OUT_OF_FOLD) if (run.folder / name).is_file()]
    if not files:
        raise UserError("These runs have no predictions.", "train them to the end of an epoch, best in folds")
    averaged = predictions.average([read_predictions(run.folder, name) for run, name in files])
    table = predictions.labelled(averaged)
    probabilities, targets = predictions.probabilities_of(table), targets_of(table)
    classes = np.array(classes_of(table))
    others = probabilities.copy()
    others[np.arange(len(table)), targets] = -1
    probable, right = others.argmax(axis=1), others.max(axis=1) < probabilities[np.arange(len(table)), targets]

    def nearest(wanted: int, row: int) -> str:
        rows = np.flatnonzero(right & (targets == wanted) & (np.arange(len(table)) != row))
        distances = np.square(probabilities[rows] - probabilities[row]).sum(axis=1)
        return str(table.index[rows[distances.argmin()]]) if len(rows) else ""

    ranked = pd.DataFrame({
        "label": table["target"], "probable": classes[probable],
        "quality": get_label_quality_scores(targets, probabilities, method="self_confidence"),
        "p_probable": others.max(axis=1),
        "like_label": [*map(nearest, targets, range(len(table)))],
        "like_probable": [*map(nearest, probable, range(len(table)))],
    })  # fmt: skip
    return ranked.sort_values("quality", kind="stable"), num_label_issues(targets, probabilities)
