"""The metrics of losses by hand, and against numpy."""

from collections.abc import Sequence
from math import inf, isnan, nan

import numpy as np
import pytest

from kenyan13.metrics.losses import (
    auc_loss,
    exponential_moving_average,
    lowest,
    outliers,
    overfitting,
    overfitting_line,
)


@pytest.mark.parametrize(
    ("losses", "index"),
    [([3, 1, 2], 1), ([5], 0), ([2, 1, 1], 1), ([nan, 2, 1, nan], 2), ([nan, inf, 1], 2), ([nan, inf], 1)],
)
def test_lowest_is_the_first_of_equals_and_never_nan(losses: Sequence[float], index: int) -> None:
    assert lowest(losses) == index


@pytest.mark.parametrize("losses", [[], [nan], [nan, nan]])
def test_without_a_number_there_is_no_lowest(losses: Sequence[float]) -> None:
    with pytest.raises(ValueError, match="No loss is a number"):
        lowest(losses)


def test_auc_loss_is_the_sum_over_epochs() -> None:
    assert auc_loss([2.5, 1.25, 0.75]) == 4.5
    assert auc_loss([1.5]) == 1.5
    assert isnan(auc_loss([1.5, nan]))


@pytest.mark.parametrize(
    ("train", "validation", "slope", "start"),
    [
        ([1, 1], [1, 3], 2, 1),  # ratios 1, 3
        ([2, 1, 0.5], [2, 2, 2], 1.5, 5 / 6),  # ratios 1, 2, 4: 3 over 2; the mean 7/3 less one epoch's 1.5
        ([1, 2, 4, 8], [3, 6, 12, 24], 0, 3),
        ([1, 1, 1, 1], [4, 3, 2, 1], -1, 4),
    ],
)
def test_overfitting_by_hand(train: Sequence[float], validation: Sequence[float], slope: float, start: float) -> None:
    assert overfitting_line(train, validation) == pytest.approx((slope, start), abs=1e-12)
    assert overfitting(train, validation) == pytest.approx(slope, abs=1e-12)


def test_overfitting_is_the_slope_of_the_least_squares_line() -> None:
    draw = np.random.default_rng(4)
    train, validation = draw.uniform(0.2, 2, 30), draw.uniform(0.5, 2, 30)
    epochs = np.arange(1, 31)  # from 0 or from 1: the slope is the same
    assert overfitting(list(train), list(validation)) == pytest.approx(np.polyfit(epochs, validation / train, 1)[0])


@pytest.mark.parametrize("epochs", [0, 1])
def test_one_epoch_has_no_slope(epochs: int) -> None:
    assert overfitting([1.0] * epochs, [2.0] * epochs) is None


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("train", "validation"), [([1, 1, 1], [1, nan, 3]), ([1, nan, 1], [1, 2, 3]), ([1, 0, 1], [1, 2, 3]), ([1], [2])]
)
def test_a_line_through_what_is_no_number_is_none(train: Sequence[float], validation: Sequence[float]) -> None:
    assert all(map(isnan, overfitting_line(train, validation)))


@pytest.mark.parametrize(
    ("values", "alpha", "smoothed"),
    [
        ([], 0.3, []),
        ([5], 0.3, [5]),
        ([1, 2, 0], 0.3, [1, 1.3, 0.91]),  # 0.3 x 2 + 0.7 x 1; 0.3 x 0 + 0.7 x 1.3
        ([1, 2, 0], 1, [1, 2, 0]),
        ([1, 2, 0], 0, [1, 1, 1]),
        ([4, 0, 0, 0], 0.5, [4, 2, 1, 0.5]),
    ],
)
def test_exponential_moving_average(values: Sequence[float], alpha: float, smoothed: Sequence[float]) -> None:
    assert exponential_moving_average(values, alpha) == pytest.approx(smoothed)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("values", "found"),
    [
        ([1, 2, 3, 4, 100], [4]),  # median 3; away 2, 1, 0, 1, 97: median 1
        ([7, 7, 7], []),
        ([1, 2, 3, 4, 8.18], []),  # away from 3 by 5.18: 3.494 with a median deviation of 1
        ([1, 2, 3, 4, 8.2], [4]),  # 3.507
        ([1, 2, 3, 4, -100], [4]),
        ([1, nan, 2, 3, inf, 4, -inf], [1, 4, 6]),
        ([nan, nan], [0, 1]),
        ([2, 2, 2, 2, 3], [4]),  # median deviation 0, mean deviation 0.2: 1 / 0.25066 = 3.99
        ([2, 2, 2, 3], []),  # 1 / (1.2533 x 0.25) = 3.19
        ([], []),
    ],
)
def test_outliers_by_hand(values: Sequence[float], found: Sequence[int]) -> None:
    assert np.flatnonzero(outliers(values)).tolist() == found
