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
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from enum import Enum
from math import isfinite
from pathlib import Path
from typing import Any, get_type_hints

import pandas as pd
from filelock import FileLock, Timeout
from omegaconf import OmegaConf

from kenyan13.config.compose import load_settings, read_config
from kenyan13.config.identity import decisive, decisive_part, plain
from kenyan13.config.settings import Settings
from kenyan13.errors import BusyError, UserError, did_you_mean, shorten
from kenyan13.machine import git_commit, versions

CONFIG, METRICS, RESULT = "config.yaml", "metrics.csv", "result.json"
SHEETS, CASCADE = "sheets.json", "cascade.json"  # what other tasks than training leave at their end
PRESETS = "sheets/presets.png"  # not in sheets.json, whose keys are classes; there before it
FAILED, LOCK = "failed.txt", ".lock"
BEST, LAST = Path("checkpoints/best.ckpt"), Path("checkpoints/last.ckpt")


@dataclass(frozen=True)
class Result:
    """What came out of a run. Accuracies and F1 are 0..1, at the epoch (from 1) of the lowest validation loss."""

    status: str
    min_val_loss: float
    accuracy: float
    macro_f1: float
    best_epoch: int
    epochs: int
    auc_loss: float | None
    overfitting: float | None
    seconds: float
    train_images: int
    validation_images: int
    parameters: int
    trainable_parameters: int
    device: str
    stopped: str


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


def differing_settings(folder: Path, settings: Settings) -> list[str]:
    """Return the settings that matter to the result and are others in the folder's run: "key=there there, here now"."""
    saved: Any = OmegaConf.to_container(read_config(folder / CONFIG).settings)
    here, there = dict(flatten(decisive(settings))), dict(flatten(decisive_part(saved)))
    keys = [key for key in here | there if key != "data.root"]  # the same images may lie elsewhere: see check_same
    return [f"{key}={there.get(key)} there, {here.get(key)} now" for key in keys if there.get(key) != here.get(key)]


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
    saved = OmegaConf.to_container(read_config(folder / CONFIG))
    assert isinstance(saved, dict)
    if saved["data"]["classes"] != data["classes"]:
        before = shorten(saved["data"]["classes"], 13)
        raise UserError(f"{folder} was trained on other classes: {before}; now: {shorten(data['classes'], 13)}.", *ways)
    if saved["data"] != data:
        raise UserError(f"{folder} was trained on other images: the data in {settings.data.root} has changed.", *ways)


def flatten(node: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (dotted key, value) of nested dicts."""
    for key, value in node.items():
        if isinstance(value, dict):
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


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
        result = Result(**json.loads((folder / RESULT).read_text()))
        check_figures(result)
        return result
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
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
