"""What a person sees in the terminal while a run trains and when it ends."""

import logging
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import TQDMProgressBar
from torch import nn
from tqdm.auto import tqdm as Bar

from kenyan13.config.settings import Keep, Layout
from kenyan13.data.datamodule import ImageDataModule
from kenyan13.metrics.classification import standard_error, wilson
from kenyan13.model.freezing import Freeze, parameter_counts
from kenyan13.model.linear import Fitted
from kenyan13.runs.result import Result
from kenyan13.terminal import align, console, duration, fit
from kenyan13.training.callbacks import History, find_callback

LEVEL_NAMES = ("head", "group 1 (last)", "group 2", "group 3", "group 4", "group 5 (first)")


def print_start(
    folder: Path, data: ImageDataModule, network: nn.Module, freeze: Callback | None, resumed: bool, brief: bool
) -> None:
    """Print what is going to be trained on what, how many parameters of each layer group train, and for how long.

    brief: no more than a line or two, for one run of many.
    """
    again = "  (going on where it stopped)" if resumed else ""
    if brief:
        console.print(f"\n{folder.name}{again}", style="bold")
        return
    settings = data.settings
    if settings.data.layout is Layout.demo:
        console.print("\nSynthetic drawings: the metrics say nothing about photographs.", style="yellow")
    model = settings.model
    weights = fit(Path(model.weights).name, 30) if model.weights else "pretrained" if model.pretrained else "none"
    console.print(f"\n{model.backbone}  {model.crop} px, batch {model.batch_size}, weights: {weights}", style="bold")
    train, validation = len(data.train.catalogue), data.validation_images
    console.print(f"{train:,} training and {validation:,} validation images of {len(data.classes)} classes")
    if isinstance(freeze, Freeze):
        print_levels(network, freeze)
    if epochs := settings.trainer.get("max_epochs") or 0:
        steps = -(-train // model.batch_size)
        rate = f"{settings.optim['lr']:g}" if isinstance(settings.optim.get("lr"), int | float) else "its own"
        console.print(f"{epochs} epochs of {steps:,} steps, {epochs * steps:,} in all; learning rate {rate}")
    console.print(f"Run directory: {folder}{again}")
    best = "lowest validation loss" if settings.keep is Keep.loss else "the epoch to keep"
    console.print(f"\n* {best} so far", style="dim")


def print_levels(network: nn.Module, freeze: Freeze) -> None:
    """Print how many parameters each level has, and which levels train."""
    rows, counts = [("layers", "level", "parameters", "train")], parameter_counts(network)
    for level, count in enumerate(counts):
        later = [epoch for epoch, reached in freeze.unfreeze if reached >= level]
        trains = "yes" if level <= freeze.level else f"from epoch {later[0] + 1}" if later else "no"
        rows.append((LEVEL_NAMES[level], f"pt{level}", f"{count:,}", trains))
    console.print(align(rows, right=(2,)))
    total, trainable = sum(counts), sum(counts[: freeze.level + 1])
    console.print(f"{trainable:,} of {total:,} parameters train ({trainable / total:.1%})")
    if freeze.features == "cached":
        views = "one view" if freeze.views == 1 else f"{freeze.views} views"
        console.print(f"The frozen backbone's features are computed once, of {views} of each image")


class EpochBar(TQDMProgressBar):
    """Lightning's bar, counting epochs from 1 as the lines do, and gone when the epoch has ended."""

    def on_train_epoch_start(self, trainer: Trainer, *args: Any) -> None:
        """Begin a bar over training batches."""
        super().on_train_epoch_start(trainer, *args)
        self.train_progress_bar.set_description(f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}")

    def get_metrics(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, Any]:
        """Show the rate instead of the logger's version."""
        return {"lr": f"{trainer.optimizers[0].param_groups[0]['lr']:.1e}"} if trainer.optimizers else {}


class EpochLines(Callback):
    """Prints the metrics of each epoch in a line of at most 80 columns, above the bar, with the time that is left.

    A star marks the epoch to keep, of those so far; `print_start` says so.
    """

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print."""
        if trainer.is_global_zero:
            print_epoch(find_callback(trainer, History), trainer.max_epochs or 0)


def print_epoch(history: History, epochs: int) -> None:
    """Print the newest row of the history, of an epoch of so many."""
    row, mark = history.rows[-1], "*" if history.is_best() else " "
    seconds = [one["seconds"] for one in history.rows if one["epoch"]]
    left = (epochs - len(seconds)) * sum(seconds) / max(1, len(seconds))
    losses = f"train {row['train_loss']:.4f}  val {row['val_loss']:.4f}{mark}"
    shares = f"acc {row['val_accuracy']:>5.1%}  F1 {row['val_macro_f1']:.3f}"
    more = f"  {duration(left)} left" if left else ""
    with Bar.external_write_mode():
        console.print(f"epoch {row['epoch']:>3}/{epochs}  {losses}  {shares}{more}")


def print_head(fitted: Fitted, targets: NDArray[np.int64]) -> None:
    """Print how good the linear classifier is on images that it was not fitted to."""
    accuracy = float((fitted.out_of_fold.argmax(axis=1) == targets).mean())
    low, high = wilson(accuracy, len(targets))
    interval = f"95 % interval {low:.1%} to {high:.1%}"
    console.print(f"Linear head, strength {fitted.strength:g}; out of fold, on {len(targets):,} training images:")
    console.print(f"accuracy {accuracy:.1%} ({interval}), log loss {fitted.log_loss:.4f}")


def print_end(folder: Path, result: Result, before: bool = False, brief: bool = False) -> None:
    """Print the summary of a finished run and what can be done with it; brief: no more than a line."""
    if brief:
        again = "had finished before: " if before else "finished: "
        metrics = f"val loss {result.min_val_loss:.4f}, accuracy {result.accuracy:.2%} in epoch {result.best_epoch}"
        console.print(f"{folder.name}\n  {again}{metrics}, {duration(result.seconds)}")
        return
    error = standard_error(result.accuracy, result.validation_images)
    slope = "-" if result.overfitting is None else f"{result.overfitting:.4f}"
    again = "This run has finished before (to train again: another name=, or remove it)"
    console.print("\n" + (again if before else "Finished"), style="bold")
    lines = {
        "validation loss": f"{result.min_val_loss:.4f}  in epoch {result.best_epoch} of {result.epochs}",
        "accuracy there": f"{result.accuracy:.2%}  (standard error {error:.2%}: {result.validation_images:,} images)",
        "macro F1 there": f"{result.macro_f1:.3f}",
        "overfitting": f"{slope}  (rise of validation / training loss an epoch)",
        "training time": f"{duration(result.seconds)} on {result.device}",
        "ended by": result.stopped,
        "run directory": str(folder),
    }
    for name, value in lines.items():
        console.print(f"{name:<24}{value}")


HINTS = (  # beginnings or parts of warnings
    "does not have many workers", "This DataLoader will create", "number of training batches",
    "in eval mode at the start", "LeafSpec", "treespec", "sync_dist=True", "all_gather is deprecated",
    "`srun` command is available",
)  # fmt: skip


def quiet_libraries() -> None:
    """Keep hints of the libraries out of the terminal that are about settings made here on purpose."""
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    logging.getLogger("pytorch_lightning.profilers").setLevel(logging.INFO)  # trainer.profiler=simple asks for its text
    for name in ("pytorch_lightning.loggers.mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")  # it sets its own loggers when it is imported
    for hint in HINTS:
        warnings.filterwarnings("ignore", message=f".*{hint}.*")
