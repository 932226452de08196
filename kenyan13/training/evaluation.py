"""A finished run's validation metrics and predictions again, from its checkpoint, in one pass over the images."""

from dataclasses import dataclass

import pandas as pd
import torch
from torch import Tensor

from kenyan13.data.batches import Batch
from kenyan13.model.classifier import Classifier
from kenyan13.runs.predictions import prediction_table
from kenyan13.training.arithmetic import own_precision
from kenyan13.training.inference import TrainedRun, check_classes, classifier, inference_trainer, open_data
from kenyan13.training.trainer import precision


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


def evaluate(run: TrainedRun) -> Evaluation:
    """Return the metrics of the run's validation images, loss, accuracy and macro F1, and their predictions.

    Raises UserError when the data now has other classes than the run.
    """
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
