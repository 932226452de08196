"""Temperature scaling: what it finds, and that no image decides its own temperature."""

import numpy as np
import pytest
from scipy.special import softmax

from kenyan13.metrics.classification import fit_temperature, reliability, scale, scale_by_others


def overconfident(temperature: float, n: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities that are sharper than the truth by a factor, and targets drawn from the truth."""
    random = np.random.default_rng(0)
    logits = random.normal(0, 1.5, (n, 5))
    truth = softmax(logits, axis=1)
    targets = (truth.cumsum(axis=1) > random.random((n, 1))).argmax(axis=1)
    return softmax(logits * temperature, axis=1), targets


def test_scaling_is_the_softmax_of_divided_logits() -> None:
    logits = np.array([[2.0, 0.0, -1.0], [0.3, 0.2, 0.1]])
    assert scale(softmax(logits, axis=1), 2.5) == pytest.approx(softmax(logits / 2.5, axis=1), abs=1e-12)
    assert scale(softmax(logits, axis=1), 1) == pytest.approx(softmax(logits, axis=1), abs=0)


@pytest.mark.parametrize("temperature", [0.5, 2.0, 4.0])
def test_the_temperature_of_the_data_is_found(temperature: float) -> None:
    probabilities, targets = overconfident(temperature)
    assert fit_temperature(probabilities, targets) == pytest.approx(temperature, rel=0.08)


def test_images_without_a_class_do_not_count() -> None:
    probabilities, targets = overconfident(3.0)
    unknown = np.where(np.arange(len(targets)) % 2 == 0, targets, -1)
    assert fit_temperature(probabilities, unknown) == fit_temperature(probabilities[::2], targets[::2])
    assert fit_temperature(probabilities[:3], np.full(3, -1)) == 1


def test_certain_and_right_stays_within_the_range() -> None:
    assert fit_temperature(np.eye(3), np.arange(3)) == 1, "all right: nothing to tell by"
    assert fit_temperature(np.eye(3), np.array([1, 2, 0])) == pytest.approx(20, rel=1e-3)


def test_calibration_by_other_images() -> None:
    """Each image's temperature comes from the others: a change of its target changes the others' only."""
    probabilities, targets = overconfident(3.0, 500)
    scaled = scale_by_others(probabilities, targets)
    assert (scaled.argmax(axis=1) == probabilities.argmax(axis=1)).all()
    assert reliability(targets, probabilities).error > 0.15
    assert reliability(targets, scaled.astype(np.float64)).error < 0.07
    changed = targets.copy()
    changed[0] = (targets[0] + 1) % 5
    again = scale_by_others(probabilities, changed)
    assert (again[0] == scaled[0]).all()
    assert (again != scaled).any()


def test_a_single_image_stays_as_it_is() -> None:
    probabilities, targets = overconfident(3.0)
    assert (scale_by_others(probabilities[:1], targets[:1]) == probabilities[:1]).all()
