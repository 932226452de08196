"""config.yaml of a run directory: settings, data, versions. Plain YAML: nothing in it is ever instantiated."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from kenyan13.config.arguments import keep_text
from kenyan13.config.compose import check, explain, pick
from kenyan13.config.identity import complete, default_settings, plain
from kenyan13.config.presets import TARGET, flatten, map_nodes, merge, presets_of, unknown_setting
from kenyan13.config.settings import BUILT, Settings
from kenyan13.config.targets import check_node
from kenyan13.errors import UserError, did_you_mean, first_line, shorten
from kenyan13.machine import git_commit, versions
from kenyan13.runs.directory import CONFIG, replacing
from kenyan13.runs.upgrade import upgrade_config
from kenyan13.terminal import note_once

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
LARGEST, DEEPEST = 2**22, 30  # bytes and levels of a config.yaml, far above those of any run


def write_config(
    folder: Path, settings: Settings, data: Mapping[str, Any], members: Sequence[str] = (), precision: str = ""
) -> None:
    """Write config.yaml. data: classes, and the number and digest of the images of each part.

    members: names of the runs that a run is put together from. precision: what trainer.precision=auto is in this run,
    on whatever machine it goes on.
    """
    written: dict[str, Any] = {"settings": plain(settings), "data": dict(data)}
    written |= {"versions": versions(), "commit": git_commit()}
    written |= {key: value for key, value in {"members": [*members], "precision": precision}.items() if value}
    with replacing(folder / CONFIG) as file:
        OmegaConf.save(OmegaConf.create(written), file)


def read_config(folder: Path) -> dict[str, Any]:
    """Read a run's config.yaml as plain values under today's names: settings, data, versions, commit, members.

    Settings that it lacks have today's defaults; those that today's version does not know are passed over, which is
    said once. Raises UserError for a folder that is no run directory, and a file that is damaged or of no run's values.
    """
    file = folder / CONFIG
    if not file.is_file():
        others = sorted(config.parent.name for config in folder.parent.glob(f"*/{CONFIG}"))
        problem = f"{folder} is no run directory.{did_you_mean(folder.name, others)}"
        raise UserError(problem, f"runs in {folder.parent}: {shorten(others) or 'none'}")
    try:
        saved = upgrade_config(read_yaml(file))
        config = {"versions": {}, "commit": "", "members": [], **saved}
        config["settings"] = known_settings(file, config["settings"])
        check(typed(config["settings"]))
        json.dumps(config["data"])  # plain values: no dates, and no node inside itself
        classes = config["data"]["classes"]
        if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
            raise TypeError("classes are no list of names")
        if any(not re.fullmatch(r"(?!\.+$)[\w.+~-]+", name) for name in config["members"]):
            raise ValueError("members are no names of folders")
        return {**config, "versions": dict(config["versions"])}
    except Exception as error:  # whatever the libraries say of foreign values
        raise UserError(f"{file} is damaged: {first_line(error)}", "remove the run directory and train again") from None


def read_yaml(file: Path) -> Any:
    """Return plain values from a file that may be anybody's. Raises ValueError for what would grow when it is read."""
    depth = 0
    if file.stat().st_size > LARGEST:
        raise ValueError(f"it has more than {LARGEST:,} bytes")
    text = file.read_text(encoding="utf-8")
    for event in yaml.parse(text, LOADER):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if isinstance(event, yaml.AliasEvent) or depth > DEEPEST:
            raise ValueError(f"it has aliases, or more than {DEEPEST} levels, which no run writes")
    return yaml.load(text, LOADER)


def read_settings(folder: Path, overrides: Sequence[str] = ()) -> Settings:
    """Read a run's settings, with `key=value` overrides on top.

    Raises UserError where `read_config` does, and for an override that does not fit.
    """
    whole = read_config(folder)["settings"]
    try:
        given = cast(dict[str, Any], OmegaConf.to_container(OmegaConf.from_dotlist([*map(keep_text, overrides)])))
        known = [*dict(flatten(whole))]
        free = ("data.groups.", "model.options.")
        strange = [key for key, _ in flatten(given) if key not in known and not key.startswith(free)]
        if strange:
            raise unknown_setting(strange[0])
        settings = typed(merge(whole, given))
        check(settings)
        if not any(Path(settings.data.cache).expanduser().glob("*px-*")) and "cache" not in given.get("data", {}):
            settings.data.cache = default_settings()["data"]["cache"]  # nothing is made where a foreign run points to
        return settings
    except OmegaConfBaseException as error:
        raise (explain(error) or error) from error
    except yaml.YAMLError:
        raise UserError(f"{shorten(overrides)} cannot be read.", "write key=value, as in data.root=DIR") from None


def typed(settings: Mapping[str, Any]) -> Settings:
    """Return plain settings as Settings. Raises OmegaConf's errors for a value of another type.

    Texts stay as they are written: nothing that ${...} in a run directory or an override may name is looked up.
    """
    escaped = json.loads(re.sub(r"(\\*)\$\{", r"\1\1\\\\${", json.dumps(settings)))
    checked = {key: value for key, value in escaped.items() if key not in BUILT}
    made = cast(Settings, OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(Settings), checked)))
    for group in BUILT:
        setattr(made, group, settings[group])
    return made


def known_settings(file: Path, saved: Mapping[str, Any]) -> dict[str, Any]:
    """Return saved settings that today's version knows, with defaults; the others are named on standard error, once."""
    kept, strange = pick(saved, Settings)

    def taken(group: str, key: str, node: dict[str, Any]) -> dict[str, Any]:
        if group == "logger" or not presets_of(group, str(node.get(TARGET))):
            return node  # nothing that only a run directory names is imported
        known = check_node(group, key, node, given=())
        strange.extend(f"{key}.{name}" for name in node if name not in known)
        return known

    whole = complete(merge(default_settings(), kept, replaced=(*BUILT, "options", "toy")))
    whole |= map_nodes(whole, taken)
    if strange:
        note_once(f"{file}: settings of another version are passed over: {shorten(strange)}")
    return whole
