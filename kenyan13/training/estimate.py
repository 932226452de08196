"""How long the rest of a sweep will take, from the first steps of each run and the arithmetic of those after it."""

from collections.abc import Sequence
from functools import cache
from time import perf_counter
from typing import Any

import numpy as np
import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor, nn

from kenyan13.config.settings import DataSettings, ModelSettings, Settings
from kenyan13.data.catalogue import Catalogue
from kenyan13.model.backbones import build
from kenyan13.terminal import duration
from kenyan13.training.display import console

WARM_UP, STEPS = 3, 20  # at most: first steps, which are slower and not timed, and steps that are


class Estimate(Callback):
    """Says in a run's first epoch about how long it and the runs after it will take."""

    def __init__(self, settings: Settings, after: Sequence[Settings]) -> None:
        self.settings, self.after = settings, after
        self.start = 0.0
        self.said = False

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Take the time, and say the estimate once."""
        batches = int(trainer.num_training_batches)
        last = min(WARM_UP + STEPS, batches - 1)
        first = min(WARM_UP, last // 2)
        if self.said or batch_idx not in (first, last):
            return
        if torch.cuda.is_available():
            torch.cuda.synchronize()  # or the steps would be counted that are only queued
        if batch_idx == first:
            self.start = perf_counter()
        if batch_idx == last > first and self.start:
            step = (perf_counter() - self.start) / (last - first)
            data = trainer.datamodule  # type: ignore[attr-defined]
            self.say(step * batches, trainer.current_epoch, data.source.labelled)

    def say(self, training: float, epoch: int, labelled: Catalogue) -> None:
        """Print the estimate.

        training: seconds that an epoch's training steps take; epoch: epochs done before; labelled: all the data.
        """
        self.said = True
        whole = training * (passes(self.settings) + VALIDATION) / passes(self.settings)
        own = work(self.settings, labelled)
        seconds_a_unit = whole * self.settings.trainer.max_epochs / own
        here = own * (1 - epoch / self.settings.trainer.max_epochs)
        seconds = seconds_a_unit * (here + sum(work(other, labelled) for other in self.after))
        runs = f"{1 + len(self.after)} runs" if self.after else "run"
        console.print(
            f"about {duration(seconds)} for the {runs} from here, by the first steps; less if a stop rule ends them"
        )


VALIDATION = 0.25  # validation images a training image, each passed forward once


def passes(settings: Settings) -> float:
    """Return what a training image costs, in forward passes: 1 with a frozen backbone, 3 if all layers train."""
    return 1 + 2 * settings.freeze.level / 5


def work(settings: Settings, labelled: Catalogue) -> float:
    """Return the multiplications of a run, about."""
    an_image = multiplications(settings.model) * (passes(settings) + VALIDATION)
    return settings.trainer.max_epochs * an_image * training_images(settings.data, labelled)


def training_images(data: DataSettings, labelled: Catalogue) -> float:
    """Return how many training images an epoch has, about."""
    if data.subset is not None:
        return data.subset
    of_stage = [labelled.classes.index(name) for name in data.groups.get(data.stage or "", labelled.classes)]
    share = 1 - data.validation_fraction if data.fold is None else 1 - 1 / data.folds
    return share * float(np.isin(labelled.labels(), of_stage).sum())


def multiplications(model: ModelSettings) -> float:
    """Return the multiplications of convolutions and linear layers in one image's forward pass."""
    return count(model.backbone, model.crop)


@cache
def count(backbone: str, crop: int) -> float:
    """Count by running the network on torch's meta device, which has shapes but no numbers."""
    total = 0.0

    def add(layer: nn.Module, _: Any, out: Tensor) -> None:
        nonlocal total
        weight = layer.weight
        assert isinstance(weight, Tensor)
        total += out.numel() * weight[0].numel()

    with torch.device("meta"):
        network = build(ModelSettings(backbone=backbone, crop=crop), 2, pretrained=False).eval()
        for layer in network.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                layer.register_forward_hook(add)
        network(torch.empty(1, 3, crop, crop))
    return total
