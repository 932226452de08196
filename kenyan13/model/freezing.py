"""Which layers train: levels 0 to 5 of a network, and the callback that freezes what lies deeper.

Level 0 is the head, level 5 the stem; freezing at level k trains all parameters of levels <= k (study, PT0 to PT5).
"""

import re
from collections.abc import Iterable, Sequence, Set
from contextlib import suppress

import numpy as np
from pytorch_lightning import Callback, LightningModule, Trainer
from timm.models import group_parameters
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from kenyan13.errors import UserError, did_you_mean
from kenyan13.model.backbones import head_prefixes

LEVELS = 6
Patterns = tuple[str, ...]  # one regular expression a level, 0 to 5; the first that matches a name decides


def resnet(network: nn.Module) -> Patterns:
    """Head, then stages from last to first, then the stem."""
    return (r"fc\.", r"layer4\.", r"layer3\.", r"layer2\.", r"layer1\.", "")


def densenet(network: nn.Module) -> Patterns:
    """Head, dense blocks from last to first each with the transition after it, then the stem."""
    blocks = (rf"features\.(denseblock{k}|transition{k})\." for k in (3, 2, 1))
    return (r"classifier\.", r"features\.(denseblock4|norm5)\.", *blocks, "")


def vgg(network: nn.Module) -> Patterns:
    """The linear layers, then convolution stages from last to first; a max pool ends each stage."""
    stages: list[list[str]] = [[]]
    for name, layer in network.features.named_children():  # type: ignore[union-attr]
        stages[-1].append(name)
        if isinstance(layer, nn.MaxPool2d):
            stages.append([])
    return (r"(pre_logits|head)\.", *(rf"features\.({'|'.join(stage)})\." for stage in reversed(stages[:5])))


def efficientnet(network: nn.Module) -> Patterns:
    """Head, fifths of the blocks from last to first, the last with the head convolution, the first with the stem."""
    stages = network.blocks.named_children()  # type: ignore[union-attr]
    blocks = [f"{stage}\\.{block}" for stage, layers in stages for block, _ in layers.named_children()]
    fifths = [f"blocks\\.({'|'.join(fifth)})\\." for fifth in np.array_split(np.array(blocks), 5)]
    return (r"classifier\.", rf"(conv_head|bn2)\.|{fifths[4]}", fifths[3], fifths[2], fifths[1], "")


# Families of the study's table, by the timm module that defines them.
FAMILIES = {"resnet": resnet, "densenet": densenet, "vgg": vgg, "efficientnet": efficientnet}


def parameter_levels(network: nn.Module) -> dict[str, int]:
    """Return the level, 0 to 5, of each parameter by name.

    Families outside the study's table are cut into five parts of equally many layer groups.
    """
    family = FAMILIES.get(type(network).__module__.rpartition(".")[2])
    if family is None:
        return depth_levels(network)
    patterns = [re.compile(pattern) for pattern in family(network)]
    return {
        name: next(level for level, pattern in enumerate(patterns) if pattern.match(name))
        for name, _ in network.named_parameters()
    }


def depth_levels(network: nn.Module) -> dict[str, int]:
    """Return levels by depth: the head, then five parts of the layer groups, from the last to the first.

    The groups are timm's; networks that it gives none of are grouped by their modules, in the order of definition. No
    part is norms alone, where that can be: it would train next to nothing.
    """
    head = head_prefixes(network)
    sizes = {name: value.ndim for name, value in network.named_parameters() if not name.startswith(head)}
    by_module: dict[str, list[str]] = {}
    for name in sizes:
        by_module.setdefault(".".join(name.split(".")[:3][:-1]), []).append(name)
    groups = list(by_module.values())
    with suppress(AttributeError, AssertionError, TypeError):
        by_depth = group_parameters(network, network.group_matcher(coarse=False))  # type: ignore[operator]
        groups = [body for depth in sorted(by_depth) if (body := [name for name in by_depth[depth] if name in sizes])]
    matrices = {name for name, dimensions in sizes.items() if dimensions > 1}
    for bodies in (groups, joined(groups, matrices), joined(by_module.values(), matrices)):
        split = np.array_split(np.arange(len(bodies)), LEVELS - 1)
        parts = [[name for one in part for name in bodies[one]] for part in split]
        if all(matrices.intersection(part) for part in parts):
            break
    levels = {name: 0 for name, _ in network.named_parameters()}
    for level, part in zip(range(LEVELS - 1, 0, -1), parts, strict=True):
        levels |= dict.fromkeys(part, level)
    return levels


