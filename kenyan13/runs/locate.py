"""Which run directories there are, and which one is a run's: under its name, or that of an earlier version."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from kenyan13.config.identity import config_hash, differences, run_name
from kenyan13.config.presets import flatten
from kenyan13.config.settings import Settings
from kenyan13.errors import UserError, did_you_mean, shorten
from kenyan13.runs.config_file import read_config, read_settings
from kenyan13.runs.directory import CONFIG, METRICS, RESULT

RUNS, PATTERN = Path("runs"), f"*/{CONFIG}"  # the default folder of runs, and the run directories in one
NEWEST = "last"  # the short name of the newest run in commands
TRAIN = "train a run first: python train.py; runs are in runs/"


def find_runs(places: Sequence[Path]) -> list[Path]:
    """Return the run directories named, and those in the folders named, in order of names, each once.

    Names may be short, see `resolve_run`. Raises UserError for what is no folder, and where no folder has any.
    """
    found: dict[Path, None] = {}
    for place in map(resolve_run, places):
        if not place.is_dir():
            others = sorted({str(file.parent) for near in (place.parent, RUNS) for file in near.glob(PATTERN)})
            problem = "is a file, not a run directory" if place.exists() else "does not exist"
            step = f"runs here: {shorten(others)}" if others else TRAIN
            raise UserError(f"{place} {problem}.{did_you_mean(str(place), others)}", step)
        own = (place / CONFIG).is_file()
        found |= dict.fromkeys([place] if own else sorted(file.parent for file in place.glob(PATTERN)))
    if not found:
        near = (file for place in places for file in (*place.glob(f"*/{PATTERN}"), *RUNS.glob(PATTERN)))
        steps = [f"{folder} does" for folder in sorted({file.parent.parent for file in near})[:3]] or [TRAIN]
        raise UserError(f"{shorten(places, 3)} holds no run directories.", *steps)
    return list(found)


def changed(folder: Path) -> float:
    """Return when a run was last written to, in seconds since 1970."""
    files = [folder / name for name in (CONFIG, METRICS, RESULT)]
    return max(file.stat().st_mtime for file in files if file.exists())


def resolve_run(place: Path) -> Path:
    """Return the folder that a name stands for where it is none itself: a run in runs/; `last`: the newest there."""
    if place.exists():
        return place
    if str(place) == NEWEST:
        return max(find_runs([RUNS]), key=changed)
    return RUNS / place if (RUNS / place / CONFIG).is_file() else place


def run_directory(settings: Settings) -> Path:
    """Return the folder of the run: under its name, another one with its hash, or one of before 2026-11-25."""
    folder = Path(settings.runs) / run_name(settings)
    if settings.name or folder.exists():
        return folder
    backbone = settings.model.backbone.split(".")[0].replace("/", "_")
    names = f"*-{config_hash(settings)}", f"{backbone}_pt{settings.freeze.get('level')}-????????"
    for config in [config for name in names for config in sorted(Path(settings.runs).glob(f"{name}/{CONFIG}"))]:
        with suppress(UserError):  # damaged: it is no run to go on with
            if not differences(read_settings(config.parent), settings):
                return config.parent
    return folder


def changed_settings(folder: Path, settings: Settings) -> list[str]:
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
    different = changed_settings(folder, settings)
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
