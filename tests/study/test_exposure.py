"""How often images are trained on in several splits, by hand and against scikit-learn."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import train_test_split

from kenyan13.data.tables import read_labels
from kenyan13.errors import UserError
from kenyan13.runs.predictions import prediction_table
from kenyan13.study.ensembles import STUDY_METHODS, combine_unseen, exposures, study_seeds

SEEDS = (42, 5174, 2123, 6993, 8133, 438, 3708, 888, 2984, 565, 6816, 2956, 1713, 2570, 1541)


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    """A folder with labels of 60 images of three classes, and no images."""
    rows = [f"{row:03},{'cab'[row % 3 if row < 45 else 0]}" for row in range(60)]
    (tmp_path / "train.csv").write_text("\n".join(["id,class", *rows]) + "\n")
    return tmp_path


def test_the_seeds_are_those_of_group_h() -> None:
    assert study_seeds() == SEEDS


def test_labels_are_read_without_images(labels: Path) -> None:
    labelled = read_labels(labels)
    assert labelled.ids[:3] == ("000", "001", "002")
    assert labelled.classes == ("a", "b", "c")
    assert labelled.targets[:4].tolist() == [2, 0, 1, 2]
    with pytest.raises(UserError, match=r"There is no train\.csv in .*nowhere"):
        read_labels(labels / "nowhere")


def test_exposures_count_the_training_parts(labels: Path) -> None:
    labelled = read_labels(labels)
    expected = np.zeros(60, dtype=int)
    for seed in (1, 2, 3):
        train = train_test_split(np.arange(60), test_size=0.2, stratify=labelled.targets, random_state=seed)[0]
        expected += np.isin(np.arange(60), train)
    assert exposures(labelled, (1, 2, 3)).tolist() == expected.tolist()
    assert exposures(labelled, (1, 1)).sum() == 2 * 48


def test_the_study_s_15_splits_of_the_real_labels(real_labels: Path) -> None:
    names = [line.split(",")[1] for line in (real_labels / "train.csv").read_text().split()[1:]]
    validated = np.zeros(6536, dtype=int)
    for seed in SEEDS:
        rows = train_test_split(np.arange(6536), test_size=0.2, stratify=names, shuffle=True, random_state=seed)[1]
        validated[rows] += 1
    counts = exposures(read_labels(real_labels), study_seeds())
    assert counts.tolist() == (15 - validated).tolist()
    assert np.bincount(15 - counts).tolist() == [245, 892, 1473, 1634, 1194, 670, 289, 104, 26, 6, 3]


def saved(ids: str, targets: str, probabilities: list[list[float]]) -> pd.DataFrame:
    """Predictions of images; a dot stands for an image without target."""
    return prediction_table(list(ids), "ab", np.array(probabilities), ["" if one == "." else one for one in targets])


# w has no label; x is validated by all runs, y by the second and third, z by the first.
RUNS = {
    "1": saved("wxz", ".ab", [[0.9, 0.1], [0.4, 0.6], [0.7, 0.3]]),
    "2": saved("xy", "ab", [[0.45, 0.55], [0.3, 0.7]]),
    "3": saved("yx", "ba", [[0.8, 0.2], [0.9, 0.1]]),
}


def test_unseen_images_are_predicted_by_hand() -> None:
    combined = combine_unseen(RUNS).loc[["x", "z", "y"]]
    assert combined["target"].tolist() == [0, 1, 1]
    assert combined["runs"].tolist() == [3, 1, 2]
    # x: sums 1.75 to 1.25, highest 0.9 for a, two votes to one for b. z: a. y: sums 1.1 to 0.9, 0.8 for a, a tie.
    assert combined[list(STUDY_METHODS)].to_dict("list") == {"AP": [0, 0, 0], "MP": [0, 0, 0], "V2": [1, 0, 0]}


def test_unseen_needs_the_same_classes_and_labels() -> None:
    with pytest.raises(UserError, match=r"2 has other classes \(a, c\)"):
        combine_unseen(RUNS | {"2": RUNS["2"].rename(columns={"b": "c"})})
    with pytest.raises(UserError, match="1 images have another label in 3"):
        combine_unseen(RUNS | {"3": RUNS["3"].assign(target="a")})


def test_the_real_labels_in_numbers(
    real_labels: Path, kenyan13: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    found = json.loads(kenyan13("study", "exposures", "--data", str(real_labels), "--json").stdout)
    assert (found["min"], found["max"], found["median"]) == (5, 15, 12)
    assert found["mean"] == pytest.approx(15 * 5228 / 6536)
    assert found["images_by_times_trained"]["15"] == 245
    assert sum(found["images_by_times_trained"].values()) == found["images"] == 6536
    text = kenyan13("study", "exposures", "--data", str(real_labels)).stdout
    assert "5 to 15, median 12" in text
    assert max(map(len, text.splitlines())) <= 80
