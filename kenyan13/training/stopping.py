"""When training ends early: the study's two rules, as callbacks for conf/stop.

They look at the history only, so that a resumed run ends where it would have ended.
"""

from math import inf

import pandas as pd
from pytorch_lightning import Callback, LightningModule, Trainer

from kenyan13.metrics.losses import minimised
from kenyan13.training.callbacks import History, find_callback


class StopRule(Callback):
    """Ends training after an epoch for which `reason` gives one."""

    def reason(self, history: History) -> str | None:
        """Return why training should end now, or None."""
        raise NotImplementedError

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop after this epoch where the rule is met."""
        trainer.should_stop = trainer.should_stop or self.reason(find_callback(trainer, History)) is not None


class StopOnLoss(StopRule):
    """Stops after `patience` epochs, 1 or more, without a new lowest validation loss (study, stop on loss)."""

    def __init__(self, patience: int = 15) -> None:
        self.patience = patience

    def reason(self, history: History) -> str | None:
        """Return why training should end now, or None."""
        losses = minimised(pd.DataFrame(history.rows)).fillna(inf).tolist() if history.rows else []
        if len(losses) <= self.patience or min(losses[: -self.patience]) > min(losses[-self.patience :]):
            return None
        return f"{self.patience} epochs without a new lowest validation loss"


class StopOnAccuracy(StopRule):
    """Stops when the smoothed validation accuracy rose by no more than `threshold` (0..1) over `patience` epochs.

    Smoothed: exponential moving average that weighs the newest epoch with `smoothing` (study, stop on accuracy).
    """

    def __init__(self, patience: int = 10, threshold: float = 0.02, smoothing: float = 0.3) -> None:
        self.patience, self.threshold, self.smoothing = patience, threshold, smoothing

    def reason(self, history: History) -> str | None:
        """Return why training should end now, or None."""
        accuracy = pd.Series([row["val_accuracy"] for row in history.rows])
        smoothed = accuracy.ewm(alpha=self.smoothing, adjust=False).mean().tolist()
        if len(smoothed) <= self.patience or smoothed[-1] - smoothed[-1 - self.patience] > self.threshold:
            return None
        return f"smoothed accuracy rose by no more than {self.threshold:.1%} in {self.patience} epochs"
