"""When training ends early: the study's two rules, as callbacks for conf/stop.

They look at the history only, so that a resumed run ends where it would have ended.
"""

from collections.abc import Sequence
from math import inf, isnan

from pytorch_lightning import Callback, LightningModule, Trainer

from kenyan13.metrics.losses import exponential_moving_average
from kenyan13.training.callbacks import History, find_callback


def lacks_new_lowest(losses: Sequence[float], patience: int) -> bool:
    """Return whether the last `patience` epochs brought no new lowest loss (study, stop on loss)."""
    numbers = [inf if isnan(loss) else loss for loss in losses]
    return len(numbers) > patience and min(numbers[:-patience]) <= min(numbers[-patience:])


def has_levelled_off(accuracies: Sequence[float], patience: int, threshold: float, smoothing: float) -> bool:
    """Return whether the smoothed accuracy rose by no more than `threshold` over the last `patience` epochs.

    Smoothed: exponential moving average that weighs the newest epoch with `smoothing` (study, stop on accuracy).
    """
    smoothed = exponential_moving_average(accuracies, smoothing)
    return len(smoothed) > patience and smoothed[-1] - smoothed[-1 - patience] <= threshold


class StopRule(Callback):
    """Ends training after an epoch for which `reason` gives one."""

    def reason(self, history: History) -> str | None:
        """Return why training should end now, or None."""
        raise NotImplementedError

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """A run that was interrupted after its last epoch has nothing left to do."""
        trainer.should_stop = self.reason(find_callback(trainer, History)) is not None

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop after this epoch where the rule is met."""
        trainer.should_stop = trainer.should_stop or self.reason(find_callback(trainer, History)) is not None


class StopOnLoss(StopRule):
    """Stops after `patience` epochs, 1 or more, without a new lowest validation loss."""

    def __init__(self, patience: int = 15) -> None:
        self.patience = patience

    def reason(self, history: History) -> str | None:
        """Return why training should end now, or None."""
        ends = lacks_new_lowest(history.column("val_loss"), self.patience)
        return f"{self.patience} epochs without a new lowest validation loss" if ends else None


class StopOnAccuracy(StopRule):
    """Stops when the smoothed validation accuracy rose by no more than `threshold` (0..1) over `patience` epochs."""

    def __init__(self, patience: int = 10, threshold: float = 0.02, smoothing: float = 0.3) -> None:
        self.patience, self.threshold, self.smoothing = patience, threshold, smoothing

    def reason(self, history: History) -> str | None:
        """Return why training should end now, or None."""
        ends = has_levelled_off(history.column("val_accuracy"), self.patience, self.threshold, self.smoothing)
        return (
            f"smoothed accuracy rose by no more than {self.threshold:.1%} in {self.patience} epochs" if ends else None
        )
