"""config.yaml of a run directory: settings, data, versions. Plain YAML: nothing in it is ever instantiated."""

import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, cast

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from kenyan13.config.compose import pick
from kenyan13.config.explain import explain, unknown_setting
from kenyan13.config.identity import complete, default_settings, plain
from kenyan13.config.limits import check
from kenyan13.config.presets import flatten, merge
from kenyan13.config.settings import BUILT, Settings
from kenyan13.errors import UserError, did_you_mean, shorten
from kenyan13.machine import git_commit, versions
from kenyan13.runs.directory import CONFIG, replacing
from kenyan13.runs.upgrade import upgrade_config

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def write_config(folder: Path, settings: Settings, data: Mapping[str, Any]) -> None:
    """Write config.yaml. data: classes, and the number and digest of the images of each part."""
    written = {"settings": plain(settings), "data": dict(data), "versions": versions(), "commit": git_commit()}
    with replacing(folder / CONFIG) as file:
        OmegaConf.save(OmegaConf.create(written), file)


def read_config(file: Path) -> dict[str, Any]:
    """Read a run's config.yaml as plain values under today's names: settings, data, versions, commit.

    Raises UserError when it is damaged.
    """
    try:
        config = yaml.load(file.read_text(encoding="utf-8"), LOADER)
        if isinstance(config, dict) and all(isinstance(config.get(part), dict) for part in ("settings", "data")):
            return {"versions": {}, "commit": "", **upgrade_config(config)}
        problem = "it lacks settings or data"
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        problem = str(error).splitlines()[0]
    raise UserError(f"{file} is damaged: {problem}.", "remove the run directory and train again")


def load_settings(file: Path, overrides: Sequence[str] = ()) -> Settings:
    """Read the settings of a run's config.yaml, with `key=value` overrides on top.

    Settings that it lacks, as those that are newer than the run, have today's defaults; those that today's version does
    not know are passed over, which is said once. Raises UserError for an override that does not fit.
    """
    whole = with_defaults(known_settings(file, read_config(file)["settings"]))
    try:
        given = cast(dict[str, Any], OmegaConf.to_container(OmegaConf.from_dotlist(list(overrides))))
        strange = [key for key, _ in flatten(given) if not is_known(key, whole)]
        if strange:
            raise unknown_setting(strange[0])
        settings = typed(merge(whole, given))
        check(settings)
        return settings
    except OmegaConfBaseException as error:
        raise (explain(error) or error) from error
    except yaml.YAMLError:
        raise UserError(f"{shorten(overrides)} cannot be read.", "write key=value, as in data.root=DIR") from None


def read_settings(folder: Path, overrides: Sequence[str] = ()) -> Settings:
    """Read a run's settings, with `key=value` overrides on top.

    Raises UserError when the folder is no run directory, or an override does not fit.
    """
    check_is_run(folder)
    return load_settings(folder / CONFIG, overrides)


def check_is_run(folder: Path) -> None:
    """Raise UserError, with the runs beside it, when a folder is no run directory."""
    if not (folder / CONFIG).is_file():
        others = sorted(config.parent.name for config in folder.parent.glob(f"*/{CONFIG}"))
        raise UserError(
            f"{folder} is no run directory.{did_you_mean(folder.name, others)}",
            f"runs in {folder.parent}: {shorten(others) or 'none'}",
        )


def with_defaults(saved: Mapping[str, Any]) -> dict[str, Any]:
    """Return saved settings with today's defaults for those that are missing."""
    return complete(merge(default_settings(), saved, replaced=BUILT))


def typed(settings: Mapping[str, Any]) -> Settings:
    """Return plain settings as Settings. Raises OmegaConf's errors for a value of another type."""
    checked = {key: value for key, value in settings.items() if key not in BUILT}
    made = cast(Settings, OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(Settings), checked)))
    for group in BUILT:
        setattr(made, group, settings[group])
    return made


def is_known(key: str, settings: Mapping[str, Any]) -> bool:
    """Return whether a dotted key is one of the settings, or a part of one that is a mapping of free names."""
    node: Any = settings
    for part in key.split("."):
        if not isinstance(node, Mapping) or part not in node:
            return key.startswith("data.groups.")
        node = node[part]
    return True


def known_settings(file: Path, saved: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings in a config.yaml that today's version knows; the others are named on standard error, once."""
    kept, strange = pick(saved, Settings)
    if strange:
        warn_once(f"{file}: settings of another version are passed over: {shorten(strange)}")
    return kept


@cache
def warn_once(message: str) -> None:
    """Print a warning on standard error, the first time only."""
    print(message, file=sys.stderr)
