"""What happens around the epochs of a run: random state, history, and the files of the run directory."""

import os
import signal
from contextlib import nullcontext
from math import isnan, nan
from pathlib import Path
from time import perf_counter
from typing import Any, TypeVar

import pandas as pd
import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import Checkpoint
from torch import nn

from kenyan13.config.settings import Keep
from kenyan13.data.batches import seed_libraries
from kenyan13.data.sampling import generator
from kenyan13.errors import UserError, first_line
from kenyan13.metrics.losses import kept
from kenyan13.model.classifier import Predictions
from kenyan13.runs import directory
from kenyan13.runs.predictions import prediction_table, read_predictions, write_predictions
from kenyan13.runs.result import write_metrics
from kenyan13.terminal import print_note

DROPOUT = 3  # first number of the random key of what torch draws in an epoch; see kenyan13.data.sampling
C = TypeVar("C", bound=Callback)


def find_callback(trainer: Trainer, kind: type[C]) -> C:
    """Return the trainer's callback of a kind. Raises UserError where the run was configured without it."""
    found = [callback for callback in trainer.callbacks if isinstance(callback, kind)]  # type: ignore[attr-defined]
    if not found:
        raise UserError(f"This run has no callback {kind.__name__}.", "callbacks=[default,...] keeps what a run needs")
    return found[0]


def find_last(folder: Path, network: nn.Module) -> Path | None:
    """Return last.ckpt if a run can go on from it, and its other files are whole; None if it has to start again.

    Why is told in a line: damage is no reason to stop, as the same training gives the same bits.
    """
    last = folder / directory.LAST
    if not last.exists():
        return None
    problem = directory.checkpoint_problem(last) or directory.checkpoint_problem(folder / directory.BEST)
    try:
        if not problem:
            read_predictions(folder)
            state = torch.load(last, map_location="cpu", weights_only=True, mmap=True)
            _ = state["callbacks"], state["loops"], state["optimizer_states"]
            there = {name: value.shape for name, value in state["state_dict"].items()}
            if any(there.get(f"network.{name}") != value.shape for name, value in network.state_dict().items()):
                problem = f"{last} holds another network"
    except UserError as error:
        problem = error.problem
    except Exception as error:  # a file of something else
        problem = f"{last} is of something else: no {first_line(error)}"
    if problem:
        print_note(f"{problem}. Training starts again from the first epoch.")
    return None if problem else last


class EpochSeed(Callback):
    """Seeds torch, numpy and random from (seed, epoch, process) as an epoch starts: resuming needs no saved state."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        generator(DROPOUT, int(seed))  # raises ValueError for what is no seed

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """In a Slurm job, train on after SIGTERM, which comes some time before a node is taken back.

        A run that left by itself would have failed; one that is killed is queued again, or was cancelled.
        """
        if "SLURM_JOB_ID" in os.environ:
            signal.signal(signal.SIGTERM, lambda *_: print_note("Slurm is about to end this job: training goes on."))

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Seed for this epoch."""
        key = DROPOUT, self.seed, trainer.current_epoch, trainer.global_rank
        seed_libraries(int(generator(*key).integers(2**62)))


class History(Callback):
    """Keeps one row of metrics an epoch, through interruptions. keep: which epoch's weights are to be kept."""

    def __init__(self, keep: str = "loss") -> None:
        self.keep = Keep(keep).value
        self.rows: list[dict[str, float]] = []
        self.start = 0.0
        self.lr = 0.0

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note time and rate."""
        self.start = perf_counter()
        self.lr = float(trainer.optimizers[0].param_groups[0]["lr"])

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Add the epoch's row; validation has been made."""
        self.add(trainer, pl_module, trainer.current_epoch + 1, perf_counter() - self.start)
        row = self.rows[-1]
        ratio = row.get("val_weighted_loss", row["val_loss"]) / (row["train_loss"] or nan)
        pl_module.log_dict({"lr": self.lr, "loss_ratio": ratio})

    def add(self, trainer: Trainer, pl_module: LightningModule, epoch: int, seconds: float, **given: float) -> None:
        """Add the row of an epoch from what has been logged, and what is given."""
        logged = {**{name: float(value) for name, value in trainer.callback_metrics.items()}, **given}
        names = ["train_loss", "val_loss", *pl_module.metrics]  # type: ignore[misc]
        names += [name for name in ("val_weighted_loss",) if name in logged]
        absent = [name for name in names if name not in logged]
        if absent:
            raise UserError(
                f"Epoch {epoch} ended without {' and '.join(absent)}.",
                "leave out trainer.limit_val_batches, check_val_every_n_epoch, max_steps: every epoch is validated",
            )
        metrics = {name: logged[name] for name in names}
        self.rows.append({"epoch": epoch, **metrics, "lr": self.lr, "seconds": round(seconds, 3)})

    def is_best(self) -> bool:
        """Return whether the newest epoch is the one to keep, of those so far."""
        return kept(pd.DataFrame(self.rows), self.keep) == len(self.rows) - 1 and not isnan(self.rows[-1]["val_loss"])

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint keeps."""
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.rows = state_dict["rows"]


class RunFiles(Checkpoint):
    """Writes metrics, predictions and checkpoints after each epoch, last.ckpt at the very end: it vouches for the rest.

    Lightning runs callbacks of this base class last, when the schedule has been stepped. Its own ModelCheckpoint
    remembers absolute paths, which breaks a run that is moved.
    """

    def __init__(self, checkpoints: bool = True) -> None:
        self.checkpoints = checkpoints

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the epoch's files."""
        self.write(trainer, pl_module)
        self.save(trainer, Path(trainer.default_root_dir) / directory.LAST, weights_only=False)

    def write(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the metrics, and where the newest epoch is the best, its predictions and weights."""
        history, folder = find_callback(trainer, History), Path(trainer.default_root_dir)
        if trainer.is_global_zero:
            write_metrics(folder, history.rows)
        if history.is_best():
            if trainer.is_global_zero:
                made: Predictions = pl_module.predictions  # type: ignore[assignment]
                catalogue = trainer.datamodule.validation.catalogue.take(made.rows)  # type: ignore[attr-defined]
                table = prediction_table(catalogue.ids, catalogue.classes, made.probabilities, made.targets)
                write_predictions(folder / directory.VALIDATION, table)
            self.save(trainer, folder / directory.BEST, weights_only=True)

    def save(self, trainer: Trainer, file: Path, weights_only: bool) -> None:
        """Write a checkpoint; all processes have to call this, and the first one writes."""
        if not self.checkpoints:
            return
        with directory.replacing(file) if trainer.is_global_zero else nullcontext(file) as temporary:
            if not weights_only:
                trainer.save_checkpoint(temporary)
                return
            # Lightning would leave out callbacks, which put averaged weights in the place of the last
            checkpoint: dict[str, Any] = {"state_dict": trainer.strategy.lightning_module_state_dict()}
            for callback in trainer.callbacks:  # type: ignore[attr-defined]
                callback.on_save_checkpoint(trainer, trainer.lightning_module, checkpoint)
            trainer.lightning_module.on_save_checkpoint(checkpoint)
            state = checkpoint["state_dict"].items()
            weights = {name: value for name, value in state if not name.startswith("auxiliary.")}  # of training only
            trainer.strategy.save_checkpoint({"state_dict": weights, "classes": checkpoint["classes"]}, temporary)
