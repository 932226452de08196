"""From conf/ and the command line to checked Settings, or a mistake in the user's words. Imports no torch."""

import os
import re
import textwrap
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import asdict, fields, is_dataclass
from functools import cache
from math import inf
from typing import Any, cast

from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, MissingMandatoryValue, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from kenyan13.config.arguments import translate
from kenyan13.config.presets import ALL, CONF, flatten, map_nodes, node_defaults, presets, unknown_setting
from kenyan13.config.settings import Settings
from kenyan13.config.targets import check_built
from kenyan13.errors import UserError, did_you_mean, first_line

LONGEST = 200  # bytes of a run's name: file systems allow 255, of which files beside the folder need some
UNRESOLVED = ("schedule", "callbacks", "logger")  # their interpolations may name what is known only when a run starts

# lowest and highest value allowed -> settings
RANGES: dict[tuple[float, float], str] = {
    (-1, 1): "stop.threshold",
    (0, 0.5): "augment.hue",
    (0, 0.9999): "optim.momentum",
    (0, 0.999999): "optim.betas",
    (0, 1): "augment.vertical_flip augment.horizontal_flip augment.translation augment.erasing.probability"
    " augment.erasing.area augment.noise.probability model.layer_decay optim.layer_decay schedule.factor schedule.gamma"
    " loss.label_smoothing head.power",
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
    (0.1, 1): "predict.views",
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

# What is done with settings after their composition; the study adds its own (kenyan13/study/definitions.py).
finishers: list[Callable[[Settings], Settings]] = []

schema = OmegaConf.structured(Settings)
for names_to_be_chosen in (schema.data.groups, schema.model.options, schema.model.toy):
    OmegaConf.set_struct(names_to_be_chosen, False)  # Hydra lets no other setting get new keys
ConfigStore.instance().store(name="schema", node=schema)


def list_choices() -> str:
    """Return a line a config group with its choices, for --help; the study's many experiments are listed elsewhere."""
    lines = {folder.name: sorted(file.stem for file in folder.glob("*.yaml")) for folder in sorted(CONF.iterdir())}
    lines["experiment"].append("and the study's, AAA to HAO: kenyan13 study list")
    texts = [f"{group}: {', '.join(choices)}" for group, choices in lines.items() if choices]
    return "\n".join(textwrap.fill(text, 80, subsequent_indent="    ", break_on_hyphens=False) for text in texts)


OmegaConf.register_new_resolver("list_choices", list_choices, replace=True)


def to_settings(config: DictConfig, overrides: Sequence[str] = ()) -> Settings:
    """Return composed configuration as checked Settings. overrides: what the user has given.

    Raises UserError for an unknown key or an impossible value, OmegaConf's own errors for a missing or mistyped one.
    """
    _, strange = pick(cast(dict[str, Any], OmegaConf.to_container(config)), Settings)
    if strange:  # as one added with `+key=value` may be
        raise unknown_setting(strange[0])
    now = cast(DictConfig, OmegaConf.merge(config))  # a copy
    for key, node in now.items_ex(resolve=False):
        if key not in UNRESOLVED and isinstance(node, DictConfig):
            OmegaConf.resolve(node)  # while the others are there to be named
    for group in UNRESOLVED:
        now[group] = {}
    settings = cast(Settings, OmegaConf.to_object(now))
    for group in UNRESOLVED:
        setattr(settings, group, OmegaConf.to_container(config[group]))
    settings.model.backbone = re.sub("^(hf[-_]hub:)?timm/", "", settings.model.backbone)  # the Hugging Face Hub's name
    if settings.name is not None and not re.fullmatch(r"(?!last$)[^-./\s][^/]*", settings.name):
        raise UserError(f"name={settings.name} is no name of a folder.", "runs=DIR chooses the folder it is made in")
    if (length := len(os.fsencode(name := settings.name or ""))) > LONGEST:
        raise UserError(f"name={name[:40]}... has {length} bytes.", f"allowed: {LONGEST}")
    check(settings)
    check_built(settings, [override.lstrip("+").partition("=")[0] for override in overrides])
    return settings


def pick(node: Mapping[str, Any], known: Any, prefix: str = "") -> tuple[dict[str, Any], list[str]]:
    """Return the part of nested settings that a dataclass has, and the dotted names of the rest."""
    kept, strange = dict[str, Any](), list[str]()
    types = {item.name: item.type for item in fields(known)}
    for key, value in node.items():
        if key not in types:
            strange.append(f"{prefix}{key}")
        elif is_dataclass(types[key]) and isinstance(value, Mapping):
            kept[key], inner = pick(value, types[key], f"{prefix}{key}.")
            strange += inner
        else:
            kept[key] = value
    return kept, strange


def finish(settings: Settings) -> Settings:
    """Return composed settings as a run uses them."""
    for finisher in finishers:
        settings = finisher(settings)
    return settings


def compose_settings(overrides: Sequence[str] = ()) -> Settings:
    """Compose conf/train.yaml with overrides, as `python train.py OVERRIDES` does. Raises UserError for mistakes."""
    try:
        return finish(deepcopy(composed(*translate(overrides))))
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        raise (explain(error) or error) from error


def explain(error: Exception) -> UserError | None:
    """Turn what Hydra or OmegaConf raise for a user's mistake into a UserError; None for anything else."""
    if isinstance(error, UserError):
        return error
    if isinstance(error, MissingConfigException):
        group, _, choice = str(error.missing_cfg_file or "").rpartition("/")
        options = error.options or list(presets(group))
        steps = [f"choices: {', '.join(sorted(one for one in options if not one.endswith('_plugin')))}"]
        if group == "experiment":
            steps = ["the study's: kenyan13 study list; of conf/experiment: python train.py --help"]
            options = [option for option in options if option[:2] == choice[:2]] or options  # of the same set, rather
        if group == "model":
            steps.append(f"any other timm architecture: model.backbone={choice}")
        return UserError(f"There is no {group}={choice}.{did_you_mean(choice, options)}", *steps)
    if isinstance(error, OverrideParseException):
        step = "write key=value without blanks, as in optim.lr=1e-4; quote brackets: 'augment.scale=[0.9,1.1]'"
        return UserError(f"'{error.override}' is not an override that Hydra can read.", step)
    cause = error.__cause__ if isinstance(error, ConfigCompositionException) and error.__cause__ else error
    key = str(getattr(cause, "full_key", None) or getattr(cause, "key", None) or "")
    if isinstance(cause, MissingMandatoryValue):
        return UserError(f"The setting {key} has no value.", f"give it on the command line: {key}=...")
    if isinstance(cause, OmegaConfBaseException):
        unknown = re.match(r"Key '([^']+)' (?:is )?not in", first_line(cause))
        return unknown_setting(key) if unknown else UserError(f"{key}: {first_line(cause)}", ALL)
    if isinstance(error, HydraException):
        if unmatched := re.search(r"Could not override '([^']+)'\.\s*No match in the defaults list", str(error)):
            return unknown_setting(unmatched[1])
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        return UserError(lines[0], *lines[1:3], ALL)
    return None


@cache
def composed(*overrides: str) -> Settings:
    """Return the settings of conf/train.yaml with Hydra overrides, before finishers; not to be changed."""
    at_work = GlobalHydra.instance().is_initialized()  # in a job of train.py, Hydra reads conf/ already
    with nullcontext() if at_work else initialize_config_dir(str(CONF), version_base="1.3"):
        return to_settings(compose("train", overrides=list(overrides)), overrides)


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
    if data.fold is not None and data.fold >= data.folds:
        raise UserError(f"data.fold={data.fold} does not exist.", f"folds are counted 0 to {data.folds - 1}")
    cached = {  # what goes with a frozen backbone's features, computed once
        "freeze=pt0": freeze.get("level") == 0 and not freeze.get("unfreeze"),
        "freeze.frozen_bn=eval": freeze.get("frozen_bn") != "train",
        "model.cotuning=0": not settings.model.cotuning,
        "predict.mirror=false": not settings.predict.mirror,
        "predict.views=[]": not settings.predict.views,
        "trainer.devices=1": trainer.get("devices", 1) == 1,
    }
    needed = [word for word, there in cached.items() if not there]
    if freeze.get("features") == "cached" and needed:
        problem = "freeze.features=cached computes a frozen backbone's features once, on one device."
        raise UserError(problem, f"it needs {' '.join(needed)}")
    if data.test and not trainer.get("enable_checkpointing", True):
        raise UserError("data.test=true needs trainer.enable_checkpointing=true.", "the best epoch's weights predict")
    if trainer.get("max_epochs") == 0 and not settings.head:
        raise UserError("trainer.max_epochs=0 trains nothing.", "1 or more, auto; with head=linear, 0 keeps that head")
    if trainer.get("devices") == 0:
        raise UserError("trainer.devices=0 leaves nothing to train on.", "1 for one device, -1 for all of them")
