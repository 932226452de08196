"""The study's measures by hand, and against numpy."""

from collections.abc import Sequence

import numpy as np
import pytest

from kenyan13.measures.losses import auc_loss, exponential_moving_average, overfitting
from kenyan13.measures.noise import standard_error


def test_auc_loss_is_the_sum_over_epochs() -> None:
    assert auc_loss([2.5, 1.25, 0.75]) == 4.5
    assert auc_loss([1.5]) == 1.5


@pytest.mark.parametrize(
    ("train", "validation", "slope"),
    [
        ([1, 1], [1, 3], 2),  # ratios 1, 3
        ([2, 1, 0.5], [2, 2, 2], 1.5),  # ratios 1, 2, 4: sum of (t - 1)(r - mean) = 3 over sum of (t - 1)^2 = 2
        ([1, 2, 4, 8], [3, 6, 12, 24], 0),
        ([1, 1, 1, 1], [4, 3, 2, 1], -1),
    ],
)
def test_overfitting_by_hand(train: Sequence[float], validation: Sequence[float], slope: float) -> None:
    assert overfitting(train, validation) == pytest.approx(slope, abs=1e-12)


def test_overfitting_is_the_slope_of_the_least_squares_line() -> None:
    draw = np.random.default_rng(4)
    train, validation = draw.uniform(0.2, 2, 30), draw.uniform(0.5, 2, 30)
    epochs = np.arange(1, 31)  # from 0 or from 1: the slope is the same
    assert overfitting(list(train), list(validation)) == pytest.approx(np.polyfit(epochs, validation / train, 1)[0])


@pytest.mark.parametrize("epochs", [0, 1])
def test_one_epoch_has_no_slope(epochs: int) -> None:
    assert overfitting([1.0] * epochs, [2.0] * epochs) is None


@pytest.mark.parametrize(
    ("values", "alpha", "smoothed"),
    [
        ([], 0.3, []),
        ([5], 0.3, [5]),
        ([1, 2, 0], 0.3, [1, 1.3, 0.91]),  # 0.3 x 2 + 0.7 x 1; 0.3 x 0 + 0.7 x 1.3
        ([1, 2, 0], 1, [1, 2, 0]),
        ([4, 0, 0, 0], 0.5, [4, 2, 1, 0.5]),
    ],
)
def test_exponential_moving_average(values: Sequence[float], alpha: float, smoothed: Sequence[float]) -> None:
    assert exponential_moving_average(values, alpha) == pytest.approx(smoothed)


@pytest.mark.parametrize(
    ("accuracy", "pictures", "error"),
    [(0.5, 100, 0.05), (0.8, 1600, 0.01), (0.0, 10, 0), (1.0, 10, 0), (0.8318, 1308, 0.010342)],
)
def test_standard_error(accuracy: float, pictures: int, error: float) -> None:
    assert standard_error(accuracy, pictures) == pytest.approx(error, rel=1e-4)
