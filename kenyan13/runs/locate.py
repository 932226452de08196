"""Which directory is a run's: below `runs`, under its name or that of an earlier version, if it holds the same run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kenyan13.config.identity import config_hash, differences, run_name
from kenyan13.config.presets import flatten
from kenyan13.config.settings import Settings
from kenyan13.errors import UserError, shorten
from kenyan13.runs.config_file import read_config, read_settings
from kenyan13.runs.directory import CONFIG


def run_directory(settings: Settings) -> Path:
    """Return the folder that the run writes into, or has been written into by an earlier version."""
    folder = Path(settings.runs) / run_name(settings)
    if settings.name or folder.exists():
        return folder
    return earlier_directory(settings) or folder


def earlier_directory(settings: Settings) -> Path | None:
    """Return the directory of the same run under another name with its hash, or of before 2026-11-25; or None."""
    backbone = settings.model.backbone.split(".")[0].replace("/", "_")
    names = f"*-{config_hash(settings)}", f"{backbone}_pt{settings.freeze.get('level')}-????????"
    for config in [config for name in names for config in sorted(Path(settings.runs).glob(f"{name}/{CONFIG}"))]:
        try:
            if not differences(read_settings(config.parent), settings):
                return config.parent
        except UserError:  # damaged: it is no run to go on with
            continue
    return None


def differing_settings(folder: Path, settings: Settings) -> list[str]:
    """Return the settings that matter to the result and are others in the folder's run: "key=there there, here now"."""
    return [
        f"{key}={there} there, {here} now"
        for key, (here, there) in differences(settings, read_settings(folder)).items()
        if key != "data.root"  # the same images may lie elsewhere: see check_same
    ]


def check_same(folder: Path, settings: Settings, data: Mapping[str, Any]) -> None:
    """Raise UserError when the folder holds a run with other settings, other classes or other images."""
    if not (folder / CONFIG).exists():
        return
    different = differing_settings(folder, settings)
    ways = ("another name, as in name=second", f"to train anew: remove {folder}")
    if different:
        raise UserError(f"{folder} holds a run with other settings ({shorten(different, 4)}).", *ways)
    saved = read_config(folder)["data"]
    if saved.get("classes", []) != data["classes"]:
        others = shorten(saved.get("classes", []), 13)
        raise UserError(f"{folder} was trained on other classes: {others}; now: {shorten(data['classes'], 13)}.", *ways)
    before, now = dict(flatten(saved)), dict(flatten(data))
    if any(before[key] != now[key] for key in before.keys() & now.keys()):  # versions may add keys
        raise UserError(f"{folder} was trained on other images: the data in {settings.data.root} has changed.", *ways)
