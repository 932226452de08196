"""What a person sees while a run trains: a bar over an epoch's batches, and a line for each epoch that has ended."""

from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import TQDMProgressBar
from tqdm.auto import tqdm as Bar

from kenyan13.training.callbacks import History, find_callback
from kenyan13.training.display import console, epoch_line


class EpochBar(TQDMProgressBar):
    """Lightning's bar, counting epochs from 1 as the lines do, and gone when the epoch has ended."""

    def __init__(self, refresh_rate: int = 1) -> None:
        super().__init__(refresh_rate, leave=False)

    def on_train_epoch_start(self, trainer: Trainer, *args: Any) -> None:
        """Begin a bar over training batches."""
        super().on_train_epoch_start(trainer, *args)
        self.train_progress_bar.set_description(f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}")

    def get_metrics(
        self, trainer: Trainer, pl_module: LightningModule
    ) -> dict[str, int | str | float | dict[str, float]]:
        """Show the rate instead of the logger's version."""
        return {"lr": f"{trainer.optimizers[0].param_groups[0]['lr']:.1e}"} if trainer.optimizers else {}


class EpochLines(Callback):
    """Prints the metrics of each epoch in a line, above the bar."""

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print."""
        history = find_callback(trainer, History)
        if trainer.is_global_zero:
            with Bar.external_write_mode():
                console.print(epoch_line(history.rows, trainer.max_epochs or 0, history.is_best()))
