"""The presets in conf/ as plain values, by group and choice: which settings and keys of targets there are."""

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from kenyan13.config.settings import BUILT, SEVERAL, Settings
from kenyan13.errors import UserError, did_you_mean

PACKAGE = Path(__file__).parents[1]
# In a checkout beside the package, in a wheel inside of it.
CONF = next(parent / "conf" for parent in (PACKAGE, PACKAGE.parent) if (parent / "conf").is_dir())
TARGET = "_target_"
ALL = "all settings: python train.py --cfg job"


class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Reads YAML in a tenth of OmegaConf's time, and 1e-4 as a number, as Hydra does."""


Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)


def load_plain(file: Path) -> dict[str, Any]:
    """Return a YAML file's values with interpolations as they are written."""
    loaded: dict[str, Any] | None = yaml.load(file.read_text(encoding="utf-8"), Loader)
    return loaded or {}


@cache
def presets(group: str) -> dict[str, dict[str, Any]]:
    """Return choice -> plain values of a config group, the one that conf/train.yaml chooses first, others by name."""
    files = {file.stem: load_plain(file) for file in sorted((CONF / group).glob("*.yaml"))}
    chosen = {key: value for entry in load_plain(CONF / "train.yaml")["defaults"] if isinstance(entry, dict)
              for key, value in entry.items()}.get(group)  # fmt: skip
    first = [name for name in (chosen if isinstance(chosen, list) else [chosen]) if name in files]
    return {name: inherit(files, name) for name in [*first, *(name for name in files if name not in first)]}


def inherit(files: Mapping[str, Mapping[str, Any]], name: str) -> dict[str, Any]:
    """Return a preset's values over those of the presets in its own defaults list."""
    values: dict[str, Any] = {}
    for other in files[name].get("defaults", []):
        if other in files:
            values = merge(values, inherit(files, other))
    return merge(values, {key: value for key, value in files[name].items() if key != "defaults"})


def merge(under: Mapping[str, Any], over: Mapping[str, Any], replaced: Collection[str] = ()) -> dict[str, Any]:
    """Return nested mappings merged; a value of `over` wins, and those of the keys in `replaced` as a whole."""
    merged = dict(under)
    for key, value in over.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping) and key not in replaced
        merged[key] = merge(merged[key], value, replaced) if both else value
    return merged


def flatten(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (dotted key, value) of nested mappings."""
    for key, value in node.items():
        if isinstance(value, Mapping) and value:
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def nodes(group: str, values: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (dotted key, node) of what Hydra builds of a group: the group itself, or each of several; null is none."""
    if group not in SEVERAL:
        if values:
            yield group, dict(values)
        return
    for name, node in values.items():
        if node is not None:
            yield f"{group}.{name}", dict(node) if isinstance(node, Mapping) else {}


def map_nodes(
    settings: Mapping[str, Any], change: Callable[[str, str, dict[str, Any]], dict[str, Any]]
) -> dict[str, dict[str, Any]]:
    """Return the groups of settings that Hydra builds, with each node as `change(group, key, node)` makes it."""
    made: dict[str, dict[str, Any]] = {}
    for group in BUILT:
        changed = {key: change(group, key, node) for key, node in nodes(group, settings.get(group) or {})}
        parts = {key.partition(".")[2]: node for key, node in changed.items()}
        made[group] = parts if group in SEVERAL else changed.get(group, {})
    return made


def presets_of(group: str, target: str) -> list[tuple[str, dict[str, Any]]]:
    """Return (choice, node) of every preset of a group that builds the target."""
    return [
        (choice, node)
        for choice, values in presets(group).items()
        for _, node in nodes(group, values)
        if node.get(TARGET) == target
    ]


def node_defaults(group: str, node: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a node has where nothing else is chosen: the first preset with its target; {} where there is none."""
    found = presets_of(group, str(node.get(TARGET)))
    return found[0][1] if found else {}


def unknown_setting(key: str) -> UserError:
    """Say that there is no such setting or group, and which one was probably meant."""
    groups = [folder.name for folder in CONF.iterdir() if folder.is_dir() and folder.name != "hydra"]
    if key in groups:
        return UserError(f"{key}=... chooses a whole group of settings.", f"one of them: {key}.KEY=VALUE")
    settings = known_settings()
    parent, _, last = key.rpartition(".")
    same_name = [name for name in settings if name.rpartition(".")[2] == last]
    siblings = [name for name in settings if parent and name.startswith(f"{parent}.")]
    close = f" Did you mean '{same_name[-1]}'?" if same_name else did_you_mean(key, siblings)
    return UserError(f"There is no setting '{key}'.{close or did_you_mean(key, groups + settings)}", ALL)


def known_settings() -> list[str]:
    """Return the dotted names of all settings, those of the presets among them."""
    own = [name for name, _ in flatten(asdict(Settings())) if name not in BUILT]
    built = [(key, node) for group in BUILT for values in presets(group).values() for key, node in nodes(group, values)]
    return [*own, *dict.fromkeys(f"{key}.{name}" for key, node in built for name in node if name != TARGET)]
