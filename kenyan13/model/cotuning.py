"""Co-Tuning: a backbone goes on with what it was pretrained for, while it learns new classes.

Source: You et al., Co-Tuning for Transfer Learning (NeurIPS 2020), with its direct way to relate classes.
"""

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class CoTuning(nn.Module):
    """An auxiliary loss: the classifier that came with a backbone's weights, and is trained on beside the new one.

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
