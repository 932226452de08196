"""One finished, unfinished or failed run, as its directory tells it: settings, result, metrics and predictions."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from kenyan13.config.identity import relevant, short
from kenyan13.errors import UserError, first_line
from kenyan13.metrics.classification import wilson
from kenyan13.metrics.losses import of_epochs
from kenyan13.runs.config_file import read_config
from kenyan13.runs.directory import CONFIG, FAILED, METRICS, RESULT, TEST, VALIDATION, State, read_state
from kenyan13.runs.predictions import labelled, read_predictions, scores
from kenyan13.runs.result import Result, read_result

ANEW = "leave the run out, or train it again"
EPOCH_COLUMNS = ["epoch", "train_loss", "val_loss", "val_accuracy", "val_macro_f1", "lr", "seconds"]


@dataclass(frozen=True)
class RunMetrics:
    """A run's metrics at the epoch (from 1) that is kept; None for what its files do not tell. Shares are 0..1.

    accuracy_low, accuracy_high: Wilson's 95 % interval; images: the validation images that all these are of;
    auc_loss, overfitting: see kenyan13.metrics.losses; seconds: of all epochs.
    """

    min_val_loss: float | None = None
    accuracy: float | None = None
    accuracy_low: float | None = None
    accuracy_high: float | None = None
    images: int | None = None
    macro_f1: float | None = None
    top2_accuracy: float | None = None
    calibration_error: float | None = None
    auc_loss: float | None = None
    overfitting: float | None = None
    best_epoch: int | None = None
    epochs: int | None = None
    seconds: float | None = None
    parameters: int | None = None
    trainable_parameters: int | None = None


@dataclass(frozen=True, eq=False)
class Run:
    """What a run directory tells.

    name: fit for file names, and unique among the runs that are read together (`read_all`). settings: nested plain
    values, defaults among them, and `members`, the names of the runs that it is put together from, if it is; empty for
    a folder that holds predictions only (of `kenyan13 cascade`). data: classes, and number and digest of each part's
    images. result, metrics (a row an epoch): None until they are there. problem: why the directory cannot be read, or
    "".
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
        """Return a setting by its dotted name; None where there is none."""
        value: Any = self.settings
        for part in key.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        return value

    @cached_property
    def relevant(self) -> Mapping[str, Any]:
        """The settings that the result depends on, by dotted key, but the folder of the images: digests tell these."""
        return {k: v for k, v in relevant(self.settings).items() if k != "data.root"} if self.settings else {}

    @cached_property
    def predictions(self) -> pd.DataFrame | None:
        """The predictions of the validation images by id (see `read_predictions`); None without any, or with a problem.

        Raises UserError for a damaged file.
        """
        if self.problem or not (self.folder / VALIDATION).is_file():
            return None
        table, images = read_predictions(self.folder), self.data.get("validation", {}).get("images")
        if images and not self.setting("members") and len(table) != images:
            raise UserError(f"{self.folder / VALIDATION} is damaged: it has {len(table)} of {images} images.", ANEW)
        return table

    @cached_property
    def test_predictions(self) -> pd.DataFrame | None:
        """The predictions of the test images, likewise."""
        there = not self.problem and (self.folder / TEST).is_file()
        return read_predictions(self.folder, TEST) if there else None

    @cached_property
    def summary(self) -> RunMetrics:
        """The run's metrics from its predictions, its epochs (metrics.csv) and its result; whatever there is."""
        found: dict[str, Any] = {}
        if self.result is not None:
            found = asdict(self.result) | {"images": self.result.validation_images}
        elif self.metrics is not None and self.metrics["val_loss"].notna().any():
            found = of_epochs(self.metrics, self.setting("keep") or "loss")
        if self.predictions is not None and len(known := labelled(self.predictions)):
            found |= {key: value for key, value in scores(known).items() if key != "loss"}
        if found.get("accuracy") is not None and found.get("images"):
            found["accuracy_low"], found["accuracy_high"] = wilson(found["accuracy"], found["images"])
        return RunMetrics(**{key: value for key, value in found.items() if key in RunMetrics.__dataclass_fields__})

    @property
    def failure(self) -> str:
        """Why the run has failed, in a line; "" where it has not."""
        file = self.folder / FAILED
        if self.problem or self.state is not State.failed or not file.is_file():
            return ""
        lines = file.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        line = next((line for line in reversed(lines) if not line.startswith("  -> ")), "")  # a UserError's next steps
        return re.sub(r"^(\w+\.)+(?=\w+: )(UserError: )?", "", line)


