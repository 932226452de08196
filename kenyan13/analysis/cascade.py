"""The two stages put together from their saved predictions (study, E. Two stages). Imports no torch.

Hard gating, the study's: where the first stage's most probable label is a group, that group's second stage decides
among its members, so that an image sent to a wrong group is always wrong. Soft gating: p(class) = p(group) x
p(class | group) for classes in groups, and the first stage's own p(class) for the others.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kenyan13.data.stages import FIRST, Groups
from kenyan13.errors import UserError, shorten
from kenyan13.metrics.classification import confusion_counts, macro_f1
from kenyan13.metrics.statistics import standard_error
from kenyan13.runs.directory import CASCADE, VALIDATION, replacing
from kenyan13.runs.predictions import (
    classes_of,
    correct,
    prediction_table,
    probabilities_of,
    read_predictions,
    targets_of,
    write_predictions,
)
from kenyan13.runs.run import Run, read_run

NOT_IN_GROUP = "not in this group"
SOFT = "predictions_soft.csv"


@dataclass(frozen=True)
class Gating:
    """What one way of putting the stages together gives; the most probable class is its prediction.

    predictions: a table by image id, as a run's (see kenyan13.runs.predictions), over the data's classes; rows of
    probabilities sum to 1; accuracy, standard_error, macro_f1: 0..1; confusion: int64 [classes, classes], rows are
    targets, columns are predictions.
    """

    predictions: pd.DataFrame
    accuracy: float
    standard_error: float
    macro_f1: float
    confusion: pd.DataFrame


@dataclass(frozen=True)
class Composed:
    """The two-stage classifier's predictions.

    A row of hard gating's probabilities is the second stage's for the members of the group that the first stage has
    chosen, or 1 for the class that it has chosen, and 0 elsewhere. stage1: the first stage's confusion matrix; stage2:
    by group, the confusion matrix of the images that the first stage sent there, whose last row is of images not in
    this group and last column is zero.
    """

    hard: Gating
    soft: Gating
    stage1: pd.DataFrame
    stage2: Mapping[str, pd.DataFrame]

    @property
    def classes(self) -> tuple[str, ...]:
        """The data's classes."""
        return classes_of(self.hard.predictions)


def read_stages(folders: Sequence[Path]) -> dict[str, pd.DataFrame]:
    """Read the validation predictions of a first stage and of each group's second stage: stage (FIRST, group) -> table.

    What a run is, its settings data.stage and data.groups say. Raises UserError for a run that is no stage, for stages
    that are missing or given twice, and for runs of different groups or different validation images.
    """
    runs: dict[str, Run] = {}
    for run in map(read_run, folders):
        stage = run.setting("data.stage")
        if stage is None:
            raise UserError(f"{run.folder} is no stage of a two-stage classifier.", "train data.stage=first, or GROUP")
        if stage in runs:
            raise UserError(f"{runs[stage].folder} and {run.folder} are both of data.stage={stage}.", "give one")
        runs[stage] = run
    check_groups(list(runs.values()))
    groups = next(iter(runs.values())).setting("data.groups")
    missing = [stage for stage in (FIRST, *groups) if stage not in runs]
    if missing:
        raise UserError(f"There is no run of stage {shorten(missing)} among these.", f"train data.stage={missing[0]}")
    stages = {stage: read_predictions(runs[stage].folder) for stage in (FIRST, *groups)}
    for stage, table in stages.items():
        if not table.index.equals(stages[FIRST].index):
            raise UserError(
                f"{runs[FIRST].folder} and {runs[stage].folder} have different validation images.",
                "train all stages on the same data with the same split: data.split_seed, data.fold, data.subset",
            )
    return stages


def check_groups(runs: Sequence[Run]) -> None:
    """Raise UserError for runs of different groups."""
    for run in runs:
        if members(run.setting("data.groups")) != members(runs[0].setting("data.groups")):
            raise UserError(
                f"{runs[0].folder} and {run.folder} have different data.groups.", "give stages of the same groups"
            )


def members(groups: Groups) -> dict[str, set[str]]:
    """Return groups without the order of their members, which does not matter."""
    return {name: set(classes) for name, classes in groups.items()}


def compose(stages: Mapping[str, pd.DataFrame]) -> Composed:
    """Put the stages (see `read_stages`) together by hard and by soft gating.

    Raises UserError where the stages' targets contradict each other.
    """
    first, second = stages[FIRST], {stage: table for stage, table in stages.items() if stage != FIRST}
    check_targets(first, second)
    names, probabilities = classes_of(first), probabilities_of(first)
    predicted = np.array(names)[probabilities.argmax(axis=1)]
    members_of = {name: classes_of(second[name]) if name in second else (name,) for name in names}
    classes = sorted(member for group in members_of.values() for member in group)
    hard, soft = (pd.DataFrame(np.float32(0), first.index, classes) for _ in range(2))
    targets = first["target"].copy()
    for index, (name, group) in enumerate(members_of.items()):
        inside = probabilities_of(second[name]) if name in second else np.ones((len(first), 1))
        hard[list(group)] = (inside * (predicted == name)[:, None]).astype(np.float32)
        soft[list(group)] = (inside * probabilities[:, [index]]).astype(np.float32)
        if name in second:
            targets = targets.where(targets != name, second[name]["target"])
    return Composed(
        score(hard, targets), score(soft, targets), labelled_confusion(first["target"], predicted, names),
        {group: sent_confusion(table, predicted == group) for group, table in second.items()},
    )  # fmt: skip


