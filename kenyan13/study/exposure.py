"""How often images are trained on when each run's seed makes its own split (study, H. Ensembles)."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kenyan13.analysis.alignment import stack
from kenyan13.analysis.ensemble import METHODS
from kenyan13.config.settings import DataSettings
from kenyan13.data.catalogue import Catalogue
from kenyan13.data.split import split_rows
from kenyan13.runs.predictions import labelled
from kenyan13.study.definitions import experiments

STUDY_METHODS = ("AP", "MP", "V2")  # V1 needs one order of accuracy, and each seed has its own validation images


def study_seeds() -> tuple[int, ...]:
    """Return the seeds that the study varied, the 15 of group H."""
    return tuple(one.settings["seed"] for one in experiments().values() if one.settings.get("data.test"))


def exposures(labelled: Catalogue, seeds: Sequence[int]) -> NDArray[np.int64]:
    """Return for each image in the training parts of how many seeds' splits it is, int64 [n], 0..len(seeds).

    Each seed makes its own stratified 80:20 split (study, Data and H. Ensembles). Raises UserError when there are too
    few images for that.
    """
    counts = np.zeros(len(labelled), dtype=np.int64)
    for seed in seeds:
        train, _ = split_rows(labelled, DataSettings(validation_fraction=0.2, folds=5, split_seed=seed))
        counts[train] += 1
    return counts


def combine_unseen(runs: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Combine validation predictions of runs (name -> table) with different splits, by AP, MP and V2.

    Returns a row an image id: its target (class index), `runs` that predict it, and a predicted class index a method.
    Each image that is in the validation part of at least one run is predicted by these runs alone, which were not
    trained on it; images without a label among the classes are left out. An epoch of each run was chosen by its
    validation loss, so that the accuracy is slightly too high. Raises UserError when runs have other classes or labels.
    """
    aligned = stack({name: labelled(table) for name, table in runs.items()})
    present = ~np.isnan(aligned.probabilities[:, :, 0])
    combined = pd.DataFrame({"target": aligned.targets, "runs": present.sum(axis=0)}, index=list(aligned.ids))
    for method in STUDY_METHODS:
        # an image at a time, as the number of runs differs: [runs, 1, classes]
        own = [aligned.probabilities[present[:, k], k][:, None] for k in range(len(combined))]
        combined[method] = [METHODS[method](probabilities)[0] for probabilities in own]
    return combined
