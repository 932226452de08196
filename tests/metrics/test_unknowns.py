"""Classes that are left out: told from the others where they lie apart, and not where they are mixed."""

import numpy as np
import pytest
from numpy.typing import NDArray

from kenyan13.metrics.uncertainty import left_out_classes


def blobs(spread: float, classes: int, seed: int, images: int = 60) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Features of length 1 of classes around the axes of 16 dimensions."""
    draw = np.random.default_rng(seed)
    targets = np.repeat(np.arange(classes), images)
    features = np.eye(16)[targets] + spread * draw.normal(size=(len(targets), 16))
    return features / np.linalg.norm(features, axis=1, keepdims=True), targets


def test_classes_apart_are_noticed() -> None:
    found = left_out_classes(*blobs(0.05, 5, seed=0), *blobs(0.05, 5, seed=1))
    assert [*found] == [0, 1, 2, 3, 4]
    assert min(found.values()) > 0.98


def test_mixed_classes_are_not() -> None:
    (train, _), (images, _) = blobs(10, 4, seed=2), blobs(10, 4, seed=3)
    draw = np.random.default_rng(4)
    found = left_out_classes(train, draw.integers(0, 4, len(train)), images, draw.integers(0, 4, len(images)))
    assert [*found.values()] == pytest.approx([0.5] * 4, abs=0.12)


def test_classes_that_cannot_be_left_out_are_left_away() -> None:
    train, targets = blobs(0.05, 3, seed=0)
    images, others = blobs(0.05, 3, seed=1)
    assert [*left_out_classes(train, targets, images[others < 2], others[others < 2])] == [0, 1]
    two = targets < 2  # without one of two, there is nothing to tell apart
    assert left_out_classes(train[two], targets[two], images, others) == {}
    one = others == 0  # no others to tell it from
    assert left_out_classes(train, targets, images[one], others[one]) == {}
