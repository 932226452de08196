"""Weights of an averaged ensemble: the optimum by hand and by search, and what is tuned on what."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from kenyan13.analysis.alignment import Aligned
from kenyan13.analysis.ensemble import Classes, Probabilities
from kenyan13.analysis.ensemble_weights import (
    group_folds,
    mean_over_folds,
    name_of,
    nested_predictions,
    out_of_fold,
    tune,
    weighted_average,
)
from kenyan13.config.compose import compose_settings
from kenyan13.errors import UserError
from kenyan13.runs.config_file import write_config
from kenyan13.runs.predictions import write_predictions, write_test_predictions
from kenyan13.runs.run import read_run

CLASSES = ("a", "b", "c")


def log_loss(weights: NDArray[np.float64], probabilities: Probabilities, targets: Classes) -> float:
    mixed = np.tensordot(weights, probabilities, axes=1)
    return float(-np.log(mixed[np.arange(len(targets)), targets]).mean())


def noisy(targets: Classes, *certainties: float, seed: int = 0) -> Probabilities:
    """Probabilities of models that are the more often right the higher their certainty; [models, n, 3]."""
    draw = np.random.default_rng(seed)
    logits = draw.normal(size=(len(certainties), len(targets), 3))
    logits += np.array(certainties)[:, None, None] * np.eye(3)[targets]
    exponents = np.exp(logits)
    return np.asarray(exponents / exponents.sum(axis=2, keepdims=True))


def test_weights_by_hand() -> None:
    # p(true class) of two models on three images: 0.9 0.9 0.1 and 0.1 0.1 0.9. With weight w of the first the
    # likelihood is (0.1 + 0.8 w)^2 (0.9 - 0.8 w), highest where 2 (0.9 - 0.8 w) = 0.1 + 0.8 w: w = 1.7 / 2.4.
    targets = np.array([0, 0, 0])
    first, second = [[0.9, 0.1], [0.9, 0.1], [0.1, 0.9]], [[0.1, 0.9], [0.1, 0.9], [0.9, 0.1]]
    weights = tune(np.array([first, second]), targets)
    assert weights == pytest.approx([1.7 / 2.4, 0.7 / 2.4], abs=1e-3)
    assert weights.sum() == pytest.approx(1, abs=1e-12)


def test_a_model_that_is_worse_everywhere_gets_no_weight() -> None:
    targets = np.array([0, 1, 1, -1])
    good = np.array([[0.9, 0.1], [0.2, 0.8], [0.3, 0.7], [0.5, 0.5]])
    weights = tune(np.stack([np.full_like(good, 0.5), good]), targets)
    assert weights == pytest.approx([0, 1], abs=1e-4)


def test_no_other_weights_have_a_lower_log_loss() -> None:
    targets = np.random.default_rng(1).integers(0, 3, 300)
    probabilities = noisy(targets, 0.5, 1.0, 1.2, 2.0)
    weights = tune(probabilities, targets)
    lowest = log_loss(weights, probabilities, targets)
    others = np.random.default_rng(2).dirichlet(np.ones(4), size=2000)
    near = (others[:500] * 0.01 + weights) / 1.01
    assert lowest <= min(log_loss(other, probabilities, targets) for other in [*others, *near]) + 1e-6


def test_a_probability_of_zero_is_no_obstacle() -> None:
    probabilities = np.array([[[0.0, 1.0], [1.0, 0.0]], [[0.0, 1.0], [0.6, 0.4]]])
    weights = tune(probabilities, np.array([0, 0]))
    assert weights == pytest.approx([1, 0], abs=1e-4)


def test_weighted_average_by_hand() -> None:
    probabilities = np.array([[[0.6, 0.4]], [[0.1, 0.9]]])  # with weight w of the first: 0.1 + 0.5 w to 0.9 - 0.5 w
    assert weighted_average(probabilities, np.array([0.9, 0.1])).tolist() == [0]
    assert weighted_average(probabilities, np.array([0.7, 0.3])).tolist() == [1]


def test_nested_predictions_of_a_fold_do_not_see_its_targets() -> None:
    targets = np.random.default_rng(3).integers(0, 3, 60)
    folds = np.arange(60) % 3
    aligned = Aligned(tuple(map(str, range(60))), CLASSES, targets, noisy(targets, 0.2, 0.3, 0.4))
    expected = np.empty(60, dtype=np.int64)
    for fold in range(3):
        weights = tune(aligned.probabilities[:, folds != fold], targets[folds != fold])
        mixed = sum(w * p for w, p in zip(weights, aligned.probabilities, strict=True))
        expected[folds == fold] = np.asarray(mixed)[folds == fold].argmax(axis=1)
    assert nested_predictions(aligned, folds).tolist() == expected.tolist()
    changed = Aligned(aligned.ids, CLASSES, np.where(folds == 1, (targets + 1) % 3, targets), aligned.probabilities)
    inside = folds == 1
    assert nested_predictions(changed, folds)[inside].tolist() == expected[inside].tolist()


def write_folds(root: Path, name: str, probabilities: Probabilities, targets: Classes, *settings: str) -> list[Path]:
    """Write run directories of three folds of a model, image k in fold k modulo 3, and two test images."""
    folders = []
    for fold in range(3):
        folder = root / f"{name}{fold}"
        folder.mkdir()
        write_config(
            folder,
            compose_settings(["data.folds=3", f"data.fold={fold}", f"data.root=disk{fold}", *settings]),
            {"classes": []},
        )
        rows = np.arange(fold, len(targets), 3)
        write_predictions(
            folder, [f"p{k}" for k in rows], CLASSES, targets[rows], probabilities[rows].astype(np.float32)
        )
        test = np.array([[0.1 * fold, 1 - 0.1 * fold, 0], [0.2, 0.2, 0.6]], dtype=np.float32)
        write_test_predictions(folder, ["t0", "t1"], CLASSES, test)
        folders.append(folder)
    return folders


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    targets = np.arange(12) % 3
    poor, good = noisy(targets, 0.3, 3.0)
    return [
        *write_folds(tmp_path, "poor", poor, targets),
        *write_folds(tmp_path, "good", good, targets, "optim.lr=0.1"),
    ]


def test_runs_are_grouped_by_all_settings_but_the_fold(folders: list[Path]) -> None:
    models = group_folds([*map(read_run, folders[::-1])])
    assert [[run.folder.name for run in model] for model in models] == [
        ["good0", "good1", "good2"],
        ["poor0", "poor1", "poor2"],
    ]
    assert name_of(models[0]) == str(folders[3])


def test_folds_are_pooled_in_one_order_and_averaged_for_the_test(folders: list[Path]) -> None:
    models = group_folds([*map(read_run, folders)])
    aligned, folds = out_of_fold(models)
    assert aligned.ids == tuple(f"p{k}" for k in (0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11))
    assert folds.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert aligned.targets.tolist() == folds.tolist()
    assert aligned.probabilities[:, 1] == pytest.approx(noisy(np.arange(12) % 3, 0.3, 3.0)[:, 3], abs=1e-6)
    test = mean_over_folds(models)
    assert test.ids == ("t0", "t1")
    assert test.probabilities[1] == pytest.approx(np.array([[0.1, 0.9, 0], [0.2, 0.2, 0.6]]), abs=1e-6)
    assert tune(aligned.probabilities, aligned.targets)[1] > 0.95


def test_what_cannot_be_weighed_is_said(folders: list[Path], tmp_path: Path) -> None:
    def message(given: Sequence[Path]) -> str:
        with pytest.raises(UserError) as caught:
            group_folds([*map(read_run, given)])
        return str(caught.value)

    assert "no run for data.fold=1" in message([*folders[:4], folders[5]])
    assert "All runs are folds of one model" in message(folders[:3])
    assert "data.fold=0,1,2,3,4" in message(folders[:3])
    (tmp_path / "again").mkdir()
    (tmp_path / "again" / "config.yaml").write_bytes((folders[0] / "config.yaml").read_bytes())
    assert "the same fold of the same model" in message([*folders, tmp_path / "again"])
    (tmp_path / "plain").mkdir()
    write_config(tmp_path / "plain", compose_settings(), {"classes": []})
    assert "plain is no fold" in message([*folders, tmp_path / "plain"])


def test_an_image_in_two_folds_is_a_mistake(folders: list[Path]) -> None:
    (folders[1] / "predictions.csv").write_bytes((folders[0] / "predictions.csv").read_bytes())
    with pytest.raises(UserError, match="4 images are in more than one fold"):
        out_of_fold(group_folds([*map(read_run, folders)]))
