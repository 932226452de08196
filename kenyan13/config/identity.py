"""What makes two runs the same run, and the name that follows from it. Imports no torch.

A run is what differs from the defaults: a setting that arrives later, with a default that changes nothing, leaves the
identity of all earlier runs as it is.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from typing import Any

from kenyan13.config.presets import TARGET, flatten, map_nodes, merge, node_defaults, nodes, presets, presets_of
from kenyan13.config.settings import BUILT, Settings

# Settings on which a run's result does not depend.
MACHINE_ONLY = {
    "runs", "name", "experiment", "export", "data.cache", "data.workers", "data.test", "logger", "trainer.accelerator",
    "model.rate", "model.layer_decay", "model.frozen_bn", "model.toy",  # what they are used for has settings of its own
    "trainer.profiler", "trainer.default_root_dir", "trainer.log_every_n_steps", "trainer.enable_progress_bar",
    "trainer.enable_model_summary", "trainer.enable_autolog_hparams", "trainer.detect_anomaly",
}  # fmt: skip
# Callbacks that only watch (training.progress: until 2026-11-27).
WATCHING = (
    "kenyan13.training.display.", "kenyan13.training.progress.", "kenyan13.training.board.",
    "kenyan13.training.callbacks.History", "kenyan13.training.callbacks.RunFiles",
    "pytorch_lightning.callbacks.DeviceStatsMonitor",
    "pytorch_lightning.callbacks.LearningRateMonitor", "pytorch_lightning.callbacks.ThroughputMonitor",
    "pytorch_lightning.callbacks.ModelSummary", "pytorch_lightning.callbacks.RichModelSummary",
    "pytorch_lightning.callbacks.TQDMProgressBar", "pytorch_lightning.callbacks.RichProgressBar",
)  # fmt: skip
NAMED = (
    "head", "optim", "schedule", "loss", "stop", "augment", "balance", "freeze.features", "data.fold", "seed",
    "model.crop", "model.batch_size", "trainer.max_epochs",
)  # fmt: skip
WORDS = 4  # of what was chosen, in a run's name


def plain(settings: Settings) -> dict[str, Any]:
    """Return the settings as nested dicts of plain values (enums by name), fit for YAML, JSON and checkpoints."""
    return json.loads(json.dumps(asdict(settings), default=lambda value: value.name))  # type: ignore[no-any-return]


def complete(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return plain settings with what the groups that Hydra builds lack in comparison with the presets of conf/."""
    return {**settings, **map_nodes(settings, lambda group, _, node: merge(node_defaults(group, node), node))}


def counts(key: str, settings: Mapping[str, Any]) -> bool:
    """Return whether a run's result depends on the setting with a dotted key."""
    group, *names = key.split(".")
    if key == "data.store":
        return bool(settings["data"]["store"] == "jpeg")  # the others give the same pixels
    if group == "callbacks":
        node = settings["callbacks"].get(names[0]) if names else None
        return isinstance(node, Mapping) and not str(node.get(TARGET)).startswith(WATCHING)
    return not MACHINE_ONLY & {key, group, ".".join([group, *names[:1]])}


def relevant(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return of plain settings those that a run's result depends on, defaults among them: dotted key -> value."""
    own = complete(settings)
    return {key: value for key, value in flatten(own) if counts(key, own)}


def identity(settings: Settings) -> dict[str, Any]:
    """Return what a run's result depends on and is not as by default: dotted key -> plain value."""
    own, default = plain(settings), default_settings()
    # compared with conf/train.yaml's targets, and each target's arguments by its own preset
    targets = {key: node.get(TARGET) for group in BUILT for key, node in nodes(group, default[group])}
    built = map_nodes(own, lambda group, key, node: {**node_defaults(group, node), TARGET: targets.get(key)})
    usual, chosen = dict(flatten(default | built)), relevant(own)
    left_out = {key: None for key in relevant(default)
                if key.startswith("callbacks.") and key.endswith(TARGET) and key not in chosen}  # fmt: skip
    return {key: value for key, value in chosen.items() if not (key in usual and usual[key] == value)} | left_out


@cache
def default_settings() -> dict[str, Any]:
    """Return what `python train.py` alone would do, as plain values."""
    from kenyan13.config.compose import composed

    return complete(plain(composed()))


def differences(here: Settings, there: Settings) -> dict[str, tuple[Any, Any]]:
    """Return the settings on which results depend and that are not the same: dotted key -> (here, there)."""
    own, other = relevant(plain(here)), relevant(plain(there))
    return {key: (own.get(key), other.get(key)) for key in own | other if own.get(key) != other.get(key)}


def config_hash(settings: Settings) -> str:
    """Return eight hex digits that stand for all settings that a run's result depends on."""
    text = json.dumps(identity(settings), sort_keys=True, default=str)
    text = re.sub(r"(?<=[\s\[])(-?\d+)\.0(?=[,}\]])", r"\1", text)  # 1 and 1.0 are one setting
    return hashlib.blake2b(text.encode(), digest_size=4).hexdigest()


def run_name(settings: Settings) -> str:
    """Name the run: `name`, or backbone, freezing level, what else was chosen, and the config hash."""
    if settings.name:
        return settings.name
    backbone = settings.model.backbone.split(".")[0].replace("/", "_")
    level = f"pt{settings.freeze['level']}" if "level" in settings.freeze else "custom"
    level = "gradual" if settings.freeze.get("unfreeze") else level
    return "_".join([backbone, level, *chosen_words(settings)]) + f"-{config_hash(settings)}"


def chosen_words(settings: Settings) -> list[str]:
    """Return some short words for what was chosen beside backbone and level: adamw, lr1e-3, fold0."""
    own, chosen, words = plain(settings), identity(settings), []
    usual = dict(flatten(default_settings()))
    for preset in presets("model").values():  # its crop and batch size go with the backbone
        usual |= dict(flatten({"model": preset})) if preset["backbone"] == settings.model.backbone else {}
    for name in NAMED:
        for key in (key for key in chosen if key == name or key.startswith(f"{name}.")):
            group, last, value = key.partition(".")[0], key.rpartition(".")[2], chosen[key]
            if group in ("balance", "augment"):
                unset, mine = plain(Settings())[group], dict(flatten(own[group]))
                equal = [name for name, preset in presets(group).items() if dict(flatten(merge(unset, preset))) == mine]
                word = f"no{group}" if equal[:1] == ["none"] else [*equal, group][0]
            elif last in (TARGET, "interval"):
                same = presets_of(group, target := str(own[group].get(TARGET)))
                named = [choice for choice, node in same if node.keys() == own[group].keys()]
                word = [*named, *(choice for choice, _ in same), target.rpartition(".")[2].lower()][0]
                word = f"stop{word}" if group == "stop" else word
            elif isinstance(value, str | int | float) and "${" not in str(value) and value != usual.get(key):
                word = f"{last.removeprefix('max_').removesuffix('_size')}{short(value).lower()}"
            else:
                continue
            words.append(re.sub(r"[^\w.+-]|_", "", word)[:24])
    return list(dict.fromkeys(words))[:WORDS]


def short(value: str | float) -> str:
    """Return a value as people write it, 1e-3 rather than 0.001."""
    if isinstance(value, str):
        return value
    if isinstance(value, int):  # a bool is one
        return str(value).lower()
    mantissa, exponent = f"{value:.2e}".split("e")
    return min(f"{float(mantissa):g}e{int(exponent)}", f"{value:g}", key=len)
