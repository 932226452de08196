"""How often images are trained on when each run's seed makes its own split (study, H. Ensembles)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kenyan13.analysis.alignment import stack
from kenyan13.analysis.ensemble import METHODS, Classes, Probabilities, accuracy
from kenyan13.config.settings import DataSettings
from kenyan13.data.catalogue import GET_DATA, Catalogue, read_table
from kenyan13.data.split import split_rows
from kenyan13.errors import UserError
from kenyan13.runs.predictions import labelled
from kenyan13.study.definitions import experiments

Counts = NDArray[np.int64]

STUDY_METHODS = ("AP", "MP", "V2")  # V1 needs one order of accuracy, and each seed has its own validation images


@dataclass(frozen=True)
class Summary:
    """How often images are in the training parts of several splits.

    never_validated: images in all training parts. times_validated: how many images are in the validation parts of
    0, 1, 2, ... splits.
    """

    images: int
    splits: int
    lowest: int
    highest: int
    mean: float
    standard_deviation: float
    never_validated: int
    times_validated: tuple[int, ...]


@dataclass(frozen=True)
class Unseen:
    """Predictions of images by the runs that were not trained on them.

    ids: n texts; targets: int64 [n], positions in `classes`; predictions: method -> int64 [n];
    runs: int64 [n], how many runs predict each image.
    """

    ids: tuple[str, ...]
    classes: tuple[str, ...]
    targets: Classes
    predictions: dict[str, Classes]
    runs: Counts

    def accuracies(self) -> dict[str, float]:
        """Return the accuracy (0..1) of each method."""
        return {method: accuracy(predicted, self.targets) for method, predicted in self.predictions.items()}

    def mean_runs(self) -> float:
        """Return by how many runs an image is predicted on average."""
        return float(self.runs.mean())


def study_seeds() -> tuple[int, ...]:
    """Return the 15 seeds of the study's group H."""
    return tuple(one.settings["seed"] for id_, one in experiments().items() if id_.startswith("H"))


def read_labels(folder: Path) -> Catalogue:
    """Read the labelled images of train.csv in file order; the images themselves need not be there.

    Raises UserError when there is no train.csv, or it cannot be used.
    """
    if not (folder / "train.csv").is_file():
        raise UserError(f"There is no train.csv in {folder}.", GET_DATA[0], "--data DIR if it lies elsewhere")
    table = read_table(folder / "train.csv", ["id", "class"])
    classes, targets = np.unique(table["class"].to_numpy(str), return_inverse=True)
    paths = tuple(folder / "images" / "images" / f"{id_}.jpg" for id_ in table["id"])
    return Catalogue(tuple(table["id"]), paths, targets.astype(np.int64), tuple(str(name) for name in classes))


def exposures(labelled: Catalogue, seeds: Sequence[int]) -> Counts:
    """Return for each image in the training parts of how many seeds' splits it is, int64 [n], 0..len(seeds).

    Each seed makes its own stratified 80:20 split (study, Data and H. Ensembles). Raises UserError when there are too
    few images for that.
    """
    counts = np.zeros(len(labelled), dtype=np.int64)
    for seed in seeds:
        train, _ = split_rows(labelled, DataSettings(validation_fraction=0.2, folds=5, split_seed=seed))
        counts[train] += 1
    return counts


def summarise(counts: Counts, splits: int) -> Summary:
    """Return the summary of exposures in so many splits; the standard deviation is that of these images (over n)."""
    return Summary(
        images=len(counts),
        splits=splits,
        lowest=int(counts.min()),
        highest=int(counts.max()),
        mean=float(counts.mean()),
        standard_deviation=float(counts.std()),
        never_validated=int((counts == splits).sum()),
        times_validated=tuple(np.bincount(splits - counts).tolist()),
    )


def unseen(runs: Mapping[str, pd.DataFrame]) -> Unseen:
    """Combine validation predictions of runs (name -> table) with different splits, by AP, MP and V2.

    Each image that is in the validation part of at least one run is predicted by these runs alone, which were not
    trained on it; images without a label among the classes are left out. An epoch of each run was chosen by its
    validation loss, so that the accuracy is slightly too high. Raises UserError when runs have other classes or labels.
    """
    aligned = stack({name: labelled(table) for name, table in runs.items()})
    present = aligned.predicted_by
    predictions = {method: combine_present(method, aligned.probabilities, present) for method in STUDY_METHODS}
    return Unseen(aligned.ids, aligned.classes, aligned.targets, predictions, present.sum(axis=0))


def combine_present(method: str, probabilities: Probabilities, present: NDArray[np.bool_]) -> Classes:
    """Return class indices, int64 [n], each image's from the runs that are `present` for it.

    probabilities: [runs, n, classes]; present: [runs, n], at least one run an image.
    """
    predicted = np.empty(present.shape[1], dtype=np.int64)
    patterns, pattern_of = np.unique(present, axis=1, return_inverse=True)
    for number, pattern in enumerate(patterns.T):
        rows = np.flatnonzero(pattern_of == number)
        predicted[rows] = METHODS[method](probabilities[np.ix_(pattern, rows)])
    return predicted
