"""The two stages put together: a case by hand, the study's arithmetic, and runs that do not go together."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hand_made import composed_correct

from kenyan13.analysis.cascade import compose, read_stages
from kenyan13.cli.combine import matrix_text
from kenyan13.config.compose import compose_settings
from kenyan13.errors import UserError
from kenyan13.runs.config_file import write_config
from kenyan13.runs.predictions import classes_of, prediction_table, probabilities_of, scores, write_predictions

ROOT = Path(__file__).parents[2]
MEATS = ["kukuchoma", "nyamachoma"]

# By hand: classes a to d; group g of a and c. Rows: a right; a sent to d; c sent to g and taken for a; b sent to g,
# where soft gating still finds b; d right.
FIRST = prediction_table(
    list("12345"), ("b", "d", "g"),
    np.array([[0.1, 0.1, 0.8], [0.2, 0.5, 0.3], [0.1, 0.2, 0.7], [0.4, 0.0, 0.6], [0.1, 0.8, 0.1]]), list("gggbd"),
)  # fmt: skip
SECOND = prediction_table(
    list("12345"), ("a", "c"), np.array([[0.75, 0.25], [1.0, 0.0], [0.6, 0.4], [0.5, 0.5], [0.5, 0.5]]),
    ["a", "a", "c", "", ""],
)  # fmt: skip
BY_HAND = {"first": FIRST, "g": SECOND}


def test_a_case_by_hand() -> None:
    composed = compose(BY_HAND)
    assert classes_of(composed.hard) == ("a", "b", "c", "d")
    assert "".join(composed.hard["target"]) == "aacbd"
    soft = [
        [0.6, 0.1, 0.2, 0.1], [0.3, 0.2, 0.0, 0.5], [0.42, 0.1, 0.28, 0.2], [0.3, 0.4, 0.3, 0.0],
        [0.05, 0.1, 0.05, 0.8],
    ]  # fmt: skip
    np.testing.assert_allclose(probabilities_of(composed.soft), soft, atol=1e-7)
    hard = [[0.75, 0.0, 0.25, 0.0], [0, 0, 0, 1.0], [0.6, 0, 0.4, 0], [0.5, 0, 0.5, 0], [0, 0, 0, 1.0]]
    np.testing.assert_allclose(probabilities_of(composed.hard), hard, atol=1e-7)
    assert composed.matrices["hard"].to_numpy().tolist() == [[1, 0, 0, 1], [1, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1]]
    assert composed.matrices["soft"].to_numpy().tolist() == [[1, 0, 0, 1], [0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1]]
    hard_metrics, soft_metrics = scores(composed.hard), scores(composed.soft)
    assert (hard_metrics["accuracy"], soft_metrics["accuracy"]) == (0.4, 0.6)
    # F1 of a, b, c, d: 2/5, 0, 0, 2/3 with hard gating; 1/2, 1, 0, 2/3 with soft gating
    assert hard_metrics["macro_f1"] == pytest.approx((0.4 + 2 / 3) / 4)
    assert soft_metrics["macro_f1"] == pytest.approx((0.5 + 1 + 2 / 3) / 4)
    stage1, group = composed.matrices["stage1"], composed.matrices["g"]
    assert stage1.to_numpy().tolist() == [[0, 0, 1], [0, 1, 0], [0, 1, 2]]
    assert group.to_numpy().tolist() == [[1, 0, 0], [1, 0, 0], [1, 0, 0]]
    assert list(group.index) == list(group.columns) == ["a", "c", "not in this group"]
    assert composed_correct(stage1, {"g": group}) == 2


def test_labels_that_contradict_each_other_are_refused() -> None:
    for targets in (["a", "a", "", "", ""], ["a", "a", "c", "c", ""]):
        with pytest.raises(UserError, match=r"different labels for the images [34]"):
            compose({"first": FIRST, "g": SECOND.assign(target=targets)})


def frame(counts: list[list[int]], *names: str) -> pd.DataFrame:
    return pd.DataFrame(counts, index=list(names), columns=list(names))


# What the study reported of its stages, and of the two together: 1,069 of 1,308 right.
STUDY_STAGE1 = frame(
    [
        [91, 0, 1, 0, 0, 0, 3, 0, 1], [0, 121, 0, 0, 0, 0, 1, 1, 1], [0, 0, 82, 0, 0, 0, 3, 2, 1],
        [1, 1, 1, 79, 1, 1, 8, 1, 4], [1, 1, 2, 1, 34, 0, 0, 0, 3], [0, 0, 0, 1, 0, 63, 0, 0, 2],
        [0, 4, 1, 3, 2, 6, 267, 4, 11], [3, 4, 2, 1, 0, 8, 10, 251, 12], [4, 1, 0, 6, 0, 1, 4, 12, 178],
    ],
    "githeri", "mandazi", "masalachips", "matoke", "mukimo", "pilau", "group1", "group2", "group3",
)  # fmt: skip
STUDY_STAGE2 = {
    "group1": frame([[95, 7, 0], [8, 157, 0], [15, 14, 0]], "bhaji", "chapati", "not"),
    "group2": frame(
        [[68, 3, 9, 0], [1, 20, 12, 0], [11, 10, 117, 0], [12, 2, 6, 0]],
        "kachumbari", "kukuchoma", "nyamachoma", "not",
    ),
    "group3": frame([[43, 21, 0], [15, 99, 0], [8, 27, 0]], "sukumawiki", "ugali", "not"),
}  # fmt: skip


def test_the_studys_matrices_add_up_to_its_result() -> None:
    assert composed_correct(STUDY_STAGE1, STUDY_STAGE2) == 1069
    assert STUDY_STAGE1.to_numpy().sum() == 1308
    sent = {"group1": 296, "group2": 271, "group3": 213}
    assert {group: STUDY_STAGE1[group].sum() for group in sent} == sent
    assert {group: matrix.to_numpy().sum() for group, matrix in STUDY_STAGE2.items()} == sent


def test_matrices_that_do_not_fit_together_are_noticed() -> None:
    for row in (0, 2):
        changed = STUDY_STAGE2["group1"].copy()
        changed.iloc[row, 1] = 15
        with pytest.raises(ValueError, match="Stage 1 sent 296 images to group1, 267 of them its own"):
            composed_correct(STUDY_STAGE1, STUDY_STAGE2 | {"group1": changed})


def test_putting_stages_together_needs_no_torch() -> None:
    code = (
        "import sys, kenyan13.analysis.cascade, kenyan13.analysis.cascade; print({'torch', 'timm'} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert run.stdout == "set()\n"


def test_thirteen_classes_fit_into_a_terminal() -> None:
    counts = np.arange(169).reshape(13, 13) * 5
    matrix = pd.DataFrame(counts, index=[f"long_class{k:08}" for k in range(13)]).set_axis(range(13), axis=1)
    lines = matrix_text(matrix).splitlines()
    assert {len(line) for line in lines} == {80}
    assert lines[0].split() == [str(k) for k in range(1, 14)]
    assert lines[1].split()[:4] == ["1", "lon...000000", ".", "5"]


def write_stage(folder: Path, ids: str, *overrides: str) -> Path:
    """Write what `read_stages` needs of a run."""
    folder.mkdir()
    write_config(folder, compose_settings(["data=demo", *overrides]), {"classes": MEATS})
    table = prediction_table(list(ids), MEATS, np.ones((len(ids), 2)), np.zeros(len(ids), dtype=np.int64))
    write_predictions(folder / "predictions.csv", table)
    return folder


def test_stages_that_do_not_go_together_are_refused(tmp_path: Path) -> None:
    def refused(message: str, *folders: Path) -> None:
        with pytest.raises(UserError, match=message):
            read_stages(folders)

    group = "data.groups={meats:[kukuchoma,nyamachoma]}"
    first = write_stage(tmp_path / "first", "ab", group, "data.stage=first")
    meats = write_stage(tmp_path / "meats", "ab", "data.groups={meats:[nyamachoma,kukuchoma]}", "data.stage=meats")
    others = write_stage(tmp_path / "others", "ac", group, "data.stage=meats")
    wide = write_stage(tmp_path / "wide", "ab", "data.groups={meats:[kukuchoma,ugali]}", "data.stage=meats")
    plain = write_stage(tmp_path / "plain", "ab")
    assert list(read_stages([meats, first]).keys() - {"first"}) == ["meats"], "the order of members does not matter"
    refused("There is no run of stage meats among these", first)
    refused("There is no run of stage first among these", meats)
    refused("others are both of data.stage=meats", first, meats, others)
    refused("have different data.groups", first, wide)
    refused("have different validation images", first, others)
    refused("plain is no stage of a two-stage classifier", first, plain)
    refused("is no run directory. Did you mean 'meats'", first, tmp_path / "meat")
