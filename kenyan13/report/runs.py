"""What a report asks of the runs that it is about."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kenyan13.config.settings import Layout
from kenyan13.runs.predictions import classes_of, labelled, probabilities_of, targets_of
from kenyan13.runs.run import Run
from kenyan13.study.definitions import experiments


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
    """Return the name of the run's section on the page."""
    return f"run-{run.name}"


def notes(runs: Sequence[Run]) -> list[str]:
    """Return what must be said of images that are no photographs, and of runs that are toys."""
    said = []
    if any(run.setting("smoke") for run in runs):
        said.append("Smoke runs are at toy size, on synthetic drawings: their figures say nothing.")
    elif any(run.setting("data.layout") == Layout.demo.name for run in runs):
        said.append("The demo's images are synthetic drawings: accuracies on them say nothing about photographs.")
    return said


def study_id(run: Run) -> str | None:
    """Return the study's id of the experiment that a run is, or is a variant of, by its configuration; or None."""
    experiment, name = str(run.setting("experiment")), str(run.setting("name"))
    if experiment in experiments():
        return experiment
    id_ = name.partition("_")[0]
    if id_ in experiments() and re.fullmatch(re.escape(experiments()[id_].name) + "(-.*)?", name):
        return id_
    return None


def kind(run: Run) -> str:
    """Return what a table must say of a run beside the study's: "" for the study's own experiments."""
    if run.setting("smoke"):
        return "smoke runs"
    return "" if run.setting("experiment") else f"other settings or images, {run.setting('data.root')}"
