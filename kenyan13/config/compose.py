"""From conf/ and the command line to checked Settings. Imports no torch: `--help` and `--cfg job` answer at once."""

import os
import re
import textwrap
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, cast

from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from kenyan13.config.arguments import translate
from kenyan13.config.explain import explain, unknown_setting
from kenyan13.config.limits import check
from kenyan13.config.presets import CONF
from kenyan13.config.settings import Settings
from kenyan13.config.targets import check_built
from kenyan13.errors import UserError

LONGEST = 200  # bytes of a run's name: file systems allow 255, of which files beside the folder need some
UNRESOLVED = ("schedule", "callbacks", "logger")  # their interpolations may name what is known only when a run starts

# What is done with settings after their composition; the study adds its own (kenyan13/study/naming.py).
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


@cache
def composed(*overrides: str) -> Settings:
    """Return the settings of conf/train.yaml with Hydra overrides, before finishers; not to be changed."""
    at_work = GlobalHydra.instance().is_initialized()  # in a job of train.py, Hydra reads conf/ already
    with nullcontext() if at_work else initialize_config_dir(str(CONF), version_base="1.3"):
        return to_settings(compose("train", overrides=list(overrides)), overrides)
