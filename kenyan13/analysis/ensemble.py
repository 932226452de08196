"""Runs combined into one classifier, from their saved probabilities (study, H. Ensembles).

Class indices are indices into the runs' classes; accuracies are 0..1.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import mean

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kenyan13.analysis.alignment import Aligned
from kenyan13.analysis.compare import best_first, check_several
from kenyan13.analysis.folds import Model, group_folds
from kenyan13.errors import UserError, shorten
from kenyan13.runs.directory import RESULT
from kenyan13.runs.run import read_run

Classes = NDArray[np.int64]
Probabilities = NDArray[np.float64]


def average_probability(probabilities: Probabilities) -> Classes:
    """AP: return the class with the highest mean probability, int64 [n] (study, H. Ensembles: the sum)."""
    predicted: Classes = probabilities.mean(axis=0).argmax(axis=1)
    return predicted


def maximum_probability(probabilities: Probabilities) -> Classes:
    """MP: return the class with the single highest probability of all runs, int64 [n] (study, H. Ensembles)."""
    predicted: Classes = probabilities.max(axis=0).argmax(axis=1)
    return predicted


def vote_by_accuracy(probabilities: Probabilities) -> Classes:
    """V1: return the class with most votes, int64 [n]; ties go to the most accurate model (study, H. Ensembles).

    probabilities: [runs, n, classes], the most accurate run first. Of the runs that voted for one of the tied classes,
    the first decides.
    """
    votes, tied = count_votes(probabilities)
    predicted: Classes = votes[tied.argmax(axis=0), np.arange(votes.shape[1])]
    return predicted


def vote_by_probability(probabilities: Probabilities) -> Classes:
    """V2: return the class with most votes, int64 [n]; ties go to the highest probability (study, H. Ensembles).

    Of the votes for one of the tied classes, the one with the highest probability decides; of equal ones the first.
    """
    votes, tied = count_votes(probabilities)
    strength = np.where(tied, probabilities.max(axis=2), -1)
    predicted: Classes = votes[strength.argmax(axis=0), np.arange(votes.shape[1])]
    return predicted


def count_votes(probabilities: Probabilities) -> tuple[Classes, NDArray[np.bool_]]:
    """Return each run's vote, int64 [runs, n], and whether no class has more votes than the voted one, [runs, n]."""
    votes, tally = probabilities.argmax(axis=2), tallies(probabilities)
    most = tally == tally.max(axis=1, keepdims=True)
    return votes, most[np.arange(votes.shape[1]), votes]


def tallies(probabilities: Probabilities) -> Classes:
    """Return how many runs voted for each class, int64 [n, classes]."""
    counts: Classes = (probabilities.argmax(axis=2)[:, :, None] == np.arange(probabilities.shape[2])).sum(axis=0)
    return counts


METHODS: dict[str, Callable[[Probabilities], Classes]] = {
    "AP": average_probability,
    "MP": maximum_probability,
    "V1": vote_by_accuracy,
    "V2": vote_by_probability,
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
        raise UserError(
            f"No finished run, for there is no {RESULT}: {shorten(unfinished)}.",
            "leave it out, or train it to the end",
        )
    models = group_folds(sorted(runs, key=best_first))
    if top is not None and top > len(models):
        raise UserError(f"--top {top}: only {len(models)} models are given.", f"at most --top {len(models)}")
    return sorted(models, key=lambda model: -mean(run.result.accuracy for run in model if run.result))[:top]


def accuracy(predicted: Classes, targets: Classes) -> float:
    """Return the accuracy of class indices, [n] both; images with target -1 are left out.

    Raises UserError when none is left.
    """
    labelled = targets >= 0
    if not labelled.any():
        raise UserError("None of the images has a label among the runs' classes.", "--test combines without labels")
    return float((predicted == targets)[labelled].mean())


def accuracy_table(aligned: Aligned) -> pd.DataFrame:
    """Return the accuracy of the first 1, 2, ... runs combined: columns models, AP, MP, V1, V2.

    aligned: the most accurate run first. In the first row is this run alone.
    """
    rows = []
    for models in range(1, len(aligned.probabilities) + 1):
        some = aligned.probabilities[:models]
        accuracies = {name: accuracy(combine(some), aligned.targets) for name, combine in METHODS.items()}
        rows.append({"models": models} | accuracies)
    return pd.DataFrame(rows)
