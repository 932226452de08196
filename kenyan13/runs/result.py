"""What came out of a run: metrics.csv, a row an epoch, and result.json, written when training has finished."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from math import isfinite, nan
from pathlib import Path
from typing import get_type_hints

import pandas as pd

from kenyan13.errors import UserError
from kenyan13.runs.directory import METRICS, RESULT, replacing
from kenyan13.runs.upgrade import RESULT_NAMES


@dataclass(frozen=True)
class Result:
    """What came out of a run. Loss, accuracy and F1 (0..1) are those of the epoch (from 1) that is kept.

    weighted_loss: the validation loss there as training weighs classes, where it does; min_val_loss is plain cross
    entropy. device, precision, threads, deterministic: what was really used. temperature: of the kept epoch's
    probabilities of the validation images, see kenyan13.metrics.classification.

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
    precision: str = "unknown"
    stopped: str = "unknown"
    temperature: float = 1.0
    weighted_loss: float | None = None
    threads: int = 0
    deterministic: str = "unknown"


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
        read = json.loads((folder / RESULT).read_text())
        saved = {RESULT_NAMES.get(key, key): value for key, value in read.items()}
        result = Result(**{item.name: saved[item.name] for item in fields(Result) if item.name in saved})
        for name, kind in get_type_hints(Result).items():
            value = getattr(result, name)
            if not isinstance(value, kind if kind is str else kind | int):
                raise ValueError(f"{name} is {value!r}")
        above = min(result.validation_images, result.temperature)
        if not (isfinite(result.min_val_loss) and 0 <= result.accuracy <= 1 and above > 0):
            raise ValueError("loss, accuracy or number of images cannot be")
        return result
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        step = "remove it: the same command makes it again"
        raise UserError(f"{folder / RESULT} is damaged: {error}", step) from None
