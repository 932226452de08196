"""Probabilities that are as confident as they are right: temperature scaling (Guo et al., arXiv 1706.04599)."""

from math import exp, log

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import softmax
from sklearn.model_selection import KFold

Probabilities = NDArray[np.floating]
LOWEST, HIGHEST = 0.05, 20.0  # temperatures that are tried


def scale(probabilities: Probabilities, temperature: float) -> Probabilities:
    """Return softmax(log p / temperature) of probabilities, [n, classes]: above 1, they are less confident."""
    if temperature == 1:
        return probabilities
    scaled: Probabilities = softmax(np.log(np.maximum(probabilities, 1e-12)) / temperature, axis=1)
    return scaled


def fit_temperature(probabilities: Probabilities, targets: NDArray[np.int64]) -> float:
    """Return the temperature, 0.05 to 20, with the lowest log loss on images; 1 where all that count are right: nothing
    tells then how sure is too sure.

    probabilities: [n, classes]; targets: int64 [n], -1 for images that do not count.
    """
    known = targets >= 0
    if (probabilities.argmax(axis=1) == targets)[known].all():  # or there are none
        return 1.0

    def loss(logarithm: float) -> float:
        chosen = scale(probabilities[known], exp(logarithm))[np.arange(known.sum()), targets[known]]
        return float(-np.log(np.maximum(chosen, 1e-12)).mean())

    return exp(float(minimize_scalar(loss, bounds=(log(LOWEST), log(HIGHEST)), method="bounded").x))


def scale_by_others(probabilities: Probabilities, targets: NDArray[np.int64]) -> Probabilities:
    """Return probabilities, [n, classes], scaled by temperatures that were fitted to other images.

    The images are divided at random (always alike) into five parts, or as many as there are images; one stays as it is.
    """
    if len(targets) < 2:
        return probabilities
    scaled = np.empty(probabilities.shape)
    for rest, part in KFold(min(5, len(targets)), shuffle=True, random_state=0).split(targets):
        scaled[part] = scale(probabilities[part], fit_temperature(probabilities[rest], targets[rest]))
    return scaled
