"""The range of every numeric setting, and the settings that must go together."""

from dataclasses import asdict
from math import inf

from kenyan13.config.presets import flatten, map_nodes, node_defaults
from kenyan13.config.settings import Settings
from kenyan13.errors import UserError

# lowest and highest value allowed -> settings
RANGES: dict[tuple[float, float], str] = {
    (-1, 1): "stop.threshold",
    (0, 0.5): "augment.hue",
    (0, 0.9999): "optim.momentum",
    (0, 0.999999): "optim.betas",
    (0, 1): "augment.vertical_flip augment.horizontal_flip augment.translation augment.erasing.probability"
    " augment.erasing.area augment.noise.probability model.layer_decay optim.layer_decay schedule.factor schedule.gamma"
    " loss.label_smoothing",
    (0, 5): "freeze.level",
    (0, 89): "augment.shear",
    (0, 128): "data.workers",
    (0, 180): "augment.rotation",
    (0, 2**32 - 1): "seed data.split_seed",
    (0, inf): "data.fold augment.brightness augment.contrast augment.saturation augment.noise.std model.cotuning"
    " model.rate optim.weight_decay schedule.patience schedule.threshold schedule.warmup loss.gamma trainer.max_epochs",
    (1e-12, inf): "optim.lr",
    (1e-9, inf): "head.strengths",
    (0.001, 1): "stop.smoothing",
    (0.001, inf): "augment.erasing.ratio",
    (0.01, 0.99): "data.validation_fraction",
    (0.01, 1): "augment.crop_area",
    (0.01, 100): "augment.crop_ratio",
    (0.01, inf): "augment.scale",
    (1, inf): "data.subset data.max_pixels model.batch_size freeze.views schedule.step_size schedule.milestones"
    " stop.patience trainer.accumulate_grad_batches",
    (2, inf): "data.folds head.folds",
    (8, inf): "model.crop",
}
LIMITS = {key: limits for limits, keys in RANGES.items() for key in keys.split()}
WHOLE = {
    "trainer.max_epochs", "trainer.accumulate_grad_batches", "freeze.level", "freeze.views", "schedule.step_size",
    "stop.patience",
}  # fmt: skip
AUTO_EPOCHS = "trainer.max_epochs", "auto"  # decided by the number of images, when they have been read


def check(settings: Settings) -> None:
    """Raise UserError for a setting that is missing, out of its range, or at odds with another."""
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
    data, freeze, trainer = settings.data, settings.freeze, settings.trainer
    cached = freeze.get("features") == "cached"  # a frozen backbone's features, computed once
    if data.fold is not None and data.fold >= data.folds:
        raise UserError(f"data.fold={data.fold} does not exist.", f"folds are counted 0 to {data.folds - 1}")
    if cached and (freeze.get("level") != 0 or freeze.get("unfreeze")):
        raise UserError("freeze.features=cached needs a backbone that is frozen all the time.", "freeze=pt0")
    if cached and freeze.get("frozen_bn") == "train":
        problem = "With freeze.frozen_bn=train, features change all the time: freeze.features=cached cannot be."
        raise UserError(problem, "freeze.frozen_bn=eval")
    if cached and settings.model.cotuning:
        problem = "freeze.features=cached trains no backbone, which is what Co-Tuning is for."
        raise UserError(problem, "model.cotuning=0")
    if cached and settings.predict.mirror:
        raise UserError("freeze.features=cached keeps no mirror images' features.", "predict.mirror=false")
    if cached and trainer.get("devices", 1) != 1:
        raise UserError("freeze.features=cached trains on one device.", "trainer.devices=1")
    if data.test and not trainer.get("enable_checkpointing", True):
        raise UserError("data.test=true needs trainer.enable_checkpointing=true.", "the best epoch's weights predict")
    if trainer.get("max_epochs") == 0 and not settings.head:
        raise UserError("trainer.max_epochs=0 trains nothing.", "1 or more, auto; with head=linear, 0 keeps that head")
    if trainer.get("devices") == 0:
        raise UserError("trainer.devices=0 leaves nothing to train on.", "1 for one device, -1 for all of them")
