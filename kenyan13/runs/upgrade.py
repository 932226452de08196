"""What earlier versions wrote, in today's words. Pure functions of plain values."""

from collections.abc import Mapping
from typing import Any

DATA_NAMES = {"pictures": "images"}
RESULT_NAMES = {"train_pictures": "train_images", "validation_pictures": "validation_images"}


def same(*names: str) -> dict[str, str]:
    """Return names that have stayed."""
    return dict(zip(names, names, strict=True))


# Until 2026-11-25 a group's choice was a `name` beside the settings of all choices: what Hydra builds in its place, and
# the names of the settings that it takes.
OPTIM = {
    "adam": ("torch.optim.Adam", same("lr", "weight_decay", "betas")),
    "adamw": ("torch.optim.AdamW", same("lr", "weight_decay", "betas")),
    "sgd": ("torch.optim.SGD", same("lr", "weight_decay", "momentum")),
}
SCHEDULE = {
    "constant": ("torch.optim.lr_scheduler.ConstantLR", {}),
    "step": ("torch.optim.lr_scheduler.StepLR", {"every": "step_size", "factor": "gamma"}),
    "multistep": ("torch.optim.lr_scheduler.MultiStepLR", {"milestones": "milestones", "factor": "gamma"}),
    "plateau": ("torch.optim.lr_scheduler.ReduceLROnPlateau", same("factor", "patience", "threshold")),
    "cosine": ("kenyan13.model.optimisation.warmup_cosine", same("warmup")),
}
STOP = {
    "loss": ("kenyan13.training.stopping.StopOnLoss", same("patience")),
    "accuracy": ("kenyan13.training.stopping.StopOnAccuracy", same("patience", "threshold", "smoothing")),
}
FREEZE = {"unfreeze": [], "features": "recomputed", "views": 1}  # what today's presets do not list
GONE = ("task", "smoke")  # verbs, and debug=smoke, whose settings are all recorded
PRECISION = {"float32": "32-true", "bfloat16": "bf16-mixed"}


def upgrade_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the plain values of a config.yaml of any version as today's version would have written them."""
    data = dict(config["data"])
    for key, part in data.items():
        if isinstance(part, Mapping):
            data[key] = {DATA_NAMES.get(name, name): one for name, one in part.items()}
    return {**config, "data": data, "settings": upgrade_settings(config["settings"])}


def upgrade_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings of any version under today's names."""
    settings = {key: value for key, value in settings.items() if key not in GONE}
    if not isinstance(settings.get("optim"), Mapping) or "name" not in settings["optim"]:
        return settings
    trainer, freeze, old_stop = (dict(settings.get(group, {})) for group in ("trainer", "freeze", "stop"))
    model = {**settings.get("model", {}), **{k: trainer.pop(k) for k in ("channels_last", "compile") if k in trainer}}
    trainer.pop("model_graph", None)  # a watching callback's business now
    if "checkpoints" in trainer:
        trainer["enable_checkpointing"] = trainer.pop("checkpoints")
    if "precision" in trainer:
        trainer["precision"] = PRECISION.get(trainer["precision"], trainer["precision"])
    freeze = {key: value for key, value in freeze.items() if FREEZE.get(key) != value}
    return {
        **settings,
        "model": model,
        "freeze": {"_target_": "kenyan13.model.freezing.Freeze", **freeze},
        "optim": renamed(settings["optim"], OPTIM, "name"),
        "schedule": renamed(settings.get("schedule", {}), SCHEDULE, "name"),
        "stop": renamed(old_stop, STOP, "rule"),
        "trainer": {"_target_": "pytorch_lightning.Trainer", **trainer},
    }


def renamed(old: Mapping[str, Any], table: Mapping[str, tuple[str, Mapping[str, str]]], choice: str) -> dict[str, Any]:
    """Return a group as a node with the target that its choice meant, and that target's arguments."""
    if old.get(choice) not in table:
        return {}
    target, names = table[old[choice]]
    return {"_target_": target, **{new: old[name] for name, new in names.items() if name in old}}
