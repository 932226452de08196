"""head=linear: the head set to a linear classifier of the frozen backbone's features, before anything is trained."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from kenyan13.config.settings import Sampling, Settings
from kenyan13.data.datamodule import ImageDataModule
from kenyan13.model.linear import Fitted, LinearHead
from kenyan13.training.features import plain_features


def set_head(
    head: LinearHead, settings: Settings, data: ImageDataModule, network: nn.Module, described: dict[str, Any]
) -> tuple[Fitted, float]:
    """Fit a classifier to the training images' features and put it in place of the network's last layer.

    Classes count the same where conf/balance asks for that in training. Returns the classifier, and its mean cross
    entropy on the images that it was fitted to.
    """
    features, targets = plain_features(settings, data, network, described), data.train.catalogue.targets
    balanced = settings.balance.weighted_loss or settings.balance.sampling is not Sampling.shuffled
    fitted = head.fit(features, targets, settings.seed, balanced)
    last = network.get_classifier()  # type: ignore[operator]
    with torch.no_grad():
        last.weight.copy_(torch.from_numpy(fitted.weight))
        last.bias.copy_(torch.from_numpy(fitted.bias))
        loss = F.cross_entropy(last(torch.from_numpy(features)), torch.from_numpy(targets))
    return fitted, float(loss)
