"""The metrics of predictions: by hand, against scikit-learn on labels, and against torchmetrics."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.metrics import (
    confusion_matrix,
    precision_recall_fscore_support,
    top_k_accuracy_score,
)
from torchmetrics.functional.classification import multiclass_calibration_error

from kenyan13.metrics.classification import (
    per_class,
    reliability,
    top_accuracy,
)

Drawn = tuple[NDArray[np.int64], NDArray[np.float64]]
# Classes 0 to 3; class 2 is never predicted, class 3 is neither a target nor a prediction.
TARGETS, PREDICTIONS = np.array([0, 0, 0, 1, 1, 2]), np.array([0, 0, 1, 1, 0, 0])
COUNTS = [[2, 1, 0, 0], [1, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]


@pytest.fixture(params=[0, 1, 2])
def drawn(request: pytest.FixtureRequest) -> Drawn:
    """Targets of 400 images of 13 classes, and probabilities that favour the targets."""
    draw = np.random.default_rng(request.param)
    targets = draw.integers(0, 13, 400)
    logits = draw.normal(0, 1.5, (400, 13)) + 2 * np.eye(13)[targets]
    return targets, np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


def test_per_class_by_hand() -> None:
    found = per_class(np.array(COUNTS))
    np.testing.assert_allclose(found.precision, [2 / 4, 1 / 2, 0, 0])
    np.testing.assert_allclose(found.recall, [2 / 3, 1 / 2, 0, 0])
    np.testing.assert_allclose(found.f1, [4 / 7, 1 / 2, 0, 0])
    assert found.images.tolist() == [3, 2, 1, 0]


def test_bins_without_images() -> None:
    assert reliability(np.array([], np.int64), np.zeros((0, 2)), 2).count.tolist() == [0, 0]


def test_counts_agree_with_scikit_learn(drawn: Drawn) -> None:
    targets, probabilities = drawn
    predictions = probabilities.argmax(axis=1)
    confusion = confusion_matrix(targets, predictions, labels=range(13))
    theirs = precision_recall_fscore_support(targets, predictions, labels=range(13), zero_division=0)
    found = per_class(confusion)
    for name, reference in zip(("precision", "recall", "f1", "images"), theirs, strict=True):
        np.testing.assert_allclose(found[name], reference, rtol=0, atol=1e-12)


@pytest.mark.parametrize("k", [1, 2, 5, 13])
def test_top_accuracy_is_scikit_learns(drawn: Drawn, k: int) -> None:
    targets, probabilities = drawn
    theirs = 1.0 if k == 13 else top_k_accuracy_score(targets, probabilities, k=k, labels=range(13))
    assert top_accuracy(targets, probabilities, k) == pytest.approx(theirs)


def test_top_accuracy_by_hand() -> None:
    probabilities = np.array([[0.5, 0.3, 0.2], [0.5, 0.3, 0.2], [0.5, 0.3, 0.2], [0.2, 0.4, 0.4], [0.4, 0.3, 0.3]])
    targets = np.array([0, 1, 2, 2, 2])
    assert top_accuracy(targets, probabilities, 1) == 0.2
    assert top_accuracy(targets, probabilities) == 0.6  # of equals the first: the last image's class 2 is third
    assert top_accuracy(targets, probabilities, 3) == top_accuracy(targets, probabilities, 9) == 1


def test_reliability_by_hand() -> None:
    """Two bins: 0.5 is in the lower one, which is closed above; 0.6, 0.8 and 1 in the upper one."""
    probabilities = np.array([[0.5, 0.3, 0.2], [0.6, 0.2, 0.2], [0.1, 0.8, 0.1], [0, 0, 1.0]])
    targets = np.array([0, 1, 1, 2])
    found = reliability(targets, probabilities, 2)
    assert found.edges.tolist() == [0, 0.5, 1]
    assert found.count.tolist() == [1, 3]
    assert found.confidence == pytest.approx([0.5, 0.8])
    assert found.accuracy == pytest.approx([1, 2 / 3])
    assert found.error == pytest.approx((1 * 0.5 + 3 * (0.8 - 2 / 3)) / 4)


def test_empty_bins_are_zeros() -> None:
    found = reliability(np.array([0, 1]), np.array([[0.9, 0.1], [0.95, 0.05]]), 4)
    assert found.count.tolist() == [0, 0, 0, 2]
    assert found.confidence.tolist() == [0, 0, 0, pytest.approx(0.925)]
    assert found.accuracy.tolist() == [0, 0, 0, 0.5]


def test_rounding_above_one_stays_in_the_last_bin() -> None:
    above = np.array([[np.nextafter(np.float32(1), np.float32(2)), 0]], dtype=np.float64)
    assert reliability(np.array([0]), above, 3).count.tolist() == [0, 0, 1]


def test_calibration_error_is_torchmetrics(drawn: Drawn) -> None:
    targets, probabilities = drawn
    theirs = multiclass_calibration_error(
        torch.tensor(probabilities), torch.tensor(targets), num_classes=13, n_bins=15, norm="l1"
    )
    assert reliability(targets, probabilities).error == pytest.approx(float(theirs), abs=1e-6)