def check_targets(first: pd.DataFrame, second: Mapping[str, pd.DataFrame]) -> None:
    """Raise UserError where an image is in a group for one stage and not for another, or of no class of the first."""
    wrong = first["target"] == ""
    for group, table in second.items():
        wrong |= (first["target"] == group) != (table["target"] != "")
    if wrong.any():
        ids = shorten(list(first.index[wrong]), 4)
        raise UserError(f"The stages have different labels for the images {ids}.", "train all on the same labels")


def score(probabilities: pd.DataFrame, targets: pd.Series) -> Gating:
    """Return a gating with its metrics. Macro F1 is over the classes that occur in targets or predictions."""
    table = prediction_table(probabilities.index, list(probabilities.columns), probabilities.to_numpy(), targets)
    accuracy = float(correct(table).mean())
    predicted = np.array(classes_of(table))[probabilities.to_numpy().argmax(axis=1)]
    confusion = labelled_confusion(targets, predicted, classes_of(table))
    f1 = macro_f1(confusion.to_numpy())
    return Gating(table, accuracy, standard_error(accuracy, len(table)), f1, confusion)


def labelled_confusion(
    targets: pd.Series | NDArray[np.str_], predicted: NDArray[np.str_], classes: Sequence[str]
) -> pd.DataFrame:
    """Return the confusion matrix (rows: targets, columns: predictions) with the classes' names."""
    rows, columns = (pd.Index(classes).get_indexer(pd.Index(names)) for names in (targets, predicted))
    return pd.DataFrame(confusion_counts(rows, columns, len(classes)), index=list(classes), columns=list(classes))


def sent_confusion(table: pd.DataFrame, sent: NDArray[np.bool_]) -> pd.DataFrame:
    """Return a second stage's confusion matrix over the images sent to it, with a last row and column for others.

    The last column, as in the study's matrices, is all zeros: a second stage never predicts it.
    """
    table = table[sent]
    predicted = np.array(classes_of(table))[probabilities_of(table).argmax(axis=1)]
    targets = table["target"].replace("", NOT_IN_GROUP)
    return labelled_confusion(targets, predicted, [*classes_of(table), NOT_IN_GROUP])


def write_cascade(folder: Path, composed: Composed) -> None:
    """Write what came out, in the form of a run directory's files; makes the folder.

    predictions.csv           hard gating's predictions and probabilities (see Composed)
    predictions_soft.csv      soft gating's
    confusion_hard.csv        confusion matrices: rows are targets, columns are predictions
    confusion_soft.csv, confusion_stage1.csv, confusion_GROUP.csv
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, gating in ((VALIDATION, composed.hard), (SOFT, composed.soft)):
        table = gating.predictions
        write_predictions(folder, table.index, classes_of(table), targets_of(table), probabilities_of(table), name)
    for part, matrix in matrices(composed).items():
        with replacing(folder / f"confusion_{part}.csv") as temporary:
            matrix.to_csv(temporary, index_label="target")


def matrices(composed: Composed) -> dict[str, pd.DataFrame]:
    """Return all confusion matrices by name: stage1, each group, hard, soft."""
    gatings = {"hard": composed.hard.confusion, "soft": composed.soft.confusion}
    return {"stage1": composed.stage1, **composed.stage2, **gatings}


def summary(composed: Composed) -> dict[str, Any]:
    """Return the metrics and matrices as plain values, fit for JSON."""
    metrics = {
        name: {
            "accuracy": gating.accuracy,
            "standard_error": gating.standard_error,
            "macro_f1": gating.macro_f1,
        }
        for name, gating in (("hard", composed.hard), ("soft", composed.soft))
    }
    confusion = {
        name: {"labels": list(matrix.index), "counts": matrix.to_numpy().tolist()}
        for name, matrix in matrices(composed).items()
    }
    return {"images": len(composed.hard.predictions), "gating": metrics, "confusion": confusion}


def read_summary(folder: Path) -> dict[str, Any]:
    """Read the metrics of a two-stage run, as `summary` has them. Raises UserError for a damaged file."""
    with readable(folder / CASCADE):
        saved: dict[str, Any] = json.loads((folder / CASCADE).read_text())
        accuracies = [float(saved["gating"][gating]["accuracy"]) for gating in ("hard", "soft")]
        if saved["images"] < 1 or not all(0 <= accuracy <= 1 for accuracy in accuracies):
            raise ValueError("accuracies or number of images cannot be")
        return saved


def read_matrices(folder: Path) -> dict[str, pd.DataFrame]:
    """Read all confusion matrices of a two-stage run by name (see `matrices`). Raises UserError for a damaged file."""
    with readable(folder / CASCADE):
        saved = read_summary(folder)["confusion"]
        return {name: pd.DataFrame(part["counts"], part["labels"], part["labels"]) for name, part in saved.items()}


@contextmanager
def readable(file: Path) -> Iterator[None]:
    """Raise UserError for what reading a damaged file raises."""
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{file} is damaged: {error}", "remove it: the same command makes it again") from None
