"""Runs that are put together from others: opened with their members, and used like a run of one network.

Such a run directory (`kenyan13 ensemble --save`, `kenyan13 cascade --save`) holds its members, run directories as well,
which may be put together themselves. Members with the same classes predict by their mean; the stages of a two-stage
classifier by soft gating.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kenyan13.data.catalogue import FIRST
from kenyan13.errors import UserError
from kenyan13.metrics.classification import scale
from kenyan13.runs import predictions
from kenyan13.runs.config_file import read_config, read_settings
from kenyan13.runs.directory import CONFIG, MEMBERS
from kenyan13.runs.predictions import prediction_table
from kenyan13.training import inference
from kenyan13.training.inference import Evaluation, OpenRun


@dataclass(frozen=True)
class ComposedRun(OpenRun):
    """A run put together from others, its members; temperature: of what they predict together."""

    members: tuple[OpenRun, ...]

    def predict(self, paths: Sequence[Path]) -> tuple[NDArray[np.float32], dict[int, str]]:
        """See OpenRun. Each member reads the images by itself, at the size and in the colours of its training."""
        found = [member.predict(paths) for member in self.members]
        rows = [str(row) for row in range(len(paths))]
        tables = [
            prediction_table(rows, member.classes, one) for member, (one, _) in zip(self.members, found, strict=True)
        ]
        probabilities = predictions.probabilities_of(combine(self.members, tables)).astype(np.float32)
        return scale(probabilities, self.temperature), found[0][1]  # all members read the same files

    def evaluate(self) -> Evaluation:
        """See OpenRun."""
        found = [member.evaluate() for member in self.members]
        own, plain, mirrored = (
            combine(self.members, [getattr(one, view) for one in found]) for view in ("own", "plain", "mirrored")
        )
        scores = predictions.scores(predictions.labelled(own))
        return Evaluation({name: scores[name] for name in ("loss", "accuracy", "macro_f1")}, own, plain, mirrored)


def open_any(folder: Path, overrides: Sequence[str] = ()) -> OpenRun:
    """Load a run from its directory, wherever that has been moved to, or one that is put together with its members.

    Raises UserError where `inference.open_run` does, for any member, and for members that do not go together.
    """
    config = read_config(folder)
    if not config["members"]:
        return inference.open_run(folder, overrides)
    members = tuple(
        replace(open_any(folder / MEMBERS / name, overrides), temperature=1.0) for name in config["members"]
    )
    classes = tuple(config["data"].get("classes", ()))
    none = [prediction_table((), member.classes, np.zeros((0, len(member.classes)))) for member in members]
    if predictions.classes_of(combine(members, none)) != classes:
        raise UserError(f"{folder / CONFIG} tells other classes than {folder / MEMBERS} has.", "save the run again")
    settings = read_settings(folder, overrides)
    return ComposedRun(folder, settings, classes, inference.temperature_of(folder, settings), members)


def combine(members: Sequence[OpenRun], tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return the predictions of members together, from those of each (see kenyan13.runs.predictions)."""
    stages = {str(member.settings.data.stage): table for member, table in zip(members, tables, strict=True)}
    if len(stages) == 1 or FIRST not in stages:
        return predictions.average(tables)
    return predictions.gate(stages.pop(FIRST), stages)
