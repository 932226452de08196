"""The run directory: the files that training writes and everything later reads. All paths in it are relative.

config.yaml        settings, classes, data, versions and commit
metrics.csv        one row an epoch
checkpoints/       best.ckpt (lowest validation loss; weights), last.ckpt (all that resuming needs)
predictions.csv    validation ids, targets and class probabilities at the best epoch; predictions_test.csv likewise
result.json        summary, written when training has finished; of other tasks: sheets.json, cascade.json
events.out...      TensorBoard
sheets/            of task=contact_sheets: two sheets a class, which sheets.json lists, and presets.png
failed.txt         why training ended with an error; removed when it is tried again
.lock              held by the process that trains
"""

import json
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, is_dataclass
from enum import Enum
from math import isfinite, nan
from pathlib import Path
from typing import Any, cast, get_type_hints

import pandas as pd
import yaml
from filelock import FileLock, Timeout
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from kenyan13.config.explain import explain, unknown_setting
from kenyan13.config.identity import complete, default_settings, differences, flatten, plain
from kenyan13.config.limits import check
from kenyan13.config.presets import merge
from kenyan13.config.settings import BUILT, Settings
from kenyan13.errors import BusyError, UserError, did_you_mean, shorten
from kenyan13.machine import git_commit, versions
from kenyan13.runs.upgrade import upgrade_config, upgrade_result

CONFIG, METRICS, RESULT = "config.yaml", "metrics.csv", "result.json"
SHEETS, CASCADE = "sheets.json", "cascade.json"  # what other tasks than training leave at their end
PRESETS = "sheets/presets.png"  # not in sheets.json, whose keys are classes; there before it
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
FAILED, LOCK = "failed.txt", ".lock"
BEST, LAST = Path("checkpoints/best.ckpt"), Path("checkpoints/last.ckpt")


@dataclass(frozen=True)
class Result:
    """What came out of a run. Accuracies and F1 are 0..1, at the epoch (from 1) of the lowest validation loss.

    Fields that an older result.json lacks have these defaults; loss, accuracy and validation images must be there.
    """

    status: str = "finished"
    min_val_loss: float = nan
    accuracy: float = nan
    macro_f1: float = 0.0
    best_epoch: int = 0
    epochs: int = 0
    auc_loss: float | None = None
    overfitting: float | None = None
    seconds: float = 0.0
    train_images: int = 0
    validation_images: int = 0
    parameters: int = 0
    trainable_parameters: int = 0
    device: str = "unknown"
    stopped: str = "unknown"


class State(Enum):
    """How far a run is; the values are what people read."""

    not_started = "not started"
    running = "running"
    interrupted = "interrupted"
    failed = "failed"
    finished = "finished"


def read_state(folder: Path) -> State:
    """Return how far the run in a folder is."""
    if not (folder / CONFIG).exists():
        return State.not_started
    if any((folder / end).exists() for end in (RESULT, SHEETS, CASCADE)):
        return State.finished
    try:
        with FileLock(folder / LOCK, timeout=0):
            return State.failed if (folder / FAILED).exists() else State.interrupted
    except Timeout:
        return State.running
    except OSError:  # a folder that cannot be written to: nobody trains there
        return State.failed if (folder / FAILED).exists() else State.interrupted


