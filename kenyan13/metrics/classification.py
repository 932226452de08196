"""Metrics of class probabilities and of confusion matrices (rows: targets, columns: predictions); shares are 0..1."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix, f1_score, precision_recall_fscore_support

BINS = 15  # of confidence (Guo et al., On Calibration of Modern Neural Networks, arXiv 1706.04599)


@dataclass(frozen=True)
class Reliability:
    """How often predictions of about the same confidence are right, by bins of confidence of equal width.

    edges: float64 [bins + 1], 0 to 1; count: int64 [bins]; confidence, accuracy: float64 [bins], means, 0 where a bin
    is empty.
    """

    edges: NDArray[np.float64]
    count: NDArray[np.int64]
    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]

    @property
    def error(self) -> float:
        """The expected calibration error: the mean of |accuracy - confidence| over images, 0..1; 0 without any."""
        return float((self.count * np.abs(self.accuracy - self.confidence)).sum() / max(1, self.count.sum()))


def confusion_counts(targets: NDArray[np.int64], predictions: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """Return the confusion matrix, int64 [classes, classes]: rows are targets, columns are predictions.

    targets, predictions: int64 [n], 0 to classes - 1; raises ValueError for others, as for a target of -1, which
    scikit-learn would leave out without a word.
    """
    for indices in (targets, predictions):
        if ((indices < 0) | (indices >= classes)).any():
            raise ValueError(f"Classes are counted from 0 to {classes - 1}.")
    if not len(targets):
        return np.zeros((classes, classes), dtype=np.int64)
    counts: NDArray[np.int64] = confusion_matrix(targets, predictions, labels=range(classes))
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


def per_class(confusion: NDArray[np.int64]) -> pd.DataFrame:
    """Return a row a class: precision, recall and f1 (float64, 0..1; 0 for 0 / 0), and images (int64) of the class."""
    targets, predictions = np.nonzero(confusion)
    found = precision_recall_fscore_support(
        targets, predictions, labels=range(len(confusion)), sample_weight=confusion[targets, predictions],
        zero_division=0,
    )  # fmt: skip
    return pd.DataFrame(dict(zip(("precision", "recall", "f1"), found, strict=False))).assign(
        images=confusion.sum(axis=1)
    )


def macro_f1(confusion: NDArray[np.int64]) -> float:
    """Return the mean F1 over the classes that occur in targets or predictions; 0 without images."""
    targets, predictions = np.nonzero(confusion)
    if not len(targets):
        return 0.0
    weights = confusion[targets, predictions]
    return float(f1_score(targets, predictions, average="macro", sample_weight=weights, zero_division=0))


def top_accuracy(targets: NDArray[np.int64], probabilities: NDArray[np.float64], k: int = 2) -> float:
    """Return the share of images whose target is among the k most probable classes; of equals the first ones count.

    targets: int64 [n]; probabilities: float [n, classes]. Raises ValueError without images. (scikit-learn's counts the
    last ones of equals, and takes no two classes.)
    """
    if not len(targets):
        raise ValueError("Without images there is no accuracy.")
    best = np.argsort(-probabilities, axis=1, kind="stable")[:, :k]
    return float((best == targets[:, None]).any(axis=1).mean())


def reliability(targets: NDArray[np.int64], probabilities: NDArray[np.float64], bins: int = BINS) -> Reliability:
    """Return confidence (the highest probability) and accuracy by bins of confidence, each open below, closed above.

    targets: int64 [n]; probabilities: float [n, classes], rows sum to 1. Source: arXiv 1706.04599, section 2.
    """
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == targets
    edges = np.linspace(0, 1, bins + 1)
    index = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, bins - 1)
    count = np.bincount(index, minlength=bins)
    sums = (np.bincount(index, weights=values, minlength=bins) for values in (confidence, right))
    means = [np.divide(total, count, out=np.zeros(bins), where=count > 0) for total in sums]
    return Reliability(edges, count, means[0], means[1])
