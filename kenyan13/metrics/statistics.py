"""How exact accuracies are, and whether two runs differ by more than chance."""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest


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
    corrected, highest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = highest
    return corrected