def joined(groups: Iterable[list[str]], matrices: Set[str]) -> list[list[str]]:
    """Return groups of names of which each has some of `matrices`: others go with the group before, or the next."""
    made: list[list[str]] = []
    for group in groups:
        if made and not (matrices & set(group) and matrices & set(made[-1])):
            made[-1] += group
        else:
            made.append([*group])
    return made


def parameter_counts(network: nn.Module) -> list[int]:
    """Return the number of parameters of each level, 0 to 5."""
    levels = parameter_levels(network)
    sizes = {name: parameter.numel() for name, parameter in network.named_parameters()}
    return [sum(sizes[name] for name in sizes if levels[name] == level) for level in range(LEVELS)]


class Freeze(Callback):
    """Trains the levels up to `level`, 0 to 5; with `unfreeze`, pairs [epoch, level], deeper ones from epochs on.

    frozen_bn: "eval" keeps the statistics of frozen batch norms, "train" goes on moving them, "all" keeps those of all
    batch norms that have any: the network begins as what a head on its features was fitted to. features: "cached" has
    the frozen backbone's output computed once, from `views` augmented views of each image (training/features.py).

    What is frozen is a function of the epoch alone, so that a resumed run needs no state of this callback. Optimisers
    pass over parameters without gradient, so that all parameters can be given to them from the start. Raises UserError
    for levels and epochs that cannot be.
    """

    def __init__(
        self,
        level: int = 5,
        unfreeze: Sequence[Sequence[int]] = (),
        frozen_bn: str = "eval",
        features: str = "recomputed",
        views: int = 1,
    ) -> None:
        choices = {"frozen_bn": (frozen_bn, ("eval", "train", "all")), "features": (features, ("recomputed", "cached"))}
        for name, (value, known) in choices.items():
            if value not in known:
                raise UserError(f"freeze.{name}={value} is no choice.{did_you_mean(value, known)}", " or ".join(known))
        self.level, self.unfreeze, self.frozen_bn = level, [tuple(pair) for pair in unfreeze], frozen_bn
        self.features, self.views = features, views
        self.without: set[nn.Module] = set()  # batch norms that have no statistics to keep
        epochs, levels = [pair[0] for pair in self.unfreeze], [level, *(pair[-1] for pair in self.unfreeze)]
        pairs = all(len(pair) == 2 for pair in self.unfreeze) and min(epochs, default=1) >= 1 and max(levels) <= 5
        if not pairs or sorted(set(epochs)) != epochs or sorted(set(levels)) != levels:
            raise UserError(
                f"freeze.unfreeze={list(unfreeze)} is no rising list of [epoch, level] above level {level}.",
                "epochs from 1, levels up to 5, as in freeze.level=0 freeze.unfreeze=[[3,2],[6,5]]",
            )

    def level_at(self, epoch: int) -> int:
        """Return the level of an epoch, counted from 0."""
        return max([self.level, *(level for start, level in self.unfreeze if epoch >= start)])

    def apply(self, network: nn.Module, level: int) -> None:
        """Set requires_grad, and the mode of frozen batch norms, for a level."""
        levels = parameter_levels(network)
        for name, parameter in network.named_parameters():
            parameter.requires_grad_(levels[name] <= level)
        if self.frozen_bn != "train":
            for layer in network.modules():
                if isinstance(layer, _BatchNorm):
                    own = list(layer.parameters(recurse=False))
                    moves = not own or any(parameter.requires_grad for parameter in own)
                    layer.train(moves and (self.frozen_bn != "all" or layer in self.without))

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Before a data-parallel wrapper looks: everything that will ever train requires gradients."""
        if stage == "fit":
            for layer in pl_module.modules():  # a checkpoint, to go on from, is read later
                if isinstance(layer, _BatchNorm) and (layer.running_mean is None or not layer.running_mean.any()):
                    self.without.add(layer)
            self.apply(pl_module.network, self.level_at(trainer.max_epochs or 0))  # type: ignore[arg-type]

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Freeze for this epoch."""
        self.apply(pl_module.network, self.level_at(trainer.current_epoch))  # type: ignore[arg-type]
