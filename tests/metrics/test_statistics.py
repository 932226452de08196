"""How exact accuracies are: by hand, and by their formulas."""

from math import comb, sqrt
from statistics import NormalDist

import numpy as np
import pytest

from kenyan13.metrics.classification import holm, mcnemar, standard_error, wilson


@pytest.mark.parametrize(
    ("accuracy", "images", "error"),
    [(0.5, 100, 0.05), (0.8, 1600, 0.01), (0.0, 10, 0), (1.0, 10, 0), (0.8318, 1308, 0.010342)],
)
def test_standard_error(accuracy: float, images: int, error: float) -> None:
    assert standard_error(accuracy, images) == pytest.approx(error, rel=1e-4)


def test_wilson_by_hand() -> None:
    """Of 4 images 2 right, z^2 = 3.8415: half = 1.96 sqrt(1/16 + 3.8415/64) / (1 + 3.8415/4) = 0.349961."""
    assert wilson(0.5, 4) == pytest.approx((0.5 - 0.349961, 0.5 + 0.349961), abs=1e-6)
    assert wilson(0, 4) == pytest.approx((0, 3.841459 / 7.841459))  # z^2 / (n + z^2)
    assert wilson(1, 4) == pytest.approx((4 / 7.841459, 1))


@pytest.mark.parametrize(("correct", "images"), [(0, 1), (1, 1), (0, 10), (10, 10), (3, 10), (1069, 1308), (2, 10**6)])
def test_wilson_is_its_formula(correct: int, images: int) -> None:
    """(p + z^2 / 2n +- z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n), z the normal quantile of 97.5 %."""
    z, p = NormalDist().inv_cdf(0.975), correct / images
    square = z * z / images
    middle, half = p + square / 2, z * sqrt(p * (1 - p) / images + square / (4 * images))
    low, high = wilson(p, images)
    assert (low, high) == pytest.approx(((middle - half) / (1 + square), (middle + half) / (1 + square)), abs=1e-12)
    assert 0 <= low <= correct / images <= high <= 1


@pytest.mark.parametrize(("correct", "images"), [(5, 4), (-1, 4)])
def test_impossible_counts_are_refused(correct: int, images: int) -> None:
    with pytest.raises(ValueError, match="must"):
        wilson(correct / images, images)


def runs_with(b: int, c: int, both: int = 3) -> tuple[int, int, float]:
    """McNemar's test of runs of which only the first has b images right, only the second c, and both `both`."""
    first = np.array([True] * b + [False] * c + [True] * both + [False])
    second = np.array([False] * b + [True] * c + [True] * both + [False])
    return mcnemar(first, second)


@pytest.mark.parametrize(
    ("b", "c", "p"),
    [
        (0, 0, 1),
        (1, 0, 1),  # 2 x 1/2
        (0, 5, 2 / 32),
        (1, 5, 2 * 7 / 64),  # (1 + 6) of 2^6, both tails
        (4, 4, 1),  # twice the tail is more than 1
        (3, 4, 1),
        (5000, 5000, 1),
    ],
)
def test_mcnemar_by_hand(b: int, c: int, p: float) -> None:
    only_first, only_second, found = runs_with(b, c)
    assert (only_first, only_second) == (b, c)
    assert found == pytest.approx(p, abs=1e-12)


def test_mcnemar_of_many_images_is_exact() -> None:
    tail = sum(comb(10_000, k) for k in range(4901))
    assert runs_with(4900, 5100)[2] == pytest.approx(2 * tail / 2**10_000, rel=1e-9)
    assert runs_with(0, 10_000)[2] == 0, "2 / 2^10000 is less than the smallest float"


@pytest.mark.parametrize(
    ("given", "corrected"),
    [
        ([], []),
        ([0.2], [0.2]),
        ([0.01, 0.04, 0.03], [0.03, 0.06, 0.06]),  # 3 x 0.01, 2 x 0.03, and 1 x 0.04 is no smaller than that
        ([0.5, 0.6, 0.01], [1, 1, 0.03]),
        ([0.02, 0.02], [0.04, 0.04]),
    ],
)
def test_holm_by_hand(given: list[float], corrected: list[float]) -> None:
    assert holm(given) == pytest.approx(corrected)