def read_run(folder: Path, name: str = "") -> Run:
    """Read a run directory, or a folder with predictions or a result only. Raises UserError for damaged files."""
    name = name or folder.name
    if not (folder / CONFIG).is_file() and any((folder / file).is_file() for file in (VALIDATION, RESULT)):
        return Run(folder, name, State.finished, result=read_result(folder))
    config = read_config(folder)
    settings = config["settings"] | ({"members": config["members"]} if config["members"] else {})
    result, metrics = read_result(folder), read_metrics(folder)
    if result and metrics is not None and result.epochs not in (0, int(metrics["epoch"].iloc[-1])):
        raise UserError(f"{folder / METRICS} is damaged: it lacks epochs of {result.epochs}.", ANEW)
    data, versions, commit = config["data"], config["versions"], str(config["commit"])
    return Run(folder, name, read_state(folder), settings, data, versions, commit, result, metrics)


def read_metrics(folder: Path) -> pd.DataFrame | None:
    """Read metrics.csv; None before the first epoch's end. Raises UserError when it is damaged."""
    try:
        table = pd.read_csv(folder / METRICS)
        table[EPOCH_COLUMNS] = table[EPOCH_COLUMNS].astype(float)
        if table[["epoch", "lr", "seconds"]].isna().any(axis=None) or (table["epoch"].diff()[1:] != 1).any():
            raise ValueError("a row is torn, or epochs are missing")
        return table if len(table) else None
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{folder / METRICS} is damaged: {first_line(error)}.", ANEW) from None


def read_all(folders: Sequence[Path]) -> Iterator[Run]:
    """Yield the runs in run directories; one that cannot be read has a `problem`, and costs none of the others."""
    taken: set[str] = set()
    for folder in folders:
        plain = re.sub(r"[^\w.+-]", "_", folder.resolve().name)
        name = next(one for k in range(1, len(folders) + 2) if (one := f"{plain}~{k}" if k > 1 else plain) not in taken)
        taken.add(name)
        try:
            run = read_run(folder, name)
            _ = run.predictions, run.test_predictions  # damaged ones raise UserError
            yield run
        except UserError as error:
            yield Run(folder, name, State.failed, problem=first_line(error))


def differing_settings(runs: Sequence[Run]) -> dict[str, list[Any]]:
    """Return the settings that matter and are not the same in all runs: by dotted key, a value a run.

    A run whose settings are not known makes no difference, and has None.
    """
    known = [run.relevant for run in runs if run.settings]
    keys = dict.fromkeys(key for settings in known for key in settings)
    different = [key for key in keys if any(settings.get(key) != known[0].get(key) for settings in known)]
    return {key: [run.relevant.get(key) for run in runs] for key in different}


def value_text(value: Any) -> str:
    """Return a setting's value as it is written on the command line; numbers in full, 1e-3 rather than 0.001."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        return json.dumps(value, ensure_ascii=False)
    brief = short(value)
    return brief if float(brief) == value else str(value)


def labels(runs: Sequence[Run]) -> list[str]:
    """Return what to call runs among each other: the one or two settings that differ, if that tells; else names."""
    values = differing_settings(runs)
    if any(run.setting("name") for run in runs) or len(values) > 2:
        return [run.name for run in runs]
    texts = [", ".join(f"{key}={value_text(values[key][k])}" for key in values) for k in range(len(runs))]
    return texts if len(set(texts)) == len(runs) > 1 else [run.name for run in runs]
