"""Metrics of losses over epochs; the study's own are marked so."""

from collections.abc import Sequence
from math import isnan, nan

import numpy as np
from numpy.typing import ArrayLike, NDArray

OUTLIER = 3.5  # modified z-score above which a value is an outlier (study, What is measured)


def lowest(validation_losses: Sequence[float]) -> int:
    """Return the index, from 0, of the lowest validation loss: the first of equals; NaN is never the lowest.

    The study's "min loss" is the loss there, its "accuracy" the accuracy there (study, What is measured). Raises
    ValueError where no loss is a number.
    """
    numbers = [index for index, loss in enumerate(validation_losses) if not isnan(loss)]
    if not numbers:
        raise ValueError("No loss is a number.")
    return min(numbers, key=validation_losses.__getitem__)


def auc_loss(validation_losses: Sequence[float]) -> float:
    """Return the sum of the validation losses over epochs (study, What is measured); NaN where one of them is."""
    return float(np.sum(validation_losses))


def overfitting_line(train_losses: Sequence[float], validation_losses: Sequence[float]) -> tuple[float, float]:
    """Return slope and start of the least-squares line through (epoch from 0, validation loss / training loss).

    Both are NaN where a ratio is no finite number: a loss is none, or a training loss is 0. Raises ValueError with
    fewer than two epochs, or losses of different numbers of epochs. Source: study, What is measured.
    """
    if len(train_losses) < 2:
        raise ValueError("A line needs two epochs or more.")
    if len(train_losses) != len(validation_losses):
        raise ValueError("Both losses must be of the same epochs.")
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.divide(validation_losses, train_losses, dtype=np.float64)
    if not np.isfinite(ratio).all():  # what the fit makes of these depends on numpy's build
        return nan, nan
    slope, start = np.polyfit(np.arange(len(ratio)), ratio, 1)
    return float(slope), float(start)


def overfitting(train_losses: Sequence[float], validation_losses: Sequence[float]) -> float | None:
    """Return the slope, per epoch, of `overfitting_line`; None with fewer than two epochs."""
    return None if len(train_losses) < 2 else overfitting_line(train_losses, validation_losses)[0]


def exponential_moving_average(values: Sequence[float], alpha: float) -> list[float]:
    """Return s with s_0 = x_0 and s_t = alpha x_t + (1 - alpha) s_(t-1); alpha in 0..1 weighs the newest value."""
    smoothed: list[float] = []
    for value in values:
        smoothed.append(alpha * value + (1 - alpha) * smoothed[-1] if smoothed else value)
    return smoothed


def modified_z_scores(values: ArrayLike) -> NDArray[np.float64]:
    """Return 0.6745 (x - median) / median absolute deviation, float64 [n], of finite values [n].

    Where that deviation is 0 (more than half of the values are equal), the mean absolute deviation is used:
    (x - median) / (1.2533 x mean absolute deviation); all zeros for equal values. Both scales estimate the standard
    deviation of normal values. Source of the score and of its limit of 3.5: Iglewicz and Hoaglin, How to Detect and
    Handle Outliers (1993).
    """
    array = np.asarray(values, dtype=np.float64)
    if not array.size:
        return array
    away = array - np.median(array)
    median, mean = np.median(np.abs(away)), np.mean(np.abs(away))
    scale = median / 0.6745 if median > 0 else 1.2533 * mean
    scores: NDArray[np.float64] = away / scale if scale > 0 else np.zeros_like(away)
    return scores


def outliers(values: ArrayLike, limit: float = OUTLIER) -> NDArray[np.bool_]:
    """Return which values have a modified z-score beyond the limit, or are no number; bool [n]."""
    array = np.asarray(values, dtype=np.float64)
    found = ~np.isfinite(array)
    if not found.all():
        found[~found] = np.abs(modified_z_scores(array[~found])) > limit
    return found
