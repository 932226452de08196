"""What a report asks of the runs that it is about."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kenyan13.config.settings import Layout
from kenyan13.runs.predictions import classes_of, labelled, probabilities_of, targets_of
from kenyan13.runs.run import Run


@dataclass(frozen=True)
class Predictions:
    """A run's predictions of n images that have a target: targets int64 [n], probabilities float64 [n, classes]."""

    ids: tuple[str, ...]
    classes: tuple[str, ...]
    targets: NDArray[np.int64]
    probabilities: NDArray[np.float64]


def predictions(run: Run) -> Predictions | None:
    """Return a run's validation predictions of those images that have a target; None where there are none."""
    if run.problem or run.predictions is None or (table := labelled(run.predictions)).empty:
        return None
    return Predictions(tuple(table.index), classes_of(table), targets_of(table), probabilities_of(table))


def anchor_of(run: Run) -> str:
    """Return the id of the run's page."""
    return f"run-{run.name}"


def accuracy_of(run: Run) -> float:
    """Return a finished run's accuracy, 0..1; -1 for others."""
    return run.result.accuracy if run.result else -1.0


def validation_images(run: Run) -> int:
    """Return the number of a finished run's validation images; 0 for others."""
    return run.result.validation_images if run.result else 0


def is_synthetic(run: Run) -> bool:
    """Return whether a run's images are synthetic drawings."""
    return bool(run.setting("data.layout") == Layout.demo.name)


def notes(runs: Sequence[Run]) -> list[str]:
    """Return what must be said of images that are no photographs."""
    if any(is_synthetic(run) for run in runs):
        return ["The demo's images are synthetic drawings: accuracies on them say nothing about photographs."]
    return []
