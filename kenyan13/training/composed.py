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
import torch
from numpy.typing import NDArray
from torch import Tensor

from kenyan13.data.batches import Batch
from kenyan13.data.catalogue import Catalogue
from kenyan13.data.stages import FIRST
from kenyan13.errors import UserError
from kenyan13.metrics.classification import scale
from kenyan13.model.classifier import Classifier
from kenyan13.runs import predictions
from kenyan13.runs.config_file import read_config, read_settings
from kenyan13.runs.directory import CONFIG, MEMBERS
from kenyan13.runs.predictions import prediction_table
from kenyan13.training import inference
from kenyan13.training.inference import OpenRun, TrainedRun, check_classes, classifier, inference_trainer, open_data
from kenyan13.training.trainer import own_precision, precision


@dataclass(frozen=True)
class ComposedRun(OpenRun):
    """A run put together from others, its members; temperature: of what they predict together."""

    members: tuple["AnyRun", ...]
    temperature: float = 1.0


AnyRun = TrainedRun | ComposedRun


def open_any(folder: Path, overrides: Sequence[str] = ()) -> AnyRun:
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
    return ComposedRun(folder, settings, classes, members, inference.temperature_of(folder, settings))


def combine(members: Sequence[OpenRun], tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return the predictions of members together, from those of each (see kenyan13.runs.predictions)."""
    stages = {str(member.settings.data.stage): table for member, table in zip(members, tables, strict=True)}
    if len(stages) == 1 or FIRST not in stages:
        return predictions.average(tables)
    return predictions.gate(stages.pop(FIRST), stages)


def predict(run: AnyRun, paths: Sequence[Path]) -> tuple[NDArray[np.float32], dict[int, str]]:
    """Return what `inference.predict` does, of any run: probabilities, float32 [n, classes], and row -> reason.

    Each member reads the images by itself, at the size and in the colours that it was trained with.
    """
    if isinstance(run, TrainedRun):
        return inference.predict(run, paths)
    found = [predict(member, paths) for member in run.members]
    rows = [str(row) for row in range(len(paths))]
    tables = [prediction_table(rows, member.classes, one) for member, (one, _) in zip(run.members, found, strict=True)]
    probabilities = predictions.probabilities_of(combine(run.members, tables)).astype(np.float32)
    return scale(probabilities, run.temperature), found[0][1]  # all members read the same files


def predict_catalogue(run: AnyRun, images: Catalogue) -> tuple[pd.DataFrame, dict[int, str]]:
    """Return the predictions of images with their targets, but for those that cannot be read: row -> reason."""
    probabilities, bad = predict(run, images.paths)
    rows = [row for row in range(len(images)) if row not in bad]
    kept = images.take(rows)
    return prediction_table(kept.ids, run.classes, probabilities[rows], kept.targets), bad


@dataclass(frozen=True)
class Evaluation:
    """What a run makes of its validation images: metrics, computed as in training, and predictions by image id.

    own: with the run's choice of views; plain: of each image alone; mirrored: of the mean with its mirror image.
    """

    metrics: dict[str, float]
    own: pd.DataFrame
    plain: pd.DataFrame
    mirrored: pd.DataFrame


class TwoViews(Classifier):
    """Validates as the run does, and keeps the logits of each image alone and with its mirror image: in one pass."""

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Keep the batch's logits for the epoch's end, of both views: float32 [n, 2, classes]."""
        plain, turned = self(batch.images), self(batch.images.flip(3))
        mirrored = (plain + turned) / 2
        self.outputs.append((batch.rows, batch.targets, (mirrored if self.mirror else plain).float()))
        self.views.append((batch.rows, torch.stack([plain.float(), mirrored.float()], dim=1)))

    def on_validation_start(self) -> None:
        """Begin anew."""
        self.views: list[tuple[Tensor, Tensor]] = []


def evaluate(run: AnyRun) -> Evaluation:
    """Return metrics (loss, accuracy, macro F1) and predictions of the validation images, of folds out of fold.

    Raises UserError when the data now has other classes than the run.
    """
    if isinstance(run, TrainedRun):
        return evaluate_network(run)
    found = [evaluate(member) for member in run.members]
    own, plain, mirrored = (
        combine(run.members, [getattr(one, view) for one in found]) for view in ("own", "plain", "mirrored")
    )
    return Evaluation(predictions.scores(predictions.labelled(own)), own, plain, mirrored)


def evaluate_network(run: TrainedRun) -> Evaluation:
    """Return what `evaluate` does, of a run of one network, in one pass over the images."""
    data = open_data(run.settings, draw=False)
    check_classes(run, data.classes)
    module = classifier(run, TwoViews)
    trainer = inference_trainer(run, own_precision(run.settings, run.folder) or precision(run.settings))
    logged = trainer.validate(module, datamodule=data, verbose=False)[0]
    metrics = {name.removeprefix("val_"): float(value) for name, value in logged.items()}
    rows, views = (torch.cat(parts) for parts in zip(*module.views, strict=True))
    shares = views[rows.argsort()].softmax(dim=2).cpu().numpy()
    images = data.validation.catalogue
    plain, mirrored = (prediction_table(images.ids, run.classes, shares[:, k], images.targets) for k in (0, 1))
    return Evaluation(metrics, mirrored if module.mirror else plain, plain, mirrored)
