"""The runs that a report is about: what their directories hold, read without trusting any of it."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

from kenyan13.config.settings import Layout
from kenyan13.errors import UserError
from kenyan13.runs.directory import CONFIG, FAILED, METRICS, Result, State, read_config, read_result, read_state
from kenyan13.runs.predictions import VALIDATION, Saved, read_predictions

# OmegaConf takes 50 ms to read a configuration, and checks what has been checked when the run was trained.
COLUMNS = ["epoch", "train_loss", "val_loss", "val_accuracy", "lr", "seconds"]  # of metrics.csv that all runs have


@dataclass(frozen=True)
class Run:
    """A run directory: its name, unique in the report and fit for file names; its configuration as plain values.

    result, metrics: None until they are there. problem: why the directory cannot be used, or "".
    """

    folder: Path
    name: str
    state: State
    settings: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    commit: str = ""
    result: Result | None = None
    metrics: pd.DataFrame | None = None
    problem: str = ""

    def setting(self, key: str) -> Any:
        """Return a setting by its dotted name; None where the configuration lacks it."""
        value: Any = self.settings
        for part in key.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        return value

    def anchor(self) -> str:
        """Return the id of the run's page."""
        return f"run-{self.name}"

    def accuracy(self) -> float:
        """Return a finished run's accuracy, 0..1; -1 for others."""
        return self.result.accuracy if self.result else -1.0

    def validation_images(self) -> int:
        """Return the number of a finished run's validation images; 0 for others."""
        return self.result.validation_images if self.result else 0


def find_folders(paths: Sequence[Path]) -> list[Path]:
    """Return the run directories named, and those in the folders named, in order of names, each once.

    Raises UserError for a path that is none and has none.
    """
    found: dict[Path, None] = {}
    for path in paths:
        inside = [path] if (path / CONFIG).is_file() else sorted(file.parent for file in path.glob(f"*/{CONFIG}"))
        if not inside:
            there = {True: "is a file, not a run directory", False: "does not exist"}
            problem = "holds no run directories" if path.is_dir() else there[path.exists()]
            smoke = (
                (f"its smoke runs: kenyan13 report {path / 'smoke'}",) if any(path.glob(f"smoke/*/{CONFIG}")) else ()
            )
            raise UserError(f"{path} {problem}.", *smoke, "train a run first: python train.py; runs are in runs/")
        found |= dict.fromkeys(inside)
    return list(found)


def read_runs(folders: Sequence[Path]) -> Iterator[Run]:
    """Yield the runs in run directories; one that cannot be read says so in its `problem`."""
    taken: set[str] = set()
    for folder in folders:
        plain = re.sub(r"[^\w.+-]", "_", folder.resolve().name)
        name = next(one for k in range(1, len(folders) + 2) if (one := f"{plain}~{k}" if k > 1 else plain) not in taken)
        taken.add(name)
        try:
            yield read_run(folder, name)
        except UserError as error:
            yield Run(folder, name, State.failed, problem=str(error).splitlines()[0])


def read_run(folder: Path, name: str) -> Run:
    """Read a run directory. Raises UserError for damaged files."""
    try:
        config = read_config(folder / CONFIG)
        parts = [config[part] for part in ("settings", "data", "versions", "commit")]
        check_settings(parts[0], parts[1])
        metrics = read_metrics(folder / METRICS)
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{CONFIG} or {METRICS} is damaged: {error}", "train the run again") from None
    settings, data, versions, commit = parts
    if not all(isinstance(part, dict) for part in (settings, data, versions)):
        raise UserError(f"{CONFIG} is damaged.", "train the run again")
    predictions(folder)
    return Run(folder, name, read_state(folder), settings, data, versions, str(commit), read_result(folder), metrics)


def read_metrics(file: Path) -> pd.DataFrame | None:
    """Read metrics.csv; None where there is none. Raises KeyError or ValueError for a damaged file."""
    if not file.is_file():
        return None
    metrics = pd.read_csv(file)
    return metrics[[*COLUMNS, *({"val_macro_f1"} & {*metrics.columns})]].astype(float)


def check_settings(settings: Mapping[str, Any], data: Mapping[str, Any]) -> None:
    """Raise KeyError, TypeError or ValueError for what the pages rely on and the configuration of no run lacks."""
    json.dumps([settings, data])  # plain values: no dates, and no node inside itself
    if not float(settings["optim"]["lr"]) > 0:
        raise ValueError(f"optim.lr is {settings['optim']['lr']}")
    if not isinstance(data.get("classes", []), list):
        raise TypeError("classes are no list")


@cache
def predictions(folder: Path) -> Saved | None:
    """Return a run's validation predictions, of those images that are of its classes; None where there are none.

    Raises UserError for a damaged file.
    """
    if not (folder / VALIDATION).is_file():
        return None
    saved = read_predictions(folder)
    known = saved.targets >= 0
    ids = tuple(id_ for id_, kept in zip(saved.ids, known, strict=True) if kept)
    return Saved(ids, saved.classes, saved.targets[known], saved.probabilities[known]) if ids else None


def reason(run: Run) -> str:
    """Return why a run has failed, the last line of its traceback; "" for others."""
    file = run.folder / FAILED
    if run.problem or run.state is not State.failed or not file.is_file():
        return ""
    return next(reversed(file.read_text(encoding="utf-8", errors="replace").strip().splitlines()), "")


def is_synthetic(run: Run) -> bool:
    """Return whether a run's images are synthetic drawings."""
    return bool(run.setting("data.layout") == Layout.demo.name)


def notes(runs: Sequence[Run]) -> list[str]:
    """Return what must be said of images that are no photographs."""
    if any(is_synthetic(run) for run in runs):
        return ["The demo's images are synthetic drawings: accuracies on them say nothing about photographs."]
    return []
