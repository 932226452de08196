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
from kenyan13.runs.directory import CASCADE, read_settings, replacing
from kenyan13.runs.predictions import VALIDATION, Saved, read_predictions, write_predictions

NOT_IN_GROUP = "not in this group"
SOFT = "predictions_soft.csv"


@dataclass(frozen=True)
class Stages:
    """Predictions of one set of images by the first stage, and by each group's second stage, by group."""

    first: Saved
    second: Mapping[str, Saved]


@dataclass(frozen=True)
class Gating:
    """What one way of putting the stages together gives; the most probable class is its answer.

    probabilities: float32 [n, classes], rows sum to 1; accuracy, standard_error, macro_f1: 0..1; confusion: int64
    [classes, classes], rows are targets, columns are answers.
    """

    probabilities: NDArray[np.float32]
    accuracy: float
    standard_error: float
    macro_f1: float
    confusion: pd.DataFrame


@dataclass(frozen=True)
class Composed:
    """The two-stage classifier's answers for n images, over the data's classes.

    targets: int64 [n], positions in `classes`; hard, soft: the two gatings. A row of hard gating's probabilities is the
    second stage's for the members of the group that the first stage has chosen, or 1 for the class that it has
    chosen, and 0 elsewhere. stage1: the first stage's confusion matrix; stage2: by group, the confusion matrix of the
    images that the first stage sent there, whose last row is of images not in this group and last column is zero.
    """

    ids: tuple[str, ...]
    classes: tuple[str, ...]
    targets: NDArray[np.int64]
    hard: Gating
    soft: Gating
    stage1: pd.DataFrame
    stage2: Mapping[str, pd.DataFrame]


def read_stages(folders: Sequence[Path]) -> Stages:
    """Read the saved validation predictions of a first stage and of each group's second stage, in any order.

    What a run is, its settings data.stage and data.groups say. Raises UserError for a run that is no stage, for stages
    that are missing or given twice, and for runs of different groups or different validation images.
    """
    found: dict[str, Path] = {}
    chosen = [read_settings(folder).data for folder in folders]
    for folder, data in zip(folders, chosen, strict=True):
        if data.stage is None:
            raise UserError(f"{folder} is no stage of a two-stage classifier.", "train with data.stage=first, or GROUP")
        if data.stage in found:
            raise UserError(
                f"{found[data.stage]} and {folder} are both of data.stage={data.stage}.", "give one of them"
            )
        if members(data.groups) != members(chosen[0].groups):
            raise UserError(f"{folders[0]} and {folder} have different data.groups.", "give stages of the same groups")
        found[data.stage] = folder
    missing = [stage for stage in (FIRST, *chosen[0].groups) if stage not in found]
    if missing:
        raise UserError(f"There is no run of stage {shorten(missing)} among these.", f"train data.stage={missing[0]}")
    saved = {stage: read_predictions(folder) for stage, folder in found.items()}
    for stage, predictions in saved.items():
        if predictions.ids != saved[FIRST].ids:
            raise UserError(
                f"{found[FIRST]} and {found[stage]} have different validation images.",
                "train all stages on the same data with the same split: data.split_seed, data.fold, data.subset",
            )
    return Stages(saved[FIRST], {group: saved[group] for group in chosen[0].groups})


def members(groups: Groups) -> dict[str, set[str]]:
    """Return groups without the order of their members, which does not matter."""
    return {name: set(classes) for name, classes in groups.items()}


def compose(stages: Stages) -> Composed:
    """Put the stages together by hard and by soft gating.

    Raises UserError where the stages' targets contradict each other.
    """
    first, second = stages.first, stages.second
    check_targets(stages)
    alone = [name for name in first.classes if name not in second]
    classes = tuple(sorted([*alone, *(name for saved in second.values() for name in saved.classes)]))
    place = {name: k for k, name in enumerate(classes)}
    answers = first.probabilities.argmax(axis=1)
    targets = np.full(len(first.ids), -1)
    hard, soft = (np.zeros((len(first.ids), len(classes)), dtype=np.float32) for _ in range(2))
    for label, name in enumerate(first.classes):
        names = second[name].classes if name in second else (name,)
        columns = np.array([place[member] for member in names])
        inner_targets = second[name].targets if name in second else np.zeros(len(first.ids), dtype=np.int64)
        inner = second[name].probabilities if name in second else np.ones((len(first.ids), 1))
        targets = np.where(first.targets == label, columns[inner_targets], targets)
        hard[:, columns] = inner * (answers == label)[:, None]
        soft[:, columns] = inner * first.probabilities[:, [label]]
    return Composed(
        first.ids, classes, targets, score(hard, targets, classes), score(soft, targets, classes),
        labelled_confusion(first.targets, answers, first.classes),
        {group: sent_confusion(saved, answers == first.classes.index(group)) for group, saved in second.items()},
    )  # fmt: skip


