"""Metrics of class probabilities and of confusion matrices (rows: targets, columns: predictions); shares are 0..1.

How exact they are, whether two runs differ by more than chance, and the temperature that makes probabilities honest.
"""

from dataclasses import dataclass
from math import exp, log

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import softmax
from scipy.stats import binomtest
from sklearn.metrics import precision_recall_fscore_support
from sklearn.model_selection import KFold

Probabilities = NDArray[np.floating]
LOWEST, HIGHEST = 0.05, 20.0  # temperatures that are tried
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


def per_class(confusion: NDArray[np.int64]) -> pd.DataFrame:
    """Return a row a class: precision, recall and f1 (float64, 0..1; 0 for 0 / 0), and images (int64) of the class."""
    targets, predictions = np.nonzero(confusion)
    classes, counts = range(len(confusion)), confusion[targets, predictions]
    found = precision_recall_fscore_support(targets, predictions, labels=classes, sample_weight=counts, zero_division=0)
    scores = dict(zip(("precision", "recall", "f1"), found, strict=False))
    return pd.DataFrame({**scores, "images": confusion.sum(axis=1)})


def top_accuracy(targets: NDArray[np.int64], probabilities: NDArray[np.float64], k: int = 2) -> float:
    """Return the share of images whose target is among the k most probable classes; of equals the first ones count.

    targets: int64 [n], n at least 1; probabilities: float [n, classes]. (scikit-learn's counts the last ones of equals,
    and takes no two classes.)
    """
    best = np.argsort(-probabilities, axis=1, kind="stable")[:, :k]
    return float((best == targets[:, None]).any(axis=1).mean())


def reliability(targets: NDArray[np.int64], probabilities: Probabilities, bins: int = BINS) -> Reliability:
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


def scale(probabilities: Probabilities, temperature: float) -> Probabilities:
    """Return softmax(log p / temperature) of probabilities, [n, classes]: above 1, they are less confident."""
    if temperature == 1:
        return probabilities
    scaled: Probabilities = softmax(np.log(np.maximum(probabilities, 1e-12)) / temperature, axis=1)
    return scaled


def fit_temperature(probabilities: Probabilities, targets: NDArray[np.int64]) -> float:
    """Return the temperature, 0.05 to 20, with the lowest log loss on images; 1 where all that count are right: nothing
    tells then how sure is too sure.

    probabilities: [n, classes]; targets: int64 [n], -1 for images that do not count.
    """
    known = targets >= 0
    if (probabilities.argmax(axis=1) == targets)[known].all():  # or there are none
        return 1.0

    def loss(logarithm: float) -> float:
        chosen = scale(probabilities[known], exp(logarithm))[np.arange(known.sum()), targets[known]]
        return float(-np.log(np.maximum(chosen, 1e-12)).mean())

    return exp(float(minimize_scalar(loss, bounds=(log(LOWEST), log(HIGHEST)), method="bounded").x))


def scale_by_others(probabilities: Probabilities, targets: NDArray[np.int64]) -> Probabilities:
    """Return probabilities, [n, classes], scaled by temperatures that were fitted to other images.

    The images are divided at random (always alike) into five parts, or as many as there are images; one stays as it is.
    """
    if len(targets) < 2:
        return probabilities
    scaled = np.empty(probabilities.shape)
    for rest, part in KFold(min(5, len(targets)), shuffle=True, random_state=0).split(targets):
        scaled[part] = scale(probabilities[part], fit_temperature(probabilities[rest], targets[rest]))
    return scaled


def standard_error(accuracy: float, images: int) -> float:
    """Return the standard error of an accuracy (0..1) measured on that many images, at least 1: sqrt(p (1 - p) / n)."""
    return float(np.sqrt(accuracy * (1 - accuracy) / images))


def wilson(accuracy: float, images: int) -> tuple[float, float]:
    """Return Wilson's 95 % score interval (low, high; 0..1) of an accuracy (0..1) on that many images, at least one."""
    interval = binomtest(round(accuracy * images), images).proportion_ci(method="wilson")
    return float(interval.low), float(interval.high)


def mcnemar(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> tuple[int, int, float]:
    """Return how many images only the first and only the second run has right, and McNemar's exact p-value, 0..1.

    first, second: which of the same images each has right, bool [n]. Of the b + c images that only one has right, b
    would be binomial with 1/2 if both were as accurate. Source: McNemar (1947), in its exact form.
    """
    b, c = int((first & ~second).sum()), int((second & ~first).sum())
    return b, c, float(binomtest(b, b + c).pvalue) if b + c else 1.0


def holm(p_values: list[float]) -> list[float]:
    """Return p-values corrected for being several tests, in the same order (Holm, 1979).

    The k-th smallest of m is multiplied by m - k + 1, and is no smaller than those before it; at most 1.
    """
    order, corrected = np.argsort(p_values), np.empty(len(p_values))
    factors = np.arange(len(p_values), 0, -1)
    corrected[order] = np.minimum(1, np.maximum.accumulate(factors * np.asarray(p_values)[order]))
    return corrected.tolist()
