"""Fed with the study's own confusion matrices and epochs, the measures give the study's published numbers."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hand_made import composed_correct
from numpy.typing import NDArray

from kenyan13.analysis.cascade import propose_groups, reorder
from kenyan13.metrics.classification import per_class, standard_error
from kenyan13.runs.directory import State
from kenyan13.runs.result import Result
from kenyan13.runs.run import Run
from kenyan13.study.definitions import experiments, groups
from kenyan13.study.group_tables import tables

GROUPS = {
    "group1": ["bhaji", "chapati"],
    "group2": ["kachumbari", "kukuchoma", "nyamachoma"],
    "group3": ["sukumawiki", "ugali"],
}
STAGES = {"group1": "EAB", "group2": "EAC", "group3": "EAD"}  # the runs of the second stages
E1: dict[str, Any] = groups()["E"].reported_tables["two_stages"]
CLASSES: list[str] = E1["classes"]
COMPOSED = np.array(E1["confusion"])
STAGE1 = np.array(E1["stage1_confusion"])
ROWS = [126, 172, 96, 99, 35, 124, 88, 97, 42, 157, 66, 80, 126]  # validation images of each class (study, Data)


def percent(share: float) -> float:
    """Return a share as the study prints it."""
    return round(100 * share, 2)


def study_accuracy(id_: str) -> float:
    """Return an experiment's accuracy in percent, as the study reported it."""
    return experiments()[id_].reported["accuracy"]


def second_stage(group: str) -> NDArray[np.int64]:
    """Return a second stage's matrix with its last row and column, of images of other groups."""
    return np.array(E1[f"stage2{'abc'[list(GROUPS).index(group)]}_confusion_last_row_is_not_in_group"])


def accuracy(confusion: NDArray[np.int64]) -> float:
    return float(np.trace(confusion) / confusion.sum())


def test_accuracy_of_the_composed_classifier() -> None:
    assert (int(np.trace(COMPOSED)), int(COMPOSED.sum())) == (E1["correct"], E1["total"]) == (1069, 1308)
    assert percent(accuracy(COMPOSED)) == study_accuracy("EAE") == 81.73


def test_accuracy_of_the_first_stage() -> None:
    assert percent(accuracy(STAGE1)) == study_accuracy("EAA") == 89.14


def test_row_sums_are_the_validation_images_of_each_class() -> None:
    assert per_class(COMPOSED).images.tolist() == ROWS
    stage1 = dict(zip(E1["stage1_labels"], per_class(STAGE1).images.tolist(), strict=True))
    rows = dict(zip(CLASSES, ROWS, strict=True))
    assert stage1 == {label: sum(rows[name] for name in GROUPS.get(label, [label])) for label in stage1}


@pytest.mark.parametrize("group", GROUPS)
def test_second_stages_are_as_accurate_as_the_study_says(group: str) -> None:
    """Within a standard error: the matrix is of the images that stage 1 sent, the study's figure of all of the group.

    The matrices' own: 252 of 267, 205 of 251, 142 of 178.
    """
    own = second_stage(group)[:-1, :-1]
    said = study_accuracy(STAGES[group]) / 100
    assert abs(accuracy(own) - said) < standard_error(said, int(own.sum()))


def test_stages_make_the_composed_matrix() -> None:
    for group, names in GROUPS.items():
        places = [CLASSES.index(name) for name in names]
        np.testing.assert_array_equal(COMPOSED[np.ix_(places, places)], second_stage(group)[:-1, :-1])
    labels = E1["stage1_labels"]
    stage1 = pd.DataFrame(STAGE1, index=labels, columns=labels)
    assert composed_correct(stage1, {group: pd.DataFrame(second_stage(group)) for group in GROUPS}) == 1069


def test_what_the_study_says_is_hard_to_tell_apart() -> None:
    """The study names kukuchoma with nyamachoma, and sukumawiki with ugali: the largest shares off the diagonal."""
    shares = COMPOSED / COMPOSED.sum(axis=1, keepdims=True)
    np.fill_diagonal(shares, 0)
    largest = np.argsort(-shares, axis=None)[:2]
    found = [(CLASSES[row], CLASSES[column]) for row, column in zip(*np.unravel_index(largest, (13, 13)), strict=True)]
    assert found == [("kukuchoma", "nyamachoma"), ("sukumawiki", "ugali")]
    recall = per_class(COMPOSED).recall
    assert [CLASSES[k] for k in np.argsort(recall)[:2]] == ["sukumawiki", "kukuchoma"]
    assert per_class(COMPOSED)["f1"].mean() < accuracy(COMPOSED), "the small classes are the hard ones"


def test_greedy_order_and_groups_are_the_studys() -> None:
    assert propose_groups(pd.DataFrame(COMPOSED, index=CLASSES, columns=CLASSES), 0.04) == GROUPS
    order = [CLASSES[k] for k in reorder(COMPOSED)]
    for names in GROUPS.values():
        places = sorted(order.index(name) for name in names)
        assert places == list(range(places[0], places[0] + len(names))), names


def test_times_of_epochs_give_a1(tmp_path: Path) -> None:
    """Eleven epochs, of which the first takes longer, as the study timed them."""
    reported = {id_: values["seconds_per_epoch"] for id_, values in groups()["A"].reported.items()}
    result = Result("finished", 1.0, 0.5, 0.5, 1, 11, 11.0, 0.1, 60.0, 5228, 1308, 10, 10, "cpu", "epochs")
    runs = {}
    for id_, seconds in reported.items():
        epochs = pd.DataFrame({"seconds": [3 * seconds, *(seconds + jitter for jitter in (-1, 1) * 5)]})
        runs[id_] = Run(tmp_path, id_, State.finished, result=result, metrics=epochs)
    (timing,) = tables(groups()["A"], runs)
    assert [row["seconds"] for row in timing.rows] == list(reported.values())
    assert [row["seconds_difference"] for row in timing.rows] == [0] * 16
