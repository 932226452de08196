"""The LightningModule: a network, its loss, its optimiser, and validation metrics over every image exactly once."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from pytorch_lightning import LightningModule
from pytorch_lightning.core.optimizer import LightningOptimizer
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau
from torchmetrics import MetricCollection
from torchmetrics.classification import MulticlassAccuracy, MulticlassF1Score

from kenyan13.config.presets import TARGET
from kenyan13.config.targets import build
from kenyan13.data.batches import Batch
from kenyan13.errors import UserError, shorten
from kenyan13.model.backbones import create, read_weights
from kenyan13.model.linear import CoTuning, pooled_features
from kenyan13.model.losses import check_losses, diverged
from kenyan13.model.optimisation import create_optimizer, explained, is_plain
from kenyan13.runs.config_file import read_settings


class Predictions(NamedTuple):
    """Predictions in catalogue order.

    rows: int64 [n]; targets: int64 [n], -1 for no class; probabilities: float32 [n, classes].
    """

    rows: NDArray[np.int64]
    targets: NDArray[np.int64]
    probabilities: NDArray[np.float32]


class Classifier(LightningModule):
    """Trains `network` (images -> logits [n, classes]) with the loss, optimiser and schedule that are configured.

    loss: (logits, targets) -> loss; optim, schedule: nodes of conf/optim and conf/schedule; forward: what is computed
    instead of the whole network, as its head where batches hold features; mirror: validate as `mean_of_views` does;
    auxiliary: a second loss in training, of the network's pooled features.

    Logs train_loss (mean over the epoch's images of what is minimised, but the auxiliary loss), val_loss (plain cross
    entropy whatever is minimised, so that runs compare), val_accuracy (micro), val_macro_f1, and where the loss weighs
    classes, val_weighted_loss: it, of the validation images. Loggers get the epoch, from 1, as their step. Images of no
    class (target -1) do not count in these. After validation, `predictions` holds what was predicted for all images.
    """

    def __init__(
        self,
        network: nn.Module,
        classes: tuple[str, ...],
        loss: nn.Module | None = None,
        optim: Mapping[str, Any] | None = None,
        schedule: Mapping[str, Any] | None = None,
        forward: Callable[[Tensor], Tensor] | None = None,
        mirror: bool = False,
        auxiliary: CoTuning | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.compute_logits = (forward or network,)  # in a tuple: a module would be taken for a second part of this one
        self.classes, self.mirror, self.auxiliary = classes, mirror, auxiliary
        self.loss = loss or nn.CrossEntropyLoss()
        self.optim, self.schedule_node = dict(optim or {}), dict(schedule or {})
        interval = self.schedule_node.get("interval", "epoch")
        if interval not in ("epoch", "step"):
            raise UserError(f"schedule.interval={interval} is no choice.", "epoch or step")
        self.by_step = interval == "step"  # of the optimiser, rather than epoch by epoch
        metrics = {  # one more metric is one more line: it is logged, and a column of metrics.csv
            "val_accuracy": MulticlassAccuracy(len(classes), average="micro"),
            "val_macro_f1": MulticlassF1Score(len(classes), average="macro"),
        }
        self.metrics = MetricCollection(metrics)  # type: ignore[arg-type]
        self.outputs: list[tuple[Tensor, Tensor, Tensor]] = []
        # Of each batch, with its rows; looked at when the epoch ends, as a GPU that is asked at each step has to wait.
        self.epoch_losses: list[tuple[Tensor, Tensor]] = []
        self.predictions: Predictions | None = None
        self.schedule: LRScheduler | None = None
        self.saved_schedule: dict[str, Any] | None = None

    @classmethod
    def load_from_checkpoint(cls, checkpoint_path: Any, *args: Any, **kwargs: Any) -> "Classifier":
        """Return the network of a checkpoint in a run directory, best.ckpt or last.ckpt, in evaluation mode.

        What else it was made with is read from the run's config.yaml. Further arguments of Lightning's are passed over.
        Raises UserError where it lies in no run directory, or is damaged.
        """
        file = Path(checkpoint_path)
        settings, classes = read_settings(file.parents[1]), read_weights(file)[1] or ()
        network = create(replace(settings.model, weights=str(file)), classes)
        return cls(network, classes, mirror=settings.predict.mirror).eval()

    def forward(self, images: Tensor) -> Tensor:
        """Return logits, float [n, classes]."""
        return self.compute_logits[0](images.to(self.dtype))  # float32, unless trainer.precision says 64-true or so

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the batch's loss."""
        features = None if self.auxiliary is None else pooled_features(self.network, batch.images.to(self.dtype))
        logits = self(batch.images) if features is None else self.network.get_classifier()(features)  # type: ignore[operator]
        with explained("loss", type(self.loss).__name__):
            loss: Tensor = self.loss(logits, batch.targets)
            if loss.ndim:
                raise ValueError(f"it gives {list(loss.shape)} numbers for a batch, not one")
        self.epoch_losses.append((loss.detach(), batch.rows))
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=len(batch.targets), sync_dist=True)
        return loss if self.auxiliary is None or features is None else loss + self.auxiliary(features, batch.targets)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Keep the batch's logits for the epoch's end."""
        logits = mean_of_views(self, batch.images, len(batch.targets), self.mirror)
        self.outputs.append((batch.rows, batch.targets, logits.float()))

    test_step = validation_step

    def predict_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the batch's logits, float32 [n, classes], on the CPU."""
        return mean_of_views(self, batch.images, len(batch.targets), self.mirror).float().cpu()

    def on_test_epoch_end(self) -> None:
        """As after validation, with metrics called test_loss and so on."""
        self.on_validation_epoch_end("test")

    def on_validation_epoch_end(self, part: str = "val") -> None:
        """Gather the logits of all processes, each image once, and log the metrics of those that have a class."""
        check_losses(self.trainer, self.epoch_losses)
        self.epoch_losses.clear()
        rows, targets, logits = (torch.cat(parts) for parts in zip(*self.outputs, strict=True))
        self.outputs.clear()
        if self.trainer.world_size > 1:
            gathered = (torch.as_tensor(self.all_gather(part)) for part in (rows, targets, logits))
            rows, targets, logits = (part.flatten(0, 1) for part in gathered)
        # Processes get equally many images, some of them twice; in catalogue order the sums do not depend on that.
        unique, first = np.unique(rows.cpu().numpy(), return_index=True)
        targets, logits = targets[first], logits[first]
        known = targets >= 0
        if known.any():
            counted = logits[known], targets[known]
            mode = torch.get_deterministic_debug_mode()
            torch.set_deterministic_debug_mode("default")  # or torchmetrics counts by a table of images x classes²
            try:
                metrics = {"val_loss": F.cross_entropy(*counted), **self.metrics(*counted)}
            finally:
                torch.set_deterministic_debug_mode(mode)
            if part == "val" and not metrics["val_loss"].isfinite():
                bad = unique[~logits.isfinite().all(dim=1).cpu().numpy()]
                raise diverged(self.trainer, "validation", metrics["val_loss"], bad)
            if getattr(self.loss, "weight", None) is not None:
                metrics["val_weighted_loss"] = self.loss(*counted)
            self.log_dict({name.replace("val", part, 1): value for name, value in metrics.items()})
        self.metrics.reset()
        if self.trainer.state.fn == "fit":
            self.log("step", float(self.current_epoch + 1))
        self.predictions = Predictions(unique, targets.cpu().numpy(), logits.softmax(dim=1).cpu().numpy())

    def configure_optimizers(self) -> Optimizer:
        """Return the optimiser; the schedule is stepped here, not by Lightning.

        Lightning would step a plateau schedule after the last checkpoint of an epoch is written, which a resumed run
        would then lack.
        """
        optimizer = create_optimizer(self.optim, self.network, self.auxiliary)
        epochs = self.trainer.max_epochs or 1
        steps = max(1, int(self.trainer.estimated_stepping_batches) // epochs) if self.by_step else 1
        node, context = self.schedule_node, {"run": {"steps_per_epoch": steps}, "trainer": {"max_epochs": epochs}}
        self.schedule = build("schedule", node, optimizer, context=context, kind=LRScheduler) if node else None
        return optimizer

    def optimizer_step(
        self,
        epoch: int,
        batch_idx: int,
        optimizer: Optimizer | LightningOptimizer,
        optimizer_closure: Callable[[], Any] | None = None,
    ) -> None:
        """Let the optimiser take a step, and a schedule by steps; what the closure raises is not explained."""
        with ExitStack() as stack:

            def closure() -> Any:
                result = optimizer_closure() if optimizer_closure else None
                stack.enter_context(explained("optim", self.optim.get(TARGET)))
                return result

            super().optimizer_step(epoch, batch_idx, optimizer, closure)
        if self.by_step:
            self.step_schedule()

    def on_train_start(self) -> None:
        """Put a resumed schedule where it was."""
        if self.saved_schedule is not None and self.schedule is not None:
            own = self.schedule.state_dict()
            self.schedule.load_state_dict({**own, **{k: v for k, v in self.saved_schedule.items() if k in own}})

    def on_train_epoch_end(self) -> None:
        """Step a schedule by epochs."""
        self.log("step", float(self.current_epoch + 1))
        if not self.by_step:
            self.step_schedule()

    def step_schedule(self) -> None:
        """Step the schedule, if there is one; raises UserError where it cannot, or its metric is unknown."""
        logged, monitor = self.trainer.callback_metrics, self.schedule_node.get("monitor", "train_loss")
        with explained("schedule", self.schedule_node.get(TARGET)):
            if isinstance(self.schedule, ReduceLROnPlateau):
                if monitor not in logged:
                    there = f"there are: {shorten(list(logged))}"
                    raise UserError(f"schedule.monitor={monitor} is no metric here.", there)
                self.schedule.step(float(logged[monitor]))
            elif self.schedule is not None:
                self.schedule.step()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the classes, whether training was to stop, and the schedule's state, plain values only."""
        checkpoint["stop"] = self.trainer.should_stop
        checkpoint["classes"] = list(self.classes)
        state = checkpoint["state_dict"].items()
        checkpoint["state_dict"] = {name: value for name, value in state if not name.startswith("metrics.")}
        if self.schedule is not None:
            state = self.schedule.state_dict().items()
            checkpoint["schedule"] = {name: value for name, value in state if is_plain(value)}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the schedule's state until there is an optimiser; a run that was to stop trains no more."""
        self.trainer.should_stop = checkpoint.get("stop", False)
        self.saved_schedule = checkpoint.get("schedule")
        own = {name: value for name, value in self.state_dict().items() if not name.startswith("network.")}
        checkpoint["state_dict"] = {**own, **checkpoint["state_dict"]}  # until 2026-11-27, nothing of the loss was kept


def mean_of_views(network: Callable[[Tensor], Tensor], views: Tensor, images: int, mirror: bool) -> Tensor:
    """Return the mean of what a network makes of each image's views, float [images, d].

    views: float [images * v, 3, height, width], an image's in a row; mirror: of their mirror images, too.
    """
    made = network(views)
    if mirror:
        made = (made + network(views.flip(3))) / 2
    return made if len(views) == images else made.reshape(images, -1, *made.shape[1:]).mean(dim=1)
