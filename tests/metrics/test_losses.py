"""The metrics of losses by hand, and against numpy."""

from collections.abc import Sequence
from math import inf, isnan, nan

import numpy as np
import pandas as pd
import pytest

from kenyan13.metrics.losses import lowest, of_epochs, outliers, overfitting_line


@pytest.mark.parametrize(
    ("losses", "index"),
    [([3, 1, 2], 1), ([5], 0), ([2, 1, 1], 1), ([nan, 2, 1, nan], 2), ([nan, inf, 1], 2)],
)
def test_lowest_is_the_first_of_equals_and_never_nan(losses: Sequence[float], index: int) -> None:
    assert lowest(losses) == index


def test_what_epochs_come_to() -> None:
    shares = {"val_accuracy": [0.1, 0.5, 0.6], "val_macro_f1": [0.1, 0.4, 0.5], "seconds": [1.0, 2.0, 3.04]}
    rows = pd.DataFrame({"epoch": [1, 2, 3], "train_loss": [1.0, 0.5, 0.25], "val_loss": [1.0, 0.5, 0.75], **shares})
    expected: dict[str, float | None] = {
        "min_val_loss": 0.5,
        "accuracy": 0.5,
        "macro_f1": 0.4,
        "best_epoch": 2,
        "epochs": 3,
        "seconds": 6.0,
    }
    expected["weighted_loss"] = None
    assert of_epochs(rows) == {**expected, "auc_loss": 2.25, "overfitting": pytest.approx(1)}  # ratios 1, 1, 3
    assert of_epochs(rows[:1])["overfitting"] is None
    rows.loc[2, "val_loss"] = nan
    assert of_epochs(rows)["auc_loss"] is None


def test_sums_are_of_the_loss_that_is_minimised() -> None:
    """Where training weighs classes (DCB) validation does, too; plain cross entropy stands beside it."""
    shares = {"val_accuracy": [0.1, 0.5], "val_macro_f1": [0.1, 0.4], "seconds": [1.0, 2.0]}
    plain = {"epoch": [1, 2], "train_loss": [1.0, 0.5], "val_loss": [0.9, 0.7]}
    found = of_epochs(pd.DataFrame({**plain, "val_weighted_loss": [1.0, 1.5], **shares}))
    assert (found["best_epoch"], found["weighted_loss"], found["min_val_loss"]) == (1, 1.0, 0.9)
    assert found["auc_loss"] == pytest.approx(2.5)
    assert found["overfitting"] == pytest.approx(2)  # ratios 1, 3


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


def test_overfitting_is_the_slope_of_the_least_squares_line() -> None:
    draw = np.random.default_rng(4)
    train, validation = draw.uniform(0.2, 2, 30), draw.uniform(0.5, 2, 30)
    epochs = np.arange(1, 31)  # from 0 or from 1: the slope is the same
    assert overfitting_line(list(train), list(validation))[0] == pytest.approx(
        np.polyfit(epochs, validation / train, 1)[0]
    )


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("train", "validation"),
    [([1, 1, 1], [1, nan, 3]), ([1, nan, 1], [1, 2, 3]), ([1, 0, 1], [1, 2, 3]), ([1], [2])],
)
def test_a_line_through_what_is_no_number_is_none(train: Sequence[float], validation: Sequence[float]) -> None:
    assert all(map(isnan, overfitting_line(train, validation)))


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
