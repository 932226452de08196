"""The range of every numeric setting, and the settings that must go together."""

from dataclasses import fields, is_dataclass
from math import inf
from typing import Any

from kenyan13.config.settings import FrozenBatchNorm, FrozenFeatures, Settings
from kenyan13.errors import UserError

# setting -> lowest and highest value allowed
LIMITS: dict[str, tuple[float, float]] = {
    "data.validation_fraction": (0.01, 0.99),
    "data.folds": (2, inf),
    "data.fold": (0, inf),
    "data.subset": (1, inf),
    "data.split_seed": (0, 2**32 - 1),
    "data.workers": (0, inf),
    "augment.brightness": (0, inf),
    "augment.contrast": (0, inf),
    "augment.saturation": (0, inf),
    "augment.hue": (0, 0.5),
    "augment.vertical_flip": (0, 1),
    "augment.horizontal_flip": (0, 1),
    "augment.rotation": (0, 180),
    "augment.translation": (0, 1),
    "augment.scale": (0.01, inf),
    "augment.shear": (0, 89),
    "augment.erasing.probability": (0, 1),
    "augment.erasing.area": (0, 1),
    "augment.erasing.ratio": (1e-3, inf),
    "augment.noise.probability": (0, 1),
    "augment.noise.std": (0, inf),
    "model.crop": (8, inf),
    "model.batch_size": (1, inf),
    "freeze.level": (0, 5),
    "freeze.views": (1, inf),
    "optim.lr": (0, inf),
    "optim.weight_decay": (0, inf),
    "optim.momentum": (0, 0.9999),
    "optim.betas": (0, 0.999999),
    "schedule.factor": (0, 1),
    "schedule.every": (1, inf),
    "schedule.milestones": (1, inf),
    "schedule.patience": (0, inf),
    "schedule.threshold": (0, inf),
    "schedule.warmup": (0, inf),
    "stop.patience": (1, inf),
    "stop.threshold": (-1, 1),
    "stop.smoothing": (0.001, 1),
    "trainer.max_epochs": (1, inf),
    "trainer.devices": (-1, inf),
    "seed": (0, 2**32 - 1),
}
# lists that are a lowest and a highest value to draw between
PAIRS = ("brightness", "contrast", "saturation", "scale", "erasing.area", "erasing.ratio")


def check(settings: Settings) -> None:
    """Raise UserError for the first setting that is missing, out of its range, or at odds with another."""
    for key, value in leaves(settings):
        low, high = LIMITS.get(key, (-inf, inf))
        for number in value if isinstance(value, list) else [value]:
            if isinstance(number, int | float) and not low <= number <= high:
                allowed = f"at least {low:g}" if high == inf else f"{low:g} to {high:g}"
                raise UserError(f"{key}={value} is out of range.", f"allowed: {allowed}")
    augment = dict(leaves(settings.augment))
    for name in PAIRS:
        pair = augment[name]
        if len(pair) != 2 or pair[0] > pair[1]:
            raise UserError(
                f"augment.{name}={pair} is not a range.", f"give the lowest and highest value: augment.{name}=[a,b]"
            )
    check_together(settings)


def check_together(settings: Settings) -> None:
    """Raise UserError for settings that are each allowed but cannot go together."""
    data, freeze, trainer = settings.data, settings.freeze, settings.trainer
    if data.fold is not None and data.fold >= data.folds:
        raise UserError(f"data.fold={data.fold} does not exist.", f"folds are counted 0 to {data.folds - 1}")
    epochs, levels = [pair[0] for pair in freeze.unfreeze], [freeze.level, *(pair[-1] for pair in freeze.unfreeze)]
    pairs = all(len(pair) == 2 for pair in freeze.unfreeze) and min(epochs, default=1) >= 1 and max(levels) <= 5
    if not pairs or sorted(set(epochs)) != epochs or sorted(set(levels)) != levels:
        raise UserError(
            f"freeze.unfreeze={freeze.unfreeze} is no rising list of [epoch, level] above level {freeze.level}.",
            "epochs from 1, levels up to 5, as in freeze.level=0 freeze.unfreeze=[[3,2],[6,5]]",
        )
    if freeze.features is FrozenFeatures.cached:
        check_cached(settings)
    if len(settings.optim.betas) != 2:
        raise UserError("optim.betas needs two numbers.", "the default: optim.betas=[0.9,0.999]")
    if settings.name in (".", "..") or "/" in (settings.name or ""):
        raise UserError(f"name={settings.name} is no name of a folder.", "runs=DIR chooses the folder it is made in")
    if data.test and not trainer.checkpoints:
        raise UserError("data.test=true needs trainer.checkpoints=true.", "the best epoch's weights predict")
    if trainer.devices == 0:
        raise UserError("trainer.devices=0 leaves nothing to train on.", "1 for one device, -1 for all of them")


def check_cached(settings: Settings) -> None:
    """Raise UserError for what cannot go with a frozen backbone's features computed once."""
    freeze = settings.freeze
    if freeze.level > 0 or freeze.unfreeze:
        raise UserError("freeze.features=cached needs a backbone that is frozen all the time.", "freeze=pt0")
    if freeze.frozen_bn is FrozenBatchNorm.train:
        raise UserError(
            "With freeze.frozen_bn=train, features change all the time: freeze.features=cached cannot be.",
            "freeze.frozen_bn=eval",
        )
    if settings.trainer.devices != 1:
        raise UserError("freeze.features=cached trains on one device.", "trainer.devices=1")


def leaves(node: Any, prefix: str = "") -> list[tuple[str, Any]]:
    """Return (dotted name, value) of every setting below a settings dataclass (an instance, or the class itself)."""
    found = []
    for item in fields(node):
        child = item.type if isinstance(node, type) else getattr(node, item.name)
        if is_dataclass(child):
            found += leaves(child, f"{prefix}{item.name}.")
        else:
            found.append((prefix + item.name, child))
    return found
