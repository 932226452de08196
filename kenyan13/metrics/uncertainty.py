"""When a model does not know: sets of classes that hold the right one, and how familiar an image is."""

from math import ceil

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.floating]
QUANTILES = np.linspace(0, 1, 101)
STRENGTH = 10.0  # scikit-learn's C, for features of length 1
UNFAMILIAR = 0.05  # the share of validation images that would be taken for none of the classes


def set_scores(probabilities: Numbers, targets: NDArray[np.int64]) -> list[list[float]]:
    """Return by class, ascending, one minus the probability of the right class of its images (targets: -1 for none)."""
    missing = 1 - probabilities[np.arange(len(targets)), targets]
    return [np.sort(missing[targets == k]).tolist() for k in range(probabilities.shape[1])]


def thresholds(scores: list[list[float]], coverage: float) -> Numbers:
    """Return by class the largest 1 - p with which it is still in a set that holds the right class with `coverage`.

    Split conformal prediction, class by class: of n images, the ceil((n + 1) coverage)-th lowest score (Sadinle et al.,
    arXiv 1609.00451; Vovk, Algorithmic Learning in a Random World, 4.6). Classes of too few images for that, below
    coverage / (1 - coverage), have the threshold of all images together, or their own highest score: more coverage
    never drops a class.
    """

    def lowest(listed: list[float]) -> float:
        rank = ceil((len(listed) + 1) * coverage)
        return listed[rank - 1] if rank <= len(listed) else 1.0

    together = lowest(sorted(score for listed in scores for score in listed))
    few = [(len(listed) + 1) * coverage > len(listed) for listed in scores]
    return np.array([max([together, *one]) if short else lowest(one) for one, short in zip(scores, few, strict=True)])


def prediction_sets(probabilities: Numbers, limits: Numbers) -> NDArray[np.bool_]:
    """Return which classes are in the set of each image, bool [n, classes]; the most probable one always is."""
    inside = 1 - probabilities <= limits
    inside[np.arange(len(probabilities)), probabilities.argmax(axis=1)] = True
    return inside


def cross_coverage(probabilities: Numbers, targets: NDArray[np.int64], coverage: float) -> tuple[float, float]:
    """Return how often sets hold the right class (0..1), and their mean size; thresholds are of other images.

    The images, of which each has a target, are divided at random (always alike) into five parts.
    """
    from sklearn.model_selection import KFold  # half a second to import, which predicting spares

    inside = np.ones(probabilities.shape, dtype=bool)
    if len(targets) > 5:
        for rest, part in KFold(5, shuffle=True, random_state=0).split(targets):
            limits = thresholds(set_scores(probabilities[rest], targets[rest]), coverage)
            inside[part] = prediction_sets(probabilities[part], limits)
    return float(inside[np.arange(len(targets)), targets].mean()), float(inside.sum(axis=1).mean())


def familiarity(likeness: Numbers, confidence: Numbers, known: dict[str, list[float]]) -> Numbers:
    """Return 0..1 for images: the mean share of validation images that are less like training images, and less sure.

    likeness: largest cosine to a training image's features; confidence: largest probability; known: what `quantiles`
    returns of the validation images.
    """
    pairs = (likeness, known["likeness"]), (confidence, known["confidence"])
    shares: Numbers = np.mean([np.interp(values, quantiles, QUANTILES) for values, quantiles in pairs], axis=0)
    return shares


def left_out_classes(
    train: Numbers, train_targets: NDArray[np.int64], images: Numbers, targets: NDArray[np.int64]
) -> dict[int, float]:
    """Return class -> AUROC of `familiarity` between its validation images and those of all other classes.

    Each class is left out once, and its images are the unknown ones. train, images: features of length 1, float [n, d].
    A linear classifier is fitted to the training images of the other classes, and only these are compared with; the
    features stay those of the network that was trained on all.
    """
    from sklearn.linear_model import LogisticRegression  # as above
    from sklearn.metrics import roc_auc_score
    from threadpoolctl import threadpool_limits

    found = {}
    for left_out in np.intersect1d(targets, train_targets).tolist():
        kept, unknown = train_targets != left_out, targets == left_out
        if unknown.all() or len(np.unique(train_targets[kept])) < 2:
            continue
        with threadpool_limits(1):  # many times faster on a busy machine
            head = LogisticRegression(C=STRENGTH, max_iter=200).fit(train[kept], train_targets[kept])
            confidence, likeness = head.predict_proba(images).max(axis=1), (images @ train[kept].T).max(axis=1)
        known = quantiles(likeness[~unknown], confidence[~unknown])
        found[left_out] = float(roc_auc_score(~unknown, familiarity(likeness, confidence, known)))
    return found


def quantiles(likeness: Numbers, confidence: Numbers) -> dict[str, list[float]]:
    """Return what `familiarity` needs of the validation images, and `lowest`: below it, an image is none of them."""
    values = {"likeness": likeness, "confidence": confidence}
    known = {name: np.quantile(one, QUANTILES).tolist() for name, one in values.items()}
    return {**known, "lowest": [float(np.quantile(familiarity(likeness, confidence, known), UNFAMILIAR))]}
