"""How often images are trained on in several splits, by hand and against scikit-learn."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import train_test_split

from kenyan13.errors import UserError
from kenyan13.runs.predictions import prediction_table
from kenyan13.study.exposure import exposures, read_labels, study_seeds, summarise, unseen

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
    assert labelled.labels()[:4].tolist() == [2, 0, 1, 2]
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


def test_summary_by_hand() -> None:
    summary = summarise(np.array([3, 1, 3, 2, 3, 0]), 3)
    assert (summary.images, summary.splits, summary.lowest, summary.highest) == (6, 3, 0, 3)
    assert summary.mean == 2
    assert summary.standard_deviation == pytest.approx((8 / 6) ** 0.5)  # squares of 1, -1, 1, 0, 1, -2
    assert summary.never_validated == 3
    assert summary.times_validated == (3, 1, 1, 1)


def test_the_study_s_15_splits_of_the_real_labels(real_labels: Path) -> None:
    names = [line.split(",")[1] for line in (real_labels / "train.csv").read_text().split()[1:]]
    validated = np.zeros(6536, dtype=int)
    for seed in SEEDS:
        rows = train_test_split(np.arange(6536), test_size=0.2, stratify=names, shuffle=True, random_state=seed)[1]
        validated[rows] += 1
    counts = exposures(read_labels(real_labels), study_seeds())
    assert counts.tolist() == (15 - validated).tolist()
    summary = summarise(counts, 15)
    assert summary.mean == pytest.approx(15 * 5228 / 6536)
    assert (summary.lowest, summary.highest, summary.never_validated) == (5, 15, 245)
    assert summary.times_validated == (245, 892, 1473, 1634, 1194, 670, 289, 104, 26, 6, 3)


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
    combined = unseen(RUNS)
    assert combined.ids == ("x", "z", "y")
    assert combined.targets.tolist() == [0, 1, 1]
    assert combined.runs.tolist() == [3, 1, 2]
    # x: sums 1.75 to 1.25, highest 0.9 for a, two votes to one for b. z: a. y: sums 1.1 to 0.9, 0.8 for a, a tie.
    assert combined.predictions["AP"].tolist() == [0, 0, 0]
    assert combined.predictions["MP"].tolist() == [0, 0, 0]
    assert combined.predictions["V2"].tolist() == [1, 0, 0]
    assert combined.accuracies() == pytest.approx({"AP": 1 / 3, "MP": 1 / 3, "V2": 0})
    assert combined.mean_runs() == 2


def test_unseen_needs_the_same_classes_and_labels() -> None:
    with pytest.raises(UserError, match=r"2 has other classes \(a, c\)"):
        unseen(RUNS | {"2": RUNS["2"].rename(columns={"b": "c"})})
    with pytest.raises(UserError, match="1 images have another label in 3"):
        unseen(RUNS | {"3": RUNS["3"].assign(target="a")})


def test_unseen_combines_what_a_loop_combines() -> None:
    draw = np.random.default_rng(5)
    targets = draw.integers(0, 3, 40)
    parts = [draw.choice(40, 12, replace=False) for _ in range(6)]
    runs = {
        str(number): prediction_table(
            [f"p{k}" for k in part], "abc", draw.dirichlet(np.ones(3), size=12), np.array(list("abc"))[targets[part]]
        )
        for number, part in enumerate(parts)
    }
    combined = unseen(runs)
    assert set(combined.ids) == {f"p{k}" for part in parts for k in part}
    for row, id_ in enumerate(combined.ids):
        own = [run.loc[id_, list("abc")].to_numpy(float) for run in runs.values() if id_ in run.index]
        assert combined.runs[row] == len(own)
        assert combined.targets[row] == targets[int(id_[1:])]
        assert combined.predictions["AP"][row] == np.sum(own, axis=0).argmax()
        assert combined.predictions["MP"][row] == np.max(own, axis=0).argmax()
