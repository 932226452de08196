"""Linear classifiers of pooled features: a regularised one as head, and the pretrained one that Co-Tuning keeps."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits
from torch import Tensor, nn


@dataclass(frozen=True)
class Fitted:
    """A linear classifier: logits = features @ weight.T + bias.

    weight: float64 [classes, d]; bias: float64 [classes]; strength: the chosen one; out_of_fold: float64 [n, classes],
    each image's probabilities by a classifier that was not fitted on it; log_loss: of these.
    """

    weight: NDArray[np.float64]
    bias: NDArray[np.float64]
    strength: float
    out_of_fold: NDArray[np.float64]
    log_loss: float


class LinearHead:
    """Logistic regression on scaled features, with the strength that has the lowest out-of-fold log loss.

    strengths: scikit-learn's C, each above 0; folds: stratified, 2 or more, fewer where the smallest class has fewer
    images; power, 0 to 1: see `Scaler`.
    """

    def __init__(self, strengths: Sequence[float] = (1e-2,), folds: int = 5, power: float = 1) -> None:
        if not strengths or min(strengths) <= 0 or folds < 2:
            raise ValueError("strengths must be above 0, folds 2 or more")
        self.strengths, self.folds, self.power = list(strengths), folds, power

    def fit(
        self, features: NDArray[np.floating], targets: NDArray[np.int64], seed: int, balanced: bool = False
    ) -> Fitted:
        """Return the classifier of features, [n, d], and targets, int64 [n], of which each class has some.

        seed: decides the folds; balanced: classes count the same, however many images they have.
        """
        values, classes = np.asarray(features, dtype=np.float64), int(targets.max()) + 1
        folds = max(2, min(self.folds, int(np.bincount(targets).min())))
        splits = StratifiedKFold(folds, shuffle=True, random_state=seed)
        weights = "balanced" if balanced else None
        tried: list[tuple[float, float, Any]] = []
        # One thread: on a busy machine, two that wait for each other take many times as long.
        with threadpool_limits(1), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of classes with fewer images than folds, and of few iterations
            for strength in self.strengths:
                made = classifier(strength, weights, self.power)
                found = cross_val_predict(made, values, targets, cv=splits, method="predict_proba")
                tried.append((float(log_loss(targets, found, labels=range(classes))), strength, found))
            lowest, strength, out_of_fold = min(tried, key=lambda one: one[0])
            scaler, chosen = classifier(strength, weights, self.power).fit(values, targets).named_steps.values()
        weight, bias = chosen.coef_ / scaler.scale_, chosen.intercept_
        if len(weight) == 1:  # of two classes, scikit-learn has the difference of their logits
            weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
        return Fitted(weight, bias - weight @ scaler.mean_, strength, out_of_fold, lowest)


class Scaler(StandardScaler):  # type: ignore[misc]
    """Features less their means, divided by a power of their standard deviations; their mean variance is 1.

    A power of 1 standardises; 0.5 is Pareto scaling (10.1186/1471-2164-7-142): what varies more counts for more.
    """

    scale_: NDArray[np.float64]

    def __init__(self, power: float = 1) -> None:
        super().__init__()
        self.power = power

    def fit(self, features: NDArray[np.float64], targets: Any = None) -> "Scaler":
        """Learn means and scales of features, [n, d]; those that do not vary are only centred."""
        super().fit(features)
        if self.power != 1:
            self.scale_ = self.scale_**self.power
            variances = (self.var_ / self.scale_**2)[self.var_ > 0]
            self.scale_ *= variances.mean() ** 0.5 if len(variances) else 1
        return self


def classifier(strength: float, class_weight: str | None, power: float) -> Pipeline:
    """Return what is fitted to features."""
    return make_pipeline(Scaler(power), LogisticRegression(C=strength, class_weight=class_weight, max_iter=1000))


class CoTuning(nn.Module):
    """Co-Tuning's auxiliary loss (You et al., NeurIPS 2020): the classifier that came with the weights trains on.

    Of each image, it is to give the probabilities that it gave, on average, for the images of its class before
    training. weight: of this loss, beside the one that is configured; classes: how many new ones.
    """

    relation: Tensor  # float32 [classes, pretrained classes]

    def __init__(self, classifier: nn.Linear, classes: int, weight: float) -> None:
        super().__init__()
        self.classifier, self.weight = classifier, weight
        self.register_buffer("relation", torch.zeros(classes, classifier.out_features))

    def relate(self, features: Tensor, targets: Tensor) -> None:
        """Set what each class is like. features: float [n, d], before training; targets: int64 [n], of all classes."""
        with torch.no_grad():
            probabilities = self.classifier(features).softmax(dim=1)
            one_hot = F.one_hot(targets, len(self.relation)).T.to(probabilities.dtype)
            self.relation.copy_(one_hot @ probabilities / one_hot.sum(dim=1, keepdim=True))

    def forward(self, features: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of a batch: features, float [n, d], of images of the targets, int64 [n]."""
        return self.weight * F.cross_entropy(self.classifier(features), self.relation[targets])


def linear_end(network: nn.Module) -> nn.Linear | None:
    """Return the last layer of a network of timm's where it makes all logits of `pooled_features`; else None."""
    last = network.get_classifier()  # type: ignore[operator]
    alone = hasattr(network, "forward_head") and getattr(network, "aux_head", None) is None  # VOLO has a second head
    return last if isinstance(last, nn.Linear) and alone else None


def pooled_features(network: nn.Module, images: Tensor) -> Tensor:
    """Return what the last layer of a network of timm's gets of images: float [n, d]."""
    return cast(Tensor, network.forward_head(network.forward_features(images), pre_logits=True))  # type: ignore[operator]
