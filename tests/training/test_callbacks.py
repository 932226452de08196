"""The stop rules of the study, stepped through by hand, and the history that they look at."""

import math
from types import SimpleNamespace
from typing import Any

import pytest

from kenyan13.training.callbacks import History
from kenyan13.training.stopping import StopOnAccuracy, StopOnLoss, StopRule


def stopping_epoch(stop: StopRule, name: str, values: list[float]) -> int | None:
    """Return the epoch (from 1) after which training stops when the metric takes these values."""
    history = History()
    trainer: Any = SimpleNamespace(should_stop=False, callbacks=[history, stop])
    for epoch, value in enumerate(values, start=1):
        history.rows.append({"epoch": epoch, "val_loss": 1.0, "val_accuracy": 0.5, name: value})
        stop.on_train_epoch_end(trainer, None)  # type: ignore[arg-type]
        if trainer.should_stop:
            return epoch
    return None


LOSSES = [
    ([3, 2, 1, 1.5, 1.4, 1.3], 3, 6),  # lowest in epoch 3, then three without a lower one
    ([3, 2, 1, 1, 1, 1], 3, 6),  # an equal one is not a new lowest
    ([3, 2, 1, 1.5, 1.4, 0.9, 2, 2], 3, None),  # a new lowest just in time
    ([3, 2, 1, 1.5, 1.4, 0.9, 2, 2, 2], 3, 9),
    ([1, 2], 1, 2),
    ([2, 1, math.nan, math.nan], 2, 4),  # what is no number is no new lowest
]


@pytest.mark.parametrize(("losses", "patience", "expected"), LOSSES)
def test_stop_on_loss(losses: list[float], patience: int, expected: int | None) -> None:
    assert stopping_epoch(StopOnLoss(patience), "val_loss", losses) == expected


def test_stop_on_accuracy_by_hand() -> None:
    # smoothed with alpha 0.3:  0.20  0.32  0.404  0.4628  0.48396  0.491772
    accuracies = [0.2, 0.6, 0.6, 0.6, 0.5333333333333333, 0.51]
    rule = StopOnAccuracy(patience=2, threshold=0.1, smoothing=0.3)
    # rise over two epochs:      -     -   0.204  0.1428  0.07996  -> stops after epoch 5
    assert stopping_epoch(rule, "val_accuracy", accuracies) == 5
    rule.threshold = 0.0799
    # epoch 5 rises by more than that; epoch 6 by 0.491772 - 0.4628 = 0.028972
    assert stopping_epoch(rule, "val_accuracy", accuracies) == 6
    rule.patience = 5
    rule.threshold = 0.3
    # first possible after epoch 6: 0.491772 - 0.2 = 0.291772
    assert stopping_epoch(rule, "val_accuracy", accuracies) == 6


def test_stop_on_accuracy_with_the_studys_numbers() -> None:
    rising = [0.3 + 0.002 * epoch for epoch in range(11)]  # two points in ten epochs, less when smoothed
    assert stopping_epoch(StopOnAccuracy(), "val_accuracy", rising) == 11
    assert stopping_epoch(StopOnAccuracy(), "val_accuracy", [0.3 + 0.01 * epoch for epoch in range(11)]) is None


def test_nothing_stops_before_the_first_epoch() -> None:
    assert StopOnLoss(1).reason(History()) is None
    assert StopOnAccuracy(1).reason(History()) is None


def test_best_epoch_is_the_first_of_equals_and_a_number() -> None:
    history = History()
    history.rows = [{"epoch": k, "val_loss": loss} for k, loss in enumerate([math.nan, 2.0, 1.0, 1.0])]
    assert not history.is_best()
    history.rows.pop()
    assert history.is_best()
    history.rows = [{"epoch": 0, "val_loss": math.nan}]
    assert not history.is_best()
