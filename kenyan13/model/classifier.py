"""The LightningModule: a network, its loss, its optimiser, and validation figures over every image exactly once."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from pytorch_lightning import LightningModule
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torchmetrics.functional.classification import multiclass_accuracy, multiclass_f1_score

from kenyan13.config.settings import OptimSettings, ScheduleSettings
from kenyan13.data.batches import Batch
from kenyan13.model.optimisation import create_optimizer, create_schedule, step_schedule


class Predictions(NamedTuple):
    """Predictions in catalogue order.

    rows: int64 [n]; targets: int64 [n], -1 for no class; probabilities: float32 [n, classes].
    """

    rows: NDArray[np.int64]
    targets: NDArray[np.int64]
    probabilities: NDArray[np.float32]


class Classifier(LightningModule):
    """Trains `network` (images -> logits [n, classes]) with cross entropy, class-weighted where weights are given.

    forward: what is computed instead of the whole network, as its head where batches hold features.

    Logs train_loss (mean over the epoch's images), val_loss (plain cross entropy whatever the weights, so that runs
    compare), val_accuracy (micro) and val_macro_f1. Images of no class (target -1) do not count in these. After
    validation, `predictions` holds what was predicted for all images.
    """

    def __init__(
        self,
        network: nn.Module,
        classes: tuple[str, ...],
        optim: OptimSettings,
        schedule: ScheduleSettings,
        class_weights: Tensor | None = None,
        forward: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.compute_logits = (forward or network,)  # in a tuple: a module would be taken for a second part of this one
        self.classes = classes
        self.optim, self.schedule_settings = optim, schedule
        self.register_buffer("class_weights", class_weights, persistent=False)
        self.outputs: list[tuple[Tensor, Tensor, Tensor]] = []
        self.predictions: Predictions | None = None
        self.schedule: LRScheduler | None = None
        self.saved_schedule: dict[str, Any] | None = None

    def forward(self, images: Tensor) -> Tensor:
        """Return logits, float [n, classes]."""
        return self.compute_logits[0](images)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the batch's loss."""
        loss = F.cross_entropy(self(batch.images), batch.targets, self.class_weights)  # type: ignore[arg-type]
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=len(batch.targets), sync_dist=True)
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Keep the batch's logits for the epoch's end."""
        self.outputs.append((batch.rows, batch.targets, self(batch.images).float()))

    def on_validation_epoch_end(self) -> None:
        """Gather the logits of all processes, each image once, and log the figures."""
        rows, targets, logits = (torch.cat(parts) for parts in zip(*self.outputs, strict=True))
        self.outputs.clear()
        if self.trainer.world_size > 1:
            gathered = (torch.as_tensor(self.all_gather(part)) for part in (rows, targets, logits))
            rows, targets, logits = (part.flatten(0, 1) for part in gathered)
        # Processes get equally many images, some of them twice; in catalogue order the sums do not depend on that.
        unique, first = np.unique(rows.cpu().numpy(), return_index=True)
        targets, logits = targets[first], logits[first]
        known = targets >= 0
        counted = logits[known], targets[known]
        figures = {
            "val_loss": F.cross_entropy(*counted),
            "val_accuracy": multiclass_accuracy(*counted, len(self.classes), average="micro"),
            "val_macro_f1": multiclass_f1_score(*counted, len(self.classes), average="macro"),
        }
        self.log_dict(figures)
        self.predictions = Predictions(unique, targets.cpu().numpy(), logits.softmax(dim=1).cpu().numpy())

    def configure_optimizers(self) -> Optimizer:
        """Return the optimiser; the schedule is stepped in on_train_epoch_end.

        Lightning would step a plateau schedule after the last checkpoint of an epoch is written, which a resumed run
        would then lack.
        """
        optimizer = create_optimizer(self.optim, self.network.parameters())
        self.schedule = create_schedule(self.schedule_settings, optimizer, self.trainer.max_epochs or 1)
        return optimizer

    def on_train_start(self) -> None:
        """Put a resumed schedule where it was."""
        if self.saved_schedule is not None and self.schedule is not None:
            self.schedule.load_state_dict(self.saved_schedule)

    def on_train_epoch_end(self) -> None:
        """Step the schedule."""
        if self.schedule is not None:
            step_schedule(self.schedule, float(self.trainer.callback_metrics["train_loss"]))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the classes and the schedule's state: plain values only."""
        checkpoint["classes"] = list(self.classes)
        if self.schedule is not None:
            checkpoint["schedule"] = self.schedule.state_dict()

    def on_load_checkpoint(self, checkpoint: Mapping[str, Any]) -> None:
        """Keep the schedule's state until there is an optimiser."""
        self.saved_schedule = checkpoint.get("schedule")


def inverse_frequency_weights(counts: NDArray[np.int64]) -> Tensor:
    """Return class weights in proportion to 1/count that sum to 1, float32 [classes] (study, Class imbalance).

    counts: int64 [classes], all above 0.
    """
    weights = 1 / counts
    return torch.tensor(weights / weights.sum(), dtype=torch.float32)