@contextmanager
def only_process(folder: Path) -> Iterator[None]:
    """Make the run directory and hold its lock; an error on the way is kept in failed.txt until the next try.

    Raises BusyError while another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / LOCK, timeout=1):  # somebody may just be asking for its state
            (folder / FAILED).unlink(missing_ok=True)
            try:
                yield
            except Exception as error:
                (folder / FAILED).write_text("".join(traceback.format_exception(error)))
                raise
    except Timeout:
        raise BusyError(f"Another process is training {folder}.", "wait for it, or choose another name=") from None


@contextmanager
def replacing(file: Path) -> Iterator[Path]:
    """Give a temporary path beside `file`, renamed to it at the end: the file is there whole, old or new."""
    temporary = file.with_name(f".{file.name}.partial")
    try:
        yield temporary
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)


def write_config(folder: Path, settings: Settings, data: dict[str, Any]) -> None:
    """Write config.yaml: the settings, what they were used on, and with what versions."""
    written = {
        "settings": plain(settings),
        "data": data,
        "versions": versions(),
        "commit": git_commit(),
    }
    with replacing(folder / CONFIG) as file:
        OmegaConf.save(OmegaConf.create(written), file)


def load_settings(file: Path, overrides: Sequence[str] = ()) -> Settings:
    """Read a run's config.yaml, with `key=value` overrides on top. Raises UserError for an unknown key in these.

    Settings that it lacks, as those that are newer than the run, have today's defaults; those that today's version does
    not know are passed over, which is said once.
    """
    saved = known_settings(file, read_config(file)["settings"])
    try:
        given = OmegaConf.to_container(OmegaConf.from_dotlist(list(overrides)))
        whole = complete(merge(default_settings(), saved, replaced=BUILT))
        strange = [key for key, _ in flatten(cast(dict[str, Any], given)) if not is_known(key, whole)]
        if strange:
            raise unknown_setting(strange[0])
        merged = merge(whole, cast(dict[str, Any], given))
        typed = {key: value for key, value in merged.items() if key not in BUILT}
        settings = cast(Settings, OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(Settings), typed)))
        for group in BUILT:
            setattr(settings, group, merged[group])
        check(settings)
        return settings
    except OmegaConfBaseException as error:
        raise (explain(error) or error) from error
    except YAMLError:
        raise UserError(f"{shorten(overrides)} cannot be read.", "write key=value, as in data.root=DIR") from None


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
    if strange and file not in _told:
        _told.add(file)
        print(f"{file}: settings of another version are passed over: {shorten(strange)}", file=sys.stderr)
    return kept


_told: set[Path] = set()


def pick(node: Mapping[str, Any], known: Any, prefix: str = "") -> tuple[dict[str, Any], list[str]]:
    """Return the part of nested settings that a dataclass has, and the dotted names of the rest."""
    kept: dict[str, Any] = {}
    strange: list[str] = []
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


def read_config(file: Path) -> dict[str, Any]:
    """Read a run's config.yaml as plain values, in today's words. Raises UserError when it is damaged."""
    try:
        config = yaml.load(file.read_text(encoding="utf-8"), LOADER)
        if isinstance(config, dict) and all(isinstance(config.get(part), dict) for part in ("settings", "data")):
            return upgrade_config(config)
        problem = "it lacks settings or data"
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        problem = str(error).splitlines()[0]
    raise UserError(f"{file} is damaged: {problem}.", "remove the run directory and train again")


def differing_settings(folder: Path, settings: Settings) -> list[str]:
    """Return the settings that matter to the result and are others in the folder's run: "key=there there, here now"."""
    return [
        f"{key}={there} there, {here} now"
        for key, (here, there) in differences(settings, load_settings(folder / CONFIG)).items()
        if key != "data.root"  # the same images may lie elsewhere: see check_same
    ]


def read_settings(folder: Path, overrides: Sequence[str] = ()) -> Settings:
    """Read a run's settings, with `key=value` overrides on top.

    Raises UserError when the folder is no run directory, or an override does not fit.
    """
    if not (folder / CONFIG).is_file():
        others = [child.name for child in folder.parent.glob("*") if (child / CONFIG).is_file()]
        raise UserError(
            f"{folder} is no run directory.{did_you_mean(folder.name, others)}",
            f"runs in {folder.parent}: {shorten(sorted(others)) or 'none'}",
        )
    return load_settings(folder / CONFIG, overrides)


def check_same(folder: Path, settings: Settings, data: dict[str, Any]) -> None:
    """Raise UserError when the folder holds a run with other settings, other classes or other images."""
    if not (folder / CONFIG).exists():
        return
    different = differing_settings(folder, settings)
    ways = ("choose another name=, or remove the folder to train anew",)
    if different:
        raise UserError(f"{folder} holds a run with other settings ({shorten(different, 4)}).", *ways)
    saved = read_config(folder / CONFIG)
    if saved["data"]["classes"] != data["classes"]:
        before = shorten(saved["data"]["classes"], 13)
        raise UserError(f"{folder} was trained on other classes: {before}; now: {shorten(data['classes'], 13)}.", *ways)
    if saved["data"] != data:
        raise UserError(f"{folder} was trained on other images: the data in {settings.data.root} has changed.", *ways)


def write_metrics(folder: Path, rows: Sequence[dict[str, float]]) -> None:
    """Write metrics.csv: epoch (from 1), losses, accuracies, learning rate, seconds."""
    with replacing(folder / METRICS) as file:
        pd.DataFrame(rows).to_csv(file, index=False)


def write_result(folder: Path, result: Result) -> None:
    """Write result.json."""
    with replacing(folder / RESULT) as file:
        file.write_text(json.dumps(asdict(result), indent=2, allow_nan=False) + "\n")


def read_result(folder: Path) -> Result | None:
    """Read result.json; None while the run has not finished. Raises UserError for a damaged file."""
    try:
        saved = upgrade_result(json.loads((folder / RESULT).read_text()))
        result = Result(**{item.name: saved[item.name] for item in fields(Result) if item.name in saved})
        check_figures(result)
        return result
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise UserError(
            f"{folder / RESULT} is damaged: {error}", "remove it: the same command makes it again"
        ) from None


def check_figures(result: Result) -> None:
    """Raise ValueError for what no run writes: texts or nothing in place of numbers, or accuracies that cannot be."""
    for name, kind in get_type_hints(Result).items():
        value = getattr(result, name)
        if not isinstance(value, kind if kind is str else kind | int):
            raise ValueError(f"{name} is {value!r}")
    if not (isfinite(result.min_val_loss) and 0 <= result.accuracy <= 1 and result.validation_images > 0):
        raise ValueError("loss, accuracy or number of images cannot be")
