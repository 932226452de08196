"""What a finished run is used for: its network with the best weights, and new predictions."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import torch
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from numpy.typing import NDArray
from pytorch_lightning import Trainer
from torch import Tensor

from kenyan13.config.settings import OnBad, Settings
from kenyan13.data.augmentation import normalise
from kenyan13.data.batches import Batch
from kenyan13.data.catalogue import Catalogue, read, stage_view
from kenyan13.data.datamodule import ImageDataModule
from kenyan13.data.images import centre_views, list_unreadable, resize_length
from kenyan13.data.store import decode_all
from kenyan13.data.synthetic import draw_if_missing
from kenyan13.errors import UserError, shorten
from kenyan13.model.backbones import build, load_weights, normalisation, read_weights
from kenyan13.model.classifier import Classifier
from kenyan13.runs import directory
from kenyan13.runs.config_file import read_settings
from kenyan13.runs.predictions import prediction_table
from kenyan13.runs.result import read_result
from kenyan13.terminal import progress
from kenyan13.training.display import quiet_libraries
from kenyan13.training.trainer import precision


@dataclass(frozen=True)
class Evaluation:
    """What a run makes of its validation images: metrics, computed as in training, and predictions by image id.

    own: with the run's choice of views; plain: of each image's centre crop; mirrored: of the mean with mirror images,
    and with the other views of predict.views.
    """

    metrics: dict[str, float]
    own: pd.DataFrame
    plain: pd.DataFrame
    mirrored: pd.DataFrame


class TwoViews(Classifier):
    """Validates as the run does, and keeps the logits of centre crops alone and of all views, mirrored: in one pass."""

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Keep the batch's logits for the epoch's end, of both views: float32 [n, 2, classes]."""
        n, views = len(batch.targets), (batch.images, batch.images.flip(3))
        alone, turned = (self(images).unflatten(0, (n, -1)) for images in views)
        mirrored = ((alone + turned) / 2).mean(dim=1)
        own = mirrored if self.mirror else alone.mean(dim=1)
        self.outputs.append((batch.rows, batch.targets, own.float()))
        self.views.append((batch.rows, torch.stack([alone[:, 0], mirrored], dim=1).float()))

    def on_validation_start(self) -> None:
        """Begin anew."""
        self.views: list[tuple[Tensor, Tensor]] = []


@dataclass(frozen=True)
class OpenRun(ABC):
    """A run that can predict: its folder, settings and classes.

    temperature: what logits are divided by for probabilities of new images.
    """

    folder: Path
    settings: Settings
    classes: tuple[str, ...]
    temperature: float

    @abstractmethod
    def predict(self, paths: Sequence[Path]) -> tuple[NDArray[np.float32], dict[int, str]]:
        """Return class probabilities, float32 [n, classes], of image files, and row -> reason for those left out.

        Files that cannot be read stop with one UserError that lists them, or with data.on_bad=skip are left out (their
        rows are not a number).
        """

    @abstractmethod
    def evaluate(self) -> Evaluation:
        """Return metrics (loss, accuracy, macro F1) and predictions of the validation images, of folds out of fold.

        Raises UserError when the data now has other classes than the run.
        """

    def predict_catalogue(self, images: Catalogue) -> tuple[pd.DataFrame, dict[int, str]]:
        """Return the predictions of images with their targets, but for those that cannot be read: row -> reason."""
        probabilities, bad = self.predict(images.paths)
        rows = [row for row in range(len(images)) if row not in bad]
        kept = images.take(rows)
        return prediction_table(kept.ids, self.classes, probabilities[rows], kept.targets), bad

    def check_classes(self, classes: tuple[str, ...]) -> None:
        """Raise UserError when data has other classes than the run was trained on."""
        if classes != self.classes:
            own, others = shorten(self.classes, 13), f"{self.settings.data.root} has ({shorten(classes, 13)})"
            problem = f"{self.folder} was trained on other classes ({own}) than the data in {others}."
            raise UserError(problem, "give the data of the run: data.root=DIR")

    def test_images(self) -> Catalogue:
        """Return the test images of the run's data set, in the run's classes. Raises UserError when it has none."""
        chosen = self.settings.data
        test = read(chosen).test
        if test is None or not len(test):
            step = "the competition's layout lists them in test.csv, the folder layout has them in test/"
            raise UserError(f"The data in {chosen.root} has no test images.", step)
        test = stage_view(test, chosen.groups, chosen.stage)
        self.check_classes(test.classes)
        return test


