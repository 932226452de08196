"""The progress bar of an epoch: batches, loss, learning rate and the time that is left."""

from time import monotonic
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from kenyan13.training.display import console

REFRESH = 0.5  # seconds; reading the loss makes the host wait for the device, so it is not done at every step


class EpochBar(Callback):
    """Draws on the console that epoch lines are printed on, so that these appear above the bar.

    Lightning's own bars draw on a console of their own and count epochs from 0.
    """

    def __init__(self) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(30), MofNCompleteColumn(), TimeRemainingColumn())
        self.progress = Progress(*columns, TextColumn("{task.fields[figures]}"), console=console, transient=True)
        self.task = self.progress.add_task("", figures="", visible=False)
        self.shown = 0.0

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin a bar over training and validation batches."""
        total = trainer.num_training_batches + sum(trainer.num_val_batches)
        name = f"epoch {trainer.current_epoch + 1:>3}/{trainer.max_epochs}"
        self.progress.reset(self.task, total=total, description=name, figures="", visible=True)
        self.progress.start()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Move on; now and then, show loss and rate."""
        self.progress.advance(self.task)
        if monotonic() - self.shown >= REFRESH:
            self.shown = monotonic()
            rate = trainer.optimizers[0].param_groups[0]["lr"]
            self.progress.update(self.task, figures=f"loss {float(outputs['loss']):.4f}  lr {rate:.2e}")

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Move on."""
        self.progress.update(self.task, advance=1, figures="validation")

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the bar away."""
        self.progress.stop()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Take the bar away, so that the terminal is left in order."""
        self.progress.stop()
