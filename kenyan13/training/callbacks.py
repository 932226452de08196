"""What happens around the epochs of a run: random state, history, stopping, and the files of the run directory."""

from math import inf, isnan
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import Checkpoint

from kenyan13.config.settings import StopRule, StopSettings
from kenyan13.data.catalogue import Catalogue
from kenyan13.data.sampling import generator
from kenyan13.metrics.losses import exponential_moving_average
from kenyan13.model.classifier import Classifier, Predictions
from kenyan13.runs import directory
from kenyan13.runs.predictions import write_predictions
from kenyan13.training.display import print_epoch

DROPOUT = 3  # first number of the random key of what torch draws in an epoch; see kenyan13.data.sampling


class EpochSeed(Callback):
    """Seeds torch at each epoch's start from (seed, epoch, process): dropout needs no saved random state to resume."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Seed for this epoch."""
        torch.manual_seed(
            int(generator(DROPOUT, self.seed, trainer.current_epoch, trainer.global_rank).integers(2**62))
        )


class History(Callback):
    """Keeps one row of figures an epoch, through interruptions, and prints it."""

    def __init__(self) -> None:
        self.rows: list[dict[str, float]] = []
        self.start = 0.0
        self.lr = 0.0

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note time and rate."""
        self.start = perf_counter()
        self.lr = float(trainer.optimizers[0].param_groups[0]["lr"])

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Add the epoch's row; validation has been made."""
        figures = {name: float(trainer.callback_metrics[name]) for name in FIGURES}
        epoch, seconds = trainer.current_epoch + 1, perf_counter() - self.start
        self.rows.append({"epoch": epoch, **figures, "lr": self.lr, "seconds": round(seconds, 3)})
        pl_module.log("lr", self.lr)
        if trainer.is_global_zero:
            print_epoch(self.rows, trainer.max_epochs or 0, self.is_best())

    def column(self, name: str) -> list[float]:
        """Return one figure of all epochs so far."""
        return [row[name] for row in self.rows]

    def best(self) -> dict[str, float]:
        """Return the row of the lowest validation loss, the first one of equals."""
        return min(self.rows, key=lambda row: inf if isnan(row["val_loss"]) else row["val_loss"])

    def is_best(self) -> bool:
        """Return whether the newest epoch has the lowest validation loss so far."""
        return self.best() is self.rows[-1] and not isnan(self.rows[-1]["val_loss"])

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint keeps."""
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.rows = state_dict["rows"]


FIGURES = ("train_loss", "val_loss", "val_accuracy", "val_macro_f1")


def lacks_new_lowest(losses: list[float], patience: int) -> bool:
    """Return whether the last `patience` epochs brought no new lowest loss (study, stop on loss)."""
    numbers = [inf if isnan(loss) else loss for loss in losses]
    return len(numbers) > patience and min(numbers[:-patience]) <= min(numbers[-patience:])


def has_levelled_off(accuracies: list[float], patience: int, threshold: float, smoothing: float) -> bool:
    """Return whether the smoothed accuracy rose by no more than `threshold` over the last `patience` epochs.

    Smoothed: exponential moving average that weighs the newest epoch with `smoothing` (study, stop on accuracy).
    """
    smoothed = exponential_moving_average(accuracies, smoothing)
    return len(smoothed) > patience and smoothed[-1] - smoothed[-1 - patience] <= threshold


class Stop(Callback):
    """Ends training by the rule of conf/stop; looks at the history only, so that a resumed run ends where it should."""

    def __init__(self, settings: StopSettings, history: History) -> None:
        self.settings, self.history = settings, history

    def reason(self) -> str | None:
        """Return why training should end now, or None."""
        patience, threshold = self.settings.patience, self.settings.threshold
        match self.settings.rule:
            case StopRule.loss if lacks_new_lowest(self.history.column("val_loss"), patience):
                return f"{patience} epochs without a new lowest validation loss"
            case StopRule.accuracy if has_levelled_off(
                self.history.column("val_accuracy"), patience, threshold, self.settings.smoothing
            ):
                return f"smoothed accuracy rose by no more than {threshold:.1%} in {patience} epochs"
        return None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """A run that was interrupted after its last epoch has nothing left to do."""
        trainer.should_stop = self.reason() is not None

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop after this epoch if the rule says so."""
        trainer.should_stop = trainer.should_stop or self.reason() is not None


class RunFiles(Checkpoint):
    """Writes metrics, predictions and checkpoints after each epoch, last.ckpt at the very end: it vouches for the rest.

    Lightning runs callbacks of this base class last, when the schedule has been stepped. Its own ModelCheckpoint
    remembers absolute paths, which breaks a run that is moved.
    """

    def __init__(self, folder: Path, history: History, validation: Catalogue, checkpoints: bool) -> None:
        self.folder, self.history, self.validation, self.checkpoints = folder, history, validation, checkpoints

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the epoch's files."""
        assert isinstance(pl_module, Classifier)
        if trainer.is_global_zero:
            directory.write_metrics(self.folder, self.history.rows)
        if self.history.is_best():
            if trainer.is_global_zero and pl_module.predictions is not None:
                self.write_predictions(pl_module.predictions)
            self.save(trainer, directory.BEST, weights_only=True)
        self.save(trainer, directory.LAST, weights_only=False)

    def write_predictions(self, made: Predictions) -> None:
        """Write the validation predictions of this epoch."""
        catalogue = self.validation.take(made.rows)
        write_predictions(self.folder, catalogue.ids, catalogue.classes, made.targets, made.probabilities)

    def save(self, trainer: Trainer, name: Path, weights_only: bool) -> None:
        """Write a checkpoint under a temporary name and rename it."""
        if not self.checkpoints:
            return
        file = self.folder / name
        temporary = file.with_suffix(".partial")
        trainer.save_checkpoint(temporary, weights_only)
        if trainer.is_global_zero:
            temporary.replace(file)
