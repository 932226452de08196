"""Measures of a run, as pure functions of numbers; the study's own are marked so."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def auc_loss(validation_losses: Sequence[float]) -> float:
    """Return the sum of the validation losses over epochs (study, What is measured)."""
    return float(np.sum(validation_losses))


def overfitting(train_losses: Sequence[float], validation_losses: Sequence[float]) -> float | None:
    """Return the slope, per epoch, of the least-squares line through (epoch, validation loss / training loss).

    None with fewer than two epochs. Source: study, What is measured.
    """
    if len(train_losses) < 2:
        return None
    ratio = np.asarray(validation_losses) / np.asarray(train_losses)
    return float(np.polyfit(np.arange(len(ratio)), ratio, 1)[0])


def exponential_moving_average(values: Sequence[float], alpha: float) -> list[float]:
    """Return s with s_0 = x_0 and s_t = alpha x_t + (1 - alpha) s_(t-1); alpha in 0..1 weighs the newest value."""
    smoothed: list[float] = []
    for value in values:
        smoothed.append(alpha * value + (1 - alpha) * smoothed[-1] if smoothed else value)
    return smoothed


def confusion_counts(targets: NDArray[np.int64], answers: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """Return the confusion matrix, int64 [classes, classes]: rows are targets, columns are answers.

    targets, answers: int64 [n], 0 to classes - 1.
    """
    counts = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(counts, (targets, answers), 1)
    return counts


def standard_error(accuracy: float, pictures: int) -> float:
    """Return the standard error of an accuracy (0..1) measured on that many pictures: sqrt(p (1 - p) / n)."""
    return float(np.sqrt(accuracy * (1 - accuracy) / pictures))
