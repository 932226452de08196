"""The range of every numeric setting, and the settings that must go together."""

from dataclasses import asdict
from math import inf

from kenyan13.config.presets import flatten, map_nodes, node_defaults
from kenyan13.config.settings import Settings
from kenyan13.errors import UserError

# setting -> lowest and highest value allowed
LIMITS: dict[str, tuple[float, float]] = {
    "data.validation_fraction": (0.01, 0.99),
    "data.folds": (2, inf),
    "data.fold": (0, inf),
    "data.subset": (1, inf),
    "data.split_seed": (0, 2**32 - 1),
    "data.workers": (0, 128),
    "data.max_pixels": (1, inf),
    "augment.crop_area": (0.01, 1),
    "augment.crop_ratio": (0.01, 100),
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
    "model.cotuning": (0, inf),
    "model.rate": (0, inf),
    "model.layer_decay": (0, 1),
    "head.strengths": (1e-9, inf),
    "head.folds": (2, inf),
    "freeze.level": (0, 5),
    "freeze.views": (1, inf),
    "optim.lr": (1e-12, inf),
    "optim.weight_decay": (0, inf),
    "optim.momentum": (0, 0.9999),
    "optim.betas": (0, 0.999999),
    "optim.layer_decay": (0, 1),
    "schedule.factor": (0, 1),
    "schedule.gamma": (0, 1),
    "schedule.step_size": (1, inf),
    "schedule.milestones": (1, inf),
    "schedule.patience": (0, inf),
    "schedule.threshold": (0, inf),
    "schedule.warmup": (0, inf),
    "stop.patience": (1, inf),
    "stop.threshold": (-1, 1),
    "stop.smoothing": (0.001, 1),
    "loss.label_smoothing": (0, 1),
    "loss.gamma": (0, inf),
    "trainer.max_epochs": (0, inf),
    "trainer.accumulate_grad_batches": (1, inf),
    "seed": (0, 2**32 - 1),
}
WHOLE = (
    "trainer.max_epochs", "trainer.accumulate_grad_batches", "freeze.level", "freeze.views", "schedule.step_size",
    "stop.patience",
)  # fmt: skip


AUTO_EPOCHS = "trainer.max_epochs", "auto"  # decided by the number of images, when they have been read


def check(settings: Settings) -> None:
    """Raise UserError for the first setting that is missing, out of its range, or at odds with another."""
    values = dict(flatten(asdict(settings)))
    # What Hydra builds has no value where null stands in the place of a preset's.
    usual = dict(flatten(map_nodes(vars(settings), lambda group, _, node: node_defaults(group, node))))
    for key, (low, high) in LIMITS.items():
        value, kind = values.get(key), int if key in WHOLE else int | float
        if key not in values or "${" in str(value) or value is usual.get(key) is None or (key, value) == AUTO_EPOCHS:
            continue
        for number in value if isinstance(value, list) else [value]:
            is_number = isinstance(number, int | float) and not isinstance(number, bool)  # a bool is an int
            if not is_number or not isinstance(number, kind) or number == inf or not low <= number <= high:
                words = "whole numbers, " if key in WHOLE else ""
                listed = f"at least {low:g}" if high == inf else f"{low:g} to {high:g}"
                problem = "is out of range" if is_number else "is no number"
                raise UserError(f"{key}={'null' if value is None else value} {problem}.", f"allowed: {words}{listed}")
        if key.startswith("augment.") and isinstance(value, list) and (len(value) != 2 or value[0] > value[1]):
            raise UserError(f"{key}={value} is not a range.", f"give the lowest and highest value: {key}=[a,b]")
    check_together(settings)


def check_together(settings: Settings) -> None:
    """Raise UserError for settings that are each allowed but cannot go together."""
    data, trainer = settings.data, settings.trainer
    if data.fold is not None and data.fold >= data.folds:
        raise UserError(f"data.fold={data.fold} does not exist.", f"folds are counted 0 to {data.folds - 1}")
    if settings.freeze.get("features") == "cached":
        check_cached(settings)
    if data.test and not trainer.get("enable_checkpointing", True):
        raise UserError("data.test=true needs trainer.enable_checkpointing=true.", "the best epoch's weights predict")
    if trainer.get("max_epochs") == 0 and not settings.head:
        raise UserError("trainer.max_epochs=0 trains nothing.", "1 or more, auto; with head=linear, 0 keeps that head")
    if trainer.get("devices") == 0:
        raise UserError("trainer.devices=0 leaves nothing to train on.", "1 for one device, -1 for all of them")


def check_cached(settings: Settings) -> None:
    """Raise UserError for what cannot go with a frozen backbone's features computed once."""
    freeze = settings.freeze
    if freeze.get("level") != 0 or freeze.get("unfreeze"):
        raise UserError("freeze.features=cached needs a backbone that is frozen all the time.", "freeze=pt0")
    if freeze.get("frozen_bn") == "train":
        raise UserError(
            "With freeze.frozen_bn=train, features change all the time: freeze.features=cached cannot be.",
            "freeze.frozen_bn=eval",
        )
    if settings.model.cotuning:
        raise UserError(
            "freeze.features=cached trains no backbone, which is what Co-Tuning is for.", "model.cotuning=0"
        )
    if settings.predict.mirror:
        raise UserError("freeze.features=cached keeps no mirror images' features.", "predict.mirror=false")
    if settings.trainer.get("devices", 1) != 1:
        raise UserError("freeze.features=cached trains on one device.", "trainer.devices=1")
