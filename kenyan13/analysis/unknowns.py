"""How well images of no class are told from others: each class is left out once; its images are the unknown ones."""

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from threadpoolctl import threadpool_limits

from kenyan13.metrics.uncertainty import Numbers, familiarity, quantiles

STRENGTH = 10.0  # scikit-learn's C, for features of length 1


def left_out_classes(
    train: Numbers, train_targets: NDArray[np.int64], images: Numbers, targets: NDArray[np.int64]
) -> dict[int, float]:
    """Return class -> AUROC of `familiarity` between its validation images and those of all other classes.

    train, images: features of length 1, float [n, d]. A linear classifier is fitted to the training images of the other
    classes, and only these are compared with; the features stay those of the network that was trained on all.
    """
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