@dataclass(frozen=True)
class TrainedRun(OpenRun):
    """A run of one network, with the weights of the epoch that is kept."""

    network: torch.nn.Module

    def predict(self, paths: Sequence[Path]) -> tuple[NDArray[np.float32], dict[int, str]]:
        """See OpenRun."""
        model, colours = self.settings.model, normalisation(self.settings.model)
        decoded = decode_all(paths, resize_length(model.crop), self.settings.data.max_pixels)
        bad: dict[int, str] = {}
        self.network.to(memory_format=torch.channels_last)
        trainer = inference_trainer(self, "bf16-mixed" if precision(self.settings) == "bf16-mixed" else "32-true")
        device = trainer.strategy.root_device
        mean, std = (torch.tensor(values, device=device) for values in (colours.mean, colours.std))

        def batches() -> Iterator[Batch]:
            for start in progress(range(0, len(paths), model.batch_size), "Predicting"):
                crops = []
                for row, (pixels, reason, _) in enumerate(islice(decoded, model.batch_size), start):
                    if pixels is None:
                        bad[row] = reason
                    else:
                        crops.append(centre_views(pixels, model.crop, self.settings.predict.views))
                if crops:
                    images = torch.from_numpy(np.concatenate(crops)).to(device)  # where normalising is fast
                    unknown = torch.full((len(crops),), -1)
                    yield Batch(normalise(images, mean, std), unknown, unknown)

        logits: list[Any] = trainer.predict(classifier(self, Classifier), batches()) or []
        if bad and self.settings.data.on_bad is OnBad.stop:
            problem = list_unreadable([f"{paths[row]}: {reason}" for row, reason in sorted(bad.items())], len(paths))
            raise UserError(problem, "repair or remove these files, or leave them out: data.on_bad=skip")
        probabilities = np.full((len(paths), len(self.classes)), np.nan, dtype=np.float32)
        if logits:
            known = (torch.cat(logits) / self.temperature).softmax(dim=1).numpy()
            probabilities[[row for row in range(len(paths)) if row not in bad]] = known
        return probabilities, bad

    def evaluate(self) -> Evaluation:
        """See OpenRun; in one pass over the images."""
        data = open_data(self.settings, draw=False)
        self.check_classes(data.classes)
        module = classifier(self, TwoViews)
        trainer = inference_trainer(self, precision(self.settings, self.folder))
        logged = trainer.validate(module, datamodule=data, verbose=False)[0]
        metrics = {name.removeprefix("val_"): float(value) for name, value in logged.items()}
        rows, views = (torch.cat(parts) for parts in zip(*module.views, strict=True))
        shares = views[rows.argsort()].softmax(dim=2).cpu().numpy()
        images = data.validation.catalogue
        plain, mirrored = (prediction_table(images.ids, self.classes, shares[:, k], images.targets) for k in (0, 1))
        return Evaluation(metrics, mirrored if module.mirror else plain, plain, mirrored)


def open_run(folder: Path, overrides: Sequence[str] = ()) -> TrainedRun:
    """Load a run from its directory, wherever that has been moved to.

    Raises UserError when the folder is no run directory, has no checkpoint, or an override does not fit.
    """
    quiet_libraries()
    settings = read_settings(folder, overrides)
    checkpoint = folder / directory.BEST
    if not checkpoint.is_file():
        kept = settings.trainer.get("enable_checkpointing", True)
        step = f"to train it again: remove {folder}" if kept else "train with trainer.enable_checkpointing=true"
        raise UserError(f"{folder} has no {directory.BEST}: it has no network.", step)
    classes = read_weights(checkpoint)[1] or ()
    network = build(settings.model, len(classes), pretrained=False)
    load_weights(network, checkpoint, classes)
    return TrainedRun(folder, settings, classes, temperature_of(folder, settings), network)


def temperature_of(folder: Path, settings: Settings) -> float:
    """Return the temperature of a run's probabilities of new images: that of its result, where settings ask for it."""
    result = read_result(folder)
    return result.temperature if result is not None and settings.predict.temperature else 1.0


C = TypeVar("C", bound=Classifier)


def classifier(run: TrainedRun, kind: type[C]) -> C:
    """Return the run's network as a LightningModule of a kind, to validate, test or predict with."""
    network = run.network
    if run.settings.model.channels_last:
        network = network.to(memory_format=torch.channels_last)
    return kind(network, run.classes, mirror=run.settings.predict.mirror)


def inference_trainer(run: TrainedRun, arithmetic: Any) -> Trainer:
    """Return a trainer on one device that writes nothing, also in a process of a data-parallel or Slurm run."""
    return Trainer(
        accelerator="cpu" if run.settings.trainer.get("accelerator") == "cpu" else "auto",
        devices=1,
        precision=arithmetic,
        plugins=LightningEnvironment(),
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        deterministic="warn",
    )


def read_data(settings: Settings, draw: bool = True) -> ImageDataModule:
    """Return the data with which the settings train, not decoded; the demo's images are drawn where there are none."""
    if draw:
        draw_if_missing(settings.data)
    colours = normalisation(settings.model)
    return ImageDataModule(settings, colours.mean, colours.std)


def open_data(settings: Settings, draw: bool = True) -> ImageDataModule:
    """Return the data with which the settings train, decoded. draw: the demo's; not where a run may be anybody's."""
    data = read_data(settings, draw)
    data.decode()
    return data
