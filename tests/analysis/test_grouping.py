"""Groups from confusion matrices: small ones by hand, and the study's."""

import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from kenyan13 import cli
from kenyan13.analysis.cascade import as_setting, mutual_confusion, propose_groups, reorder
from kenyan13.config.compose import compose_settings
from kenyan13.runs.config_file import write_config
from kenyan13.runs.predictions import prediction_table, write_predictions

CLASSES = (
    "bhaji", "chapati", "githeri", "kachumbari", "kukuchoma", "mandazi", "masalachips", "matoke", "mukimo",
    "nyamachoma", "pilau", "sukumawiki", "ugali",
)  # fmt: skip
# The study's two-stage classifier on its 1,308 validation images (E. Two stages).
STUDY = np.array([
    [95, 7, 0, 2, 0, 4, 1, 2, 2, 1, 5, 1, 6], [8, 157, 0, 1, 0, 0, 0, 1, 0, 0, 1, 1, 3],
    [1, 2, 91, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1], [2, 1, 2, 68, 3, 2, 0, 0, 0, 9, 4, 2, 6],
    [0, 0, 0, 1, 20, 0, 1, 1, 0, 12, 0, 0, 0], [1, 0, 0, 0, 1, 121, 0, 0, 0, 0, 0, 0, 1],
    [3, 0, 0, 1, 1, 0, 82, 0, 0, 0, 0, 0, 1], [6, 2, 1, 0, 0, 1, 1, 79, 1, 1, 1, 1, 3],
    [0, 0, 1, 0, 0, 1, 2, 1, 34, 0, 0, 1, 2], [2, 5, 1, 11, 10, 2, 1, 0, 0, 117, 4, 0, 4],
    [0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 63, 2, 0], [0, 3, 4, 3, 0, 1, 0, 3, 0, 1, 1, 43, 21],
    [0, 1, 0, 5, 0, 0, 0, 3, 0, 3, 0, 15, 99],
])  # fmt: skip
STUDY_GROUPS = {
    "group1": ["bhaji", "chapati"],
    "group2": ["kachumbari", "kukuchoma", "nyamachoma"],
    "group3": ["sukumawiki", "ugali"],
}
# Of 10 images a class: 0 and 3 are confused 6 times, 3 and 1 twice, 2 and 0 once.
SMALL = np.array([[6, 0, 1, 3], [0, 9, 0, 1], [0, 0, 10, 0], [3, 1, 0, 6]])


def named(counts: NDArray[np.int64], classes: Sequence[str]) -> pd.DataFrame:
    return pd.DataFrame(counts, index=list(classes), columns=list(classes))


def test_mutual_confusion_by_hand() -> None:
    expected = [[0, 0, 0.05, 0.3], [0, 0, 0, 0.1], [0.05, 0, 0, 0], [0.3, 0.1, 0, 0]]
    np.testing.assert_allclose(mutual_confusion(SMALL), expected)
    assert SMALL[0, 0] == 6, "the argument stays as it was"
    np.testing.assert_array_equal(mutual_confusion(np.zeros((2, 2), dtype=np.int64)), np.zeros((2, 2)))


def test_order_by_hand() -> None:
    assert reorder(SMALL) == [2, 0, 3, 1]  # 0-3 together; 1 beside 3 (0.1); 2 beside 0 (0.05)
    assert sorted(reorder(np.eye(3, dtype=np.int64))) == [0, 1, 2]
    assert reorder(np.ones((1, 1), dtype=np.int64)) == [0]


@pytest.mark.parametrize(
    ("threshold", "groups"),
    [(0.3, []), (0.29, ["ad"]), (0.05, ["ad"]), (0.04, ["abd"]), (0.01, ["abcd"])],
)
def test_groups_by_hand(threshold: float, groups: list[str]) -> None:
    """Joined: a-d at 0.3; then b to {a, d} at (0 + 0.1) / 2 = 0.05; c to {a, b, d} at 0.05 / 3 = 0.017."""
    found = propose_groups(named(SMALL, "abcd"), threshold)
    assert found == {f"group{k}": list(group) for k, group in enumerate(groups, start=1)}


def test_the_studys_groups_are_proposed_from_its_matrix() -> None:
    assert STUDY.sum() == 1308
    assert propose_groups(named(STUDY, CLASSES), 0.04) == STUDY_GROUPS
    for threshold in (0.026, 0.03, 0.05):
        assert propose_groups(named(STUDY, CLASSES), threshold) == STUDY_GROUPS


def test_neighbours_in_the_studys_order() -> None:
    order = [CLASSES[k] for k in reorder(STUDY)]
    assert sorted(order) == list(CLASSES)
    for group in STUDY_GROUPS.values():
        places = sorted(map(order.index, group))
        assert places == list(range(places[0], places[0] + len(group)))


def test_the_setting_is_read_back_as_it_was() -> None:
    assert as_setting({"g": ["a", "b"], "h": ["c", "d"]}) == "'data.groups={g:[a,b],h:[c,d]}'"
    odd = ["rock & roll", "it's", 'a"b', "end\\", 'back\\"slash', "a,b", "{x}", "null", "1e3", "café", "a:b", "x=y"]
    [word] = shlex.split(as_setting({"group1": odd}))
    assert compose_settings(["data=demo", word]).data.groups == {"group1": odd}


Lines = Callable[..., list[str]]


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Lines:
    """The lines that `kenyan13 groups ARGUMENTS` prints."""

    def command(*arguments: str) -> list[str]:
        monkeypatch.setattr(sys, "argv", ["kenyan13", "groups", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out = capsys.readouterr()
        assert not ended.value.code, out.err
        return out.out.splitlines()

    return command


def test_the_command_prints_matrix_and_setting(lines: Lines, tmp_path: Path) -> None:
    targets, answers = (np.repeat(axis.ravel(), STUDY.ravel()) for axis in np.indices(STUDY.shape))
    write_config(tmp_path, compose_settings(["name=best"]), {"classes": list(CLASSES)})
    outside = np.full(3, -1)  # images of no class of the run do not count
    probabilities = np.eye(13, dtype=np.float32)[np.concatenate([answers, np.zeros(3, dtype=np.int64)])]
    ids = [str(k) for k in range(1311)]
    table = prediction_table(ids, CLASSES, probabilities, np.concatenate([targets, outside]))
    write_predictions(tmp_path / "predictions.csv", table)
    printed = lines(str(tmp_path))
    setting = (
        "'data.groups={group1:[bhaji,chapati],group2:[kachumbari,kukuchoma,nyamachoma],group3:[sukumawiki,ugali]}'"
    )
    assert printed[-1] == setting
    matrix = printed[2:16]
    assert [line.split()[1] for line in matrix[1:]] == [CLASSES[k] for k in reorder(STUDY)]
    first = [str(count or ".") for count in STUDY[reorder(STUDY)[0], reorder(STUDY)]]
    assert matrix[1].split()[2:] == first
    assert {len(line) for line in matrix} == {len(matrix[0])}
    assert max(map(len, printed[:-1])) <= 80
    assert lines(str(tmp_path), "--threshold", "0.2")[-1].startswith("No classes are confused above 0.2")
