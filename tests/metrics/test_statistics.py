"""How exact accuracies are: by hand, and against scipy."""

from time import perf_counter

import numpy as np
import pytest
from scipy.stats import binomtest  # type: ignore[import-untyped]

from kenyan13.metrics.statistics import McNemar, holm, mcnemar, standard_error, wilson


@pytest.mark.parametrize(
    ("accuracy", "images", "error"),
    [(0.5, 100, 0.05), (0.8, 1600, 0.01), (0.0, 10, 0), (1.0, 10, 0), (0.8318, 1308, 0.010342)],
)
def test_standard_error(accuracy: float, images: int, error: float) -> None:
    assert standard_error(accuracy, images) == pytest.approx(error, rel=1e-4)


def test_an_accuracy_of_no_images_has_no_standard_error() -> None:
    with pytest.raises(ValueError, match="Without images"):
        standard_error(0.5, 0)


def test_wilson_by_hand() -> None:
    """Of 4 images 2 right, z^2 = 3.8415: half = 1.96 sqrt(1/16 + 3.8415/64) / (1 + 3.8415/4) = 0.349961."""
    assert wilson(2, 4) == pytest.approx((0.5 - 0.349961, 0.5 + 0.349961), abs=1e-6)
    assert wilson(0, 4) == pytest.approx((0, 3.841459 / 7.841459))  # z^2 / (n + z^2)
    assert wilson(4, 4) == pytest.approx((4 / 7.841459, 1))


@pytest.mark.parametrize(("correct", "images"), [(0, 1), (1, 1), (0, 10), (10, 10), (3, 10), (1069, 1308), (2, 10**6)])
@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.99])
def test_wilson_is_scipys(correct: int, images: int, confidence: float) -> None:
    theirs = binomtest(correct, images).proportion_ci(confidence, method="wilson")
    low, high = wilson(correct, images, confidence)
    assert (low, high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)
    assert 0 <= low <= correct / images <= high <= 1


@pytest.mark.parametrize(("correct", "images"), [(0, 0), (5, 4), (-1, 4)])
def test_impossible_counts_are_refused(correct: int, images: int) -> None:
    with pytest.raises(ValueError, match="is no accuracy"):
        wilson(correct, images)


def runs_with(b: int, c: int, both: int = 3) -> McNemar:
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
    assert runs_with(b, c) == McNemar(b, c, p)


@pytest.mark.parametrize(("b", "c"), [(0, 1), (2, 9), (9, 2), (40, 61), (0, 300), (5000, 4800), (6000, 4000)])
def test_mcnemar_is_scipys_two_sided_binomial_test(b: int, c: int) -> None:
    assert runs_with(b, c).p == pytest.approx(binomtest(b, b + c, 0.5).pvalue, rel=1e-9)


def test_mcnemar_of_many_images_is_exact_and_quick() -> None:
    start = perf_counter()
    found = runs_with(4900, 5100)
    assert perf_counter() - start < 1
    assert found.p == pytest.approx(binomtest(4900, 10_000).pvalue, rel=1e-9)
    assert runs_with(0, 10_000).p == 0, "2 / 2^10000 is less than the smallest float"


def test_mcnemar_needs_the_same_images() -> None:
    with pytest.raises(ValueError, match="the same images"):
        mcnemar(np.ones(3, dtype=bool), np.ones(4, dtype=bool))


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
