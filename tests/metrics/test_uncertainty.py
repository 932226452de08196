"""Sets that hold the right class, by hand and beside MAPIE's; familiarity of images."""

import numpy as np
import pytest
from numpy.typing import NDArray

from kenyan13.metrics.uncertainty import (
    cross_coverage,
    familiarity,
    prediction_sets,
    quantiles,
    set_scores,
    thresholds,
)


def test_scores_are_what_the_right_class_lacks() -> None:
    probabilities = np.array([[0.7, 0.2, 0.1], [0.5, 0.4, 0.1], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6]])
    found = set_scores(probabilities, np.array([0, 0, 1, -1]))
    assert found == [pytest.approx([0.3, 0.5]), pytest.approx([0.2]), []]


def test_thresholds_by_hand() -> None:
    # of 9 images and 80 %, the ceil(10 x 0.8) = 8th; of 4 and 80 %, the 4th; 3 are too few: their highest, and
    # none at all: all 16 together, the 14th
    scores = [[k / 100 for k in range(1, 10)], [0.2, 0.4, 0.6, 0.8], [0.3, 0.5, 0.9], []]
    np.testing.assert_allclose(thresholds(scores, 0.8), [0.08, 0.8, 0.9, 0.6])
    np.testing.assert_allclose(thresholds(scores, 0.5), [0.05, 0.6, 0.5, 0.09])
    np.testing.assert_allclose(thresholds([[0.1], []], 0.9), 1)  # so few images allow no promise: every class
    np.testing.assert_allclose(thresholds([[], []], 0.9), 1)


def test_more_coverage_never_lowers_a_threshold() -> None:
    scores = set_scores(*simulated(60, seed=3))
    found = np.array([thresholds(scores, share) for share in np.linspace(0.01, 0.99, 99)])
    assert (np.diff(found, axis=0) >= 0).all()


def test_sets_by_hand() -> None:
    probabilities = np.array([[0.6, 0.3, 0.1], [0.4, 0.35, 0.25], [0.05, 0.05, 0.9]])
    got = prediction_sets(probabilities, np.array([0.5, 0.7, 0.0]))
    # the second image has none by the thresholds: its most probable class; the third likewise
    assert got.tolist() == [[True, True, False], [True, True, False], [False, False, True]]
    assert prediction_sets(probabilities, np.ones(3)).all()


def simulated(images: int, seed: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Probabilities of four classes, too sure of themselves and unequal, and targets."""
    draw = np.random.default_rng(seed)
    targets = draw.choice(4, images, p=[0.4, 0.3, 0.2, 0.1])
    logits = draw.normal(size=(images, 4))
    logits[np.arange(images), targets] += np.array([2.0, 1.5, 1.0, 0.5])[targets]
    shares = np.exp(3 * logits)
    return shares / shares.sum(axis=1, keepdims=True), targets


@pytest.mark.parametrize("coverage", [0.8, 0.9, 0.95])
def test_each_class_is_covered_as_often_as_asked(coverage: float) -> None:
    limits = thresholds(set_scores(*simulated(40000, seed=0)), coverage)
    probabilities, targets = simulated(20000, seed=1)
    held = prediction_sets(probabilities, limits)[np.arange(len(targets)), targets]
    for k in range(4):
        assert held[targets == k].mean() == pytest.approx(coverage, abs=0.02)
    assert held.mean() == pytest.approx(coverage, abs=0.01)


@pytest.mark.parametrize("coverage", [0.8, 0.9, 0.95])
def test_coverage_is_measured_on_other_images(coverage: float) -> None:
    probabilities, targets = simulated(3000, seed=2)
    held, size = cross_coverage(probabilities, targets, coverage)
    assert held == pytest.approx(coverage, abs=0.02)
    assert 1 <= size <= 4
    assert (held, size) == cross_coverage(probabilities, targets, coverage)
    assert cross_coverage(probabilities[:3], targets[:3], coverage) == (1, 4)  # so few: every class


@pytest.mark.filterwarnings("ignore:.*less labels than:UserWarning")
@pytest.mark.parametrize("coverage", [0.8, 0.9, 0.95])
def test_thresholds_are_mapie_s(coverage: float) -> None:
    """MAPIE has one threshold for all classes: the images of one class at a time are given to it."""
    classification = pytest.importorskip("mapie.classification")
    probabilities, targets = simulated(900, seed=3)

    class Fitted:
        classes_ = np.arange(4)

        def fit(self, *_: object) -> "Fitted":
            return self

        def predict(self, rows: NDArray[np.float64]) -> NDArray[np.int64]:
            best: NDArray[np.int64] = np.argmax(rows, axis=1)
            return best

        def predict_proba(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
            return rows

        __sklearn_is_fitted__ = staticmethod(lambda: True)

    ours = thresholds(set_scores(probabilities, targets), coverage)
    new = simulated(400, seed=4)[0]
    for k in range(4):
        theirs = classification.SplitConformalClassifier(
            Fitted(), confidence_level=coverage, conformity_score="lac", prefit=True
        )
        theirs.conformalize(probabilities[targets == k], targets[targets == k])
        sets = theirs.predict_set(new)[1][..., 0]
        one = np.where(np.arange(4) == k, ours, -1)
        np.testing.assert_array_equal(sets[:, k], prediction_sets(new, one)[:, k] & (1 - new[:, k] <= ours[k]))


def test_quantiles_and_familiarity() -> None:
    likeness, confidence = np.linspace(0.5, 0.9, 101), np.linspace(0.2, 1.0, 101)
    known = quantiles(likeness, confidence)
    np.testing.assert_allclose(known["likeness"], likeness)
    np.testing.assert_allclose(familiarity(likeness, confidence, known), np.linspace(0, 1, 101))
    # half of the validation images are less like the training images, a quarter are less sure
    assert familiarity(np.array([0.7]), np.array([0.4]), known) == pytest.approx([(0.5 + 0.25) / 2])
    assert familiarity(np.array([0.0, 1.0]), np.array([0.0, 1.0]), known).tolist() == [0, 1]
    assert known["lowest"] == pytest.approx([0.05])
