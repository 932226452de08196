"""The linear classifier of features: scikit-learn's, with the strength that predicts held-out images best."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from kenyan13.model.linear import Fitted, LinearHead

STRENGTHS = (1e-4, 1e-2, 100.0)


def noisy(classes: int, images: int = 120, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Features of 20 numbers, of which each class raises one, of images in turn of each class."""
    draw, targets = np.random.default_rng(seed), np.arange(images) % classes
    features = draw.normal(0, 1, (images, 20))
    features[np.arange(images), targets] += 1.5
    return (features * draw.uniform(0.1, 10, 20) + 3).astype(np.float32), targets


def probabilities(fitted: Fitted, features: NDArray[np.float32]) -> NDArray[np.float64]:
    return np.asarray(softmax(features @ fitted.weight.T + fitted.bias, axis=1))


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("balanced", [False, True])
def test_it_is_scikit_learns_classifier(classes: int, balanced: bool) -> None:
    features, targets = noisy(classes)
    features, targets = features[:-7], np.minimum(targets, classes - 1)[:-7]
    fitted = LinearHead([0.01]).fit(features, targets, 1, balanced)
    weights = "balanced" if balanced else None
    theirs = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, class_weight=weights, max_iter=1000))
    theirs.fit(features.astype(np.float64), targets)
    np.testing.assert_allclose(probabilities(fitted, features), theirs.predict_proba(features), atol=1e-6)
    assert fitted.weight.shape == (classes, 20)


@pytest.mark.parametrize("power", [0, 0.5])
def test_features_are_divided_by_a_power_of_their_deviations(power: float) -> None:
    """It is scikit-learn's of features divided by hand, to a mean variance of 1; their unit does not matter."""
    features, targets = noisy(3)
    features = np.hstack([features, np.full((len(features), 1), 2.5, np.float32)])  # one that does not vary
    divided = features[:, :20] / features[:, :20].std(0, dtype=np.float64) ** power
    divided = (divided - divided.mean(0)) / np.sqrt(divided.var(0).mean())
    theirs = LogisticRegression(C=0.01, max_iter=1000).fit(divided, targets).predict_proba(divided)
    for scale in (1, 100):
        fitted = LinearHead([0.01], power=power).fit(scale * features, targets, 1)
        np.testing.assert_allclose(probabilities(fitted, scale * features), theirs, atol=1e-4)
        assert fitted.out_of_fold.shape == (120, 3)


def test_the_strength_predicts_held_out_images_best() -> None:
    features, targets = noisy(4)
    found = {}
    for strength in STRENGTHS:
        out = np.empty((len(targets), 4))
        for inside, outside in StratifiedKFold(5, shuffle=True, random_state=7).split(features, targets):
            one = LinearHead([strength], folds=2).fit(features[inside], targets[inside], 0)
            out[outside] = probabilities(one, features[outside])
        found[strength] = log_loss(targets, out)
    fitted = LinearHead(STRENGTHS).fit(features, targets, 7)
    assert fitted.strength == min(found, key=found.__getitem__) == 1e-2
    assert fitted.log_loss == pytest.approx(found[1e-2], rel=1e-3)
    assert fitted.log_loss == pytest.approx(log_loss(targets, fitted.out_of_fold))


@pytest.mark.filterwarnings("error")
def test_classes_of_few_images_are_no_obstacle() -> None:
    features, targets = noisy(3)
    targets[targets == 2] = 0
    targets[5] = 2  # one image
    fitted = LinearHead(STRENGTHS).fit(features, targets, 0)
    assert fitted.out_of_fold.shape == (120, 3)
    assert 0 < probabilities(fitted, features[5:6])[0, 2] < 1


def test_impossible_strengths_are_refused() -> None:
    for strengths, folds in (([], 5), ([0.0], 5), ([1.0], 1)):
        with pytest.raises(ValueError, match="strengths must be above 0"):
            LinearHead(strengths, folds)