def check_targets(stages: Stages) -> None:
    """Raise UserError where an image is in a group for one stage and not for another, or of no class of the first."""
    first = stages.first
    wrong = first.targets == -1
    for group, saved in stages.second.items():
        wrong |= (first.targets == first.classes.index(group)) != (saved.targets >= 0)
    if wrong.any():
        ids = shorten([first.ids[row] for row in np.flatnonzero(wrong)], 4)
        raise UserError(f"The stages have different labels for the images {ids}.", "train all on the same labels")


def score(probabilities: NDArray[np.float32], targets: NDArray[np.int64], classes: Sequence[str]) -> Gating:
    """Return a gating with its figures. Macro F1 is over the classes that occur in targets or answers."""
    answers = probabilities.argmax(axis=1)
    accuracy = float((answers == targets).mean())
    confusion = labelled_confusion(targets, answers, classes)
    f1 = macro_f1(confusion.to_numpy())
    return Gating(probabilities, accuracy, standard_error(accuracy, len(targets)), f1, confusion)


def labelled_confusion(targets: NDArray[np.int64], answers: NDArray[np.int64], names: Sequence[str]) -> pd.DataFrame:
    """Return the confusion matrix (rows: targets, columns: answers) with the classes' names."""
    return pd.DataFrame(confusion_counts(targets, answers, len(names)), index=list(names), columns=list(names))


def sent_confusion(saved: Saved, sent: NDArray[np.bool_]) -> pd.DataFrame:
    """Return a second stage's confusion matrix over the images sent to it, with a last row and column for others.

    The last column, as in the study's matrices, is all zeros: a second stage has no such answer.
    """
    targets = np.where(saved.targets >= 0, saved.targets, len(saved.classes))
    return labelled_confusion(targets[sent], saved.probabilities.argmax(axis=1)[sent], [*saved.classes, NOT_IN_GROUP])


def composed_correct(stage1: pd.DataFrame, stage2: Mapping[str, pd.DataFrame]) -> int:
    """Return how many images hard gating gets right, from the stages' confusion matrices alone.

    That is the diagonal of stage 1 for classes in no group, and those of the stage-2 matrices without their last rows.
    Raises ValueError when a stage-2 matrix has other numbers of images than stage 1 sent to its group: in all, or
    of the group's own.
    """
    sent = dict(zip(stage1.columns, stage1.to_numpy().sum(axis=0).tolist(), strict=True))
    diagonal = dict(zip(stage1.index, np.diag(stage1.to_numpy()).tolist(), strict=True))
    correct = sum(count for name, count in diagonal.items() if name not in stage2)
    for group, matrix in stage2.items():
        counts = matrix.to_numpy()
        if (sent[group], diagonal[group]) != (counts.sum(), counts[:-1].sum()):
            raise ValueError(f"Stage 1 sent {sent[group]} images to {group}, {diagonal[group]} of them its own.")
        correct += np.trace(counts[:-1, :-1])
    return int(correct)


def write_cascade(folder: Path, composed: Composed) -> None:
    """Write what came out, in the form of a run directory's files; makes the folder.

    predictions.csv           hard gating's answers and probabilities (see Composed)
    predictions_soft.csv      soft gating's
    confusion_hard.csv        confusion matrices: rows are targets, columns are answers
    confusion_soft.csv, confusion_stage1.csv, confusion_GROUP.csv
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, gating in ((VALIDATION, composed.hard), (SOFT, composed.soft)):
        write_predictions(folder, composed.ids, composed.classes, composed.targets, gating.probabilities, name)
    for part, matrix in matrices(composed).items():
        with replacing(folder / f"confusion_{part}.csv") as temporary:
            matrix.to_csv(temporary, index_label="target")


def matrices(composed: Composed) -> dict[str, pd.DataFrame]:
    """Return all confusion matrices by name: stage1, each group, hard, soft."""
    gatings = {"hard": composed.hard.confusion, "soft": composed.soft.confusion}
    return {"stage1": composed.stage1, **composed.stage2, **gatings}


def summary(composed: Composed) -> dict[str, Any]:
    """Return the figures and matrices as plain values, fit for JSON."""
    figures = {
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
    return {"images": len(composed.ids), "gating": figures, "confusion": confusion}


def read_summary(folder: Path) -> dict[str, Any]:
    """Read the figures of a two-stage run, as `summary` has them. Raises UserError for a damaged file."""
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
