"""Predictions of several runs brought to the same images, in the same order."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kenyan13.errors import UserError, shorten
from kenyan13.runs.predictions import classes_of, prediction_table, targets_of

ANOTHER_SPLIT = (
    "runs with another seed, split_seed or fold have another split: their test predictions can be combined: --test",
    "of folds, all of each model: python train.py -m data.fold=0..4 makes them",
)
ANOTHER_TEST = ("predict the same test images with each of them: kenyan13 predict RUN --test",)


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
