"""Measures of class probabilities and of confusion matrices (rows: targets, columns: answers); shares are 0..1."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BINS = 15  # of confidence (Guo et al., On Calibration of Modern Neural Networks, arXiv 1706.04599)


@dataclass(frozen=True)
class PerClass:
    """Precision, recall and F1 of each class, float64 [classes], 0..1; images: int64 [classes], their number."""

    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    f1: NDArray[np.float64]
    images: NDArray[np.int64]


@dataclass(frozen=True)
class Reliability:
    """How often the answers of about the same confidence are right, by bins of confidence of equal width.

    edges: float64 [bins + 1], 0 to 1; count: int64 [bins]; confidence, accuracy: float64 [bins], means, 0 where a bin
    is empty.
    """

    edges: NDArray[np.float64]
    count: NDArray[np.int64]
    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]


def confusion_counts(targets: NDArray[np.int64], answers: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """Return the confusion matrix, int64 [classes, classes]: rows are targets, columns are answers.

    targets, answers: int64 [n], 0 to classes - 1; raises ValueError for others, as for a target of -1.
    """
    for places in (targets, answers):
        if ((places < 0) | (places >= classes)).any():
            raise ValueError(f"Classes are counted from 0 to {classes - 1}.")
    counts = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(counts, (targets, answers), 1)
    return counts


def row_shares(confusion: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return each row of a confusion matrix divided by its sum, float64 [classes, classes]; empty rows are zeros."""
    shares: NDArray[np.float64] = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    return shares


def accuracy(confusion: NDArray[np.int64]) -> float:
    """Return the share of images on the diagonal: micro accuracy. Raises ValueError for an empty matrix."""
    total = confusion.sum()
    if not total:
        raise ValueError("A confusion matrix without images has no accuracy.")
    return float(np.trace(confusion) / total)


def per_class(confusion: NDArray[np.int64]) -> PerClass:
    """Return each class's precision tp / (tp + fp), recall tp / (tp + fn), F1 2 tp / (2 tp + fp + fn); 0 for 0 / 0."""
    right = np.diag(confusion).astype(np.float64)
    answered, images = confusion.sum(axis=0), confusion.sum(axis=1)

    def share(of: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.divide(right, of, out=np.zeros_like(right), where=of > 0)

    return PerClass(share(answered), share(images), 2 * share(answered + images), images)


def macro_f1(confusion: NDArray[np.int64]) -> float:
    """Return the mean F1 over the classes that occur in targets or answers, as scikit-learn has it."""
    occurs = (confusion.sum(axis=0) + confusion.sum(axis=1)) > 0
    return float(per_class(confusion).f1[occurs].mean()) if occurs.any() else 0.0


def top_accuracy(targets: NDArray[np.int64], probabilities: NDArray[np.float64], k: int = 2) -> float:
    """Return the share of images whose target is among the k most probable classes; of equals the first ones count.

    targets: int64 [n]; probabilities: float [n, classes]. Raises ValueError without images.
    """
    if not len(targets):
        raise ValueError("Without images there is no accuracy.")
    best = np.argsort(-probabilities, axis=1, kind="stable")[:, :k]
    return float((best == targets[:, None]).any(axis=1).mean())


def precision_recall(
    positive: NDArray[np.bool_], scores: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return precision and recall, 0..1, of the images with the highest scores: none (1 and 0), then more and more.

    positive: which images are of the class, bool [n], at least one; scores: float [n]. Images of equal scores come
    in together. Recall never falls, and ends with 1 where the last positive is in.
    """
    order = np.argsort(-scores, kind="stable")
    right = np.cumsum(positive[order])
    last = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))  # of the images with the same score
    last = last[: int(np.searchsorted(right[last], right[-1])) + 1]
    precision, recall = right[last] / (last + 1), right[last] / right[-1]
    return np.concatenate([[1.0], precision]), np.concatenate([[0.0], recall])


def average_precision(precision: NDArray[np.float64], recall: NDArray[np.float64]) -> float:
    """Return the sum over the points of `precision_recall` of precision times the gain in recall, 0..1."""
    return float((np.diff(recall) * precision[1:]).sum())


def reliability(targets: NDArray[np.int64], probabilities: NDArray[np.float64], bins: int = BINS) -> Reliability:
    """Return confidence (the highest probability) and accuracy by bins of confidence, each open below, closed above.

    targets: int64 [n]; probabilities: float [n, classes], rows sum to 1. Source: arXiv 1706.04599, section 2.
    """
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == targets
    edges = np.linspace(0, 1, bins + 1)
    place = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, bins - 1)
    count = np.bincount(place, minlength=bins)
    sums = (np.bincount(place, weights=values, minlength=bins) for values in (confidence, right))
    means = [np.divide(total, count, out=np.zeros(bins), where=count > 0) for total in sums]
    return Reliability(edges, count, means[0], means[1])


def expected_calibration_error(
    targets: NDArray[np.int64], probabilities: NDArray[np.float64], bins: int = BINS
) -> float:
    """Return the mean of |accuracy - confidence| over bins, weighted by their images, 0..1 (arXiv 1706.04599).

    targets: int64 [n]; probabilities: float [n, classes]. Raises ValueError without images.
    """
    if not len(targets):
        raise ValueError("Without images there is no calibration error.")
    found = reliability(targets, probabilities, bins)
    return float((found.count * np.abs(found.accuracy - found.confidence)).sum() / found.count.sum())
