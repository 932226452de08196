"""A run's metrics at the epoch that is kept, from whatever its directory has."""

from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import pandas as pd

from kenyan13.metrics.classification import reliability, top_accuracy, wilson
from kenyan13.metrics.losses import of_epochs
from kenyan13.runs.predictions import labelled, probabilities_of, scores, targets_of
from kenyan13.runs.run import Run


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


@cache
def measure(run: Run) -> RunMetrics:
    """Return a run's metrics from its predictions, its epochs (metrics.csv) and its result; whatever there is."""
    found: dict[str, Any] = {}
    if run.result is not None:
        found |= {key: value for key, value in asdict(run.result).items() if key in RunMetrics.__dataclass_fields__}
        found["images"] = run.result.validation_images
    elif run.metrics is not None and run.metrics["val_loss"].notna().any():
        of_all = of_epochs(run.metrics, run.setting("keep") or "loss")
        found |= {key: value for key, value in of_all.items() if key in RunMetrics.__dataclass_fields__}
    if run.predictions is not None and len(known := labelled(run.predictions)):
        found |= prediction_metrics(known)
    if found.get("accuracy") is not None and found.get("images"):
        found["accuracy_low"], found["accuracy_high"] = wilson(found["accuracy"], found["images"])
    return RunMetrics(**found)


def prediction_metrics(table: pd.DataFrame) -> dict[str, Any]:
    """Return the metrics of predictions of images that have a target."""
    targets, probabilities = targets_of(table), probabilities_of(table)
    found = {key: value for key, value in scores(table).items() if key != "loss"}
    top2, error = top_accuracy(targets, probabilities), reliability(targets, probabilities).error
    return {"images": len(table), **found, "top2_accuracy": top2, "calibration_error": error}
