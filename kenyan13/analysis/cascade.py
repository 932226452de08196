"""The two stages put together from their saved predictions (study, E. Two stages); groups for them. Imports no torch.

Hard gating, the study's: where the first stage's most probable label is a group, that group's second stage decides
among its members, so that an image sent to a wrong group is always wrong. Soft gating: p(class) = p(group) x
p(class | group) for classes in groups, and the first stage's own p(class) for the others.

Groups come from a confusion matrix, re-ordered so that the largest confusions lie near the diagonal, as in the study;
average linkage is our own way of doing that.
"""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, leaves_list, linkage
from scipy.spatial.distance import squareform

from kenyan13.config.arguments import quoted
from kenyan13.data.catalogue import FIRST
from kenyan13.errors import UserError, shorten
from kenyan13.runs import predictions
from kenyan13.runs.directory import SOFT, VALIDATION, replacing
from kenyan13.runs.predictions import classes_of, confusion_of, gate, predicted_of, prediction_table
from kenyan13.runs.run import Run, read_run

NOT_IN_GROUP = "not in this group"


@dataclass(frozen=True)
class Composed:
    """The two-stage classifier's predictions, as a run's, over the data's classes.

    A row of hard gating's probabilities is the second stage's for the members of the group that the first stage has
    chosen, or 1 for the class that it has chosen, and 0 elsewhere. matrices: confusion matrices, rows are targets:
    stage1, each group (of the images that were sent there, its last row of those of no class of it), hard, soft.
    """

    hard: pd.DataFrame
    soft: pd.DataFrame
    matrices: Mapping[str, pd.DataFrame]


def read_stages(folders: Sequence[Path]) -> dict[str, pd.DataFrame]:
    """Read the validation predictions of a first stage and of each group's second stage: stage (FIRST, group) -> table.

    Raises UserError for a run that is no stage, for stages that are missing or given twice, and for runs of different
    groups or different validation images.
    """
    runs: dict[str, Run] = {}
    for run in map(read_run, folders):
        stage = run.setting("data.stage")
        if stage is None:
            step = "kenyan13 groups RUN proposes groups; then train with data.stage=first, and with each group's name"
            raise UserError(f"{run.folder} is no stage of a two-stage classifier.", step)
        if stage in runs:
            raise UserError(f"{runs[stage].folder} and {run.folder} are both of data.stage={stage}.", "give one")
        runs[stage] = run
    one = next(iter(runs.values()))
    groups = {name: {*members} for name, members in one.setting("data.groups").items()}  # in whatever order
    for run in runs.values():
        if {name: {*members} for name, members in run.setting("data.groups").items()} != groups:
            raise UserError(f"{one.folder} and {run.folder} have different data.groups.", "give stages of the same")
    missing = [stage for stage in (FIRST, *groups) if stage not in runs]
    if missing:
        raise UserError(f"There is no run of stage {shorten(missing)} among these.", f"train data.stage={missing[0]}")
    stages = {stage: predictions.read_predictions(runs[stage].folder) for stage in (FIRST, *groups)}
    for stage, table in stages.items():
        if not table.index.equals(stages[FIRST].index):
            problem = f"{runs[FIRST].folder} and {runs[stage].folder} have different validation images."
            step = "train all stages on the same data with the same split: data.split_seed, data.fold, data.subset"
            raise UserError(problem, step)
    return stages


def compose(stages: Mapping[str, pd.DataFrame]) -> Composed:
    """Put the stages (see `read_stages`) together by hard and by soft gating.

    Raises UserError where the stages' targets contradict each other.
    """
    first, second = stages[FIRST], {stage: table for stage, table in stages.items() if stage != FIRST}
    wrong = first["target"] == ""
    for name, table in second.items():
        wrong |= (first["target"] == name) != (table["target"] != "")
    if wrong.any():
        ids = shorten(list(first.index[wrong]), 4)
        raise UserError(f"The stages have different labels for the images {ids}.", "train all on the same labels")
    predicted = predicted_of(first)
    chosen = (np.array(classes_of(first)) == predicted[:, None]).astype(np.float32)
    hard = gate(prediction_table(first.index, classes_of(first), chosen, first["target"]), second)
    soft = gate(first, second)
    sent = {group: table[predicted == group].replace({"target": {"": NOT_IN_GROUP}}) for group, table in second.items()}
    second_stages = {group: confusion_of(table, NOT_IN_GROUP) for group, table in sent.items()}
    both = {"hard": confusion_of(hard), "soft": confusion_of(soft)}
    return Composed(hard, soft, {"stage1": confusion_of(first), **second_stages, **both})


def write_cascade(folder: Path, composed: Composed) -> None:
    """Write what came out as a run directory's files: predictions.csv (hard), predictions_soft.csv, confusion_*.csv."""
    folder.mkdir(parents=True, exist_ok=True)
    for part, matrix in composed.matrices.items():
        with replacing(folder / f"confusion_{part}.csv") as temporary:
            matrix.to_csv(temporary, index_label="target")
    for name, table in ((VALIDATION, composed.hard), (SOFT, composed.soft)):  # the second tells that all is there
        predictions.write_predictions(folder / name, table)


def mutual_confusion(confusion: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return, for each two classes, the share of their images (0..1) that is taken for the other of the two.

    confusion: counts [k, k], rows are targets. Symmetric, float64 [k, k], with zeros on the diagonal.
    """
    images = confusion.sum(axis=1)
    shares: NDArray[np.float64] = (confusion + confusion.T) / np.maximum(images[:, None] + images[None, :], 1)
    np.fill_diagonal(shares, 0)
    return shares


def linked(confusion: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the classes' clusters by average linkage of 1 - mutual confusion, as scipy has them, for two or more."""
    distances = 1 - mutual_confusion(confusion)
    return np.asarray(linkage(squareform(distances, checks=False), "average", optimal_ordering=True))


def reorder(confusion: NDArray[np.int64]) -> list[int]:
    """Return an order of the classes in which those that are most confused stand beside each other.

    confusion: counts [k, k].
    """
    if len(confusion) < 2:
        return list(range(len(confusion)))
    order: list[int] = leaves_list(linked(confusion)).tolist()
    return order


def propose_groups(confusion: pd.DataFrame, threshold: float) -> dict[str, list[str]]:
    """Return groups of classes that are much confused, as group1, group2 and so on, in the order of the classes.

    The mean mutual confusion between the clusters that make a group is above the threshold (0..1). Clusters of one
    class are no groups. confusion: counts [k, k] with the classes' names, k at least 2.
    """
    limit = np.nextafter(1 - threshold, 0)  # fcluster takes equals, too
    cluster_of = pd.Series(fcluster(linked(confusion.to_numpy()), limit, "distance"), confusion.index)
    clusters = [list(cluster_of.index[cluster_of == one]) for one in cluster_of.unique()]
    return {f"group{k}": names for k, names in enumerate(filter(lambda names: len(names) > 1, clusters), start=1)}


def as_setting(groups: Mapping[str, Sequence[str]]) -> str:
    """Return groups as the shell word that sets data.groups, with names quoted where Hydra needs it."""
    lists = [f"{group}:[{','.join(map(quoted, names))}]" for group, names in groups.items()]
    return shlex.quote(f"data.groups={{{','.join(lists)}}}")
