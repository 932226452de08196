"""Metrics of losses over epochs; the study's own are marked so."""

from collections.abc import Sequence
from math import inf, isfinite, nan
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

OUTLIER = 3.5  # modified z-score above which a value is an outlier (study, What is measured)


def lowest(validation_losses: Sequence[float]) -> int:
    """Return the index, from 0, of the lowest validation loss: the first of equals; NaN is never the lowest.

    The study's "min loss" is the loss there, its "accuracy" the accuracy there (study, What is measured).
    """
    return int(pd.Series(validation_losses, dtype=float).fillna(inf).argmin())


def minimised(epochs: pd.DataFrame) -> "pd.Series[float]":
    """Return the validation losses of what is minimised: weighted where training weighs its loss, as in the study."""
    weighted = epochs.get("val_weighted_loss")
    return epochs["val_loss"] if weighted is None or weighted.isna().any() else weighted


def kept(epochs: pd.DataFrame, keep: str = "loss") -> int:
    """Return the index, from 0, of the epoch whose weights are kept, the first of equals.

    epochs: a row each, with the columns of metrics.csv; keep: one of kenyan13.config.settings.Keep. Of "last", it is
    the last epoch that is better than epoch 0, the head before training, by accuracy (of equal ones, by loss).
    """
    if keep == "last":
        scores = list(zip(epochs["val_accuracy"], -epochs["val_loss"], strict=True))
        better = [row for row in range(len(scores)) if epochs["epoch"].iloc[0] > 0 or scores[row] > scores[0]]
        return max(better, default=0)
    return lowest(minimised(epochs).tolist() if keep == "loss" else (-epochs[f"val_{keep}"]).tolist())


def overfitting_line(train_losses: Sequence[float], validation_losses: Sequence[float]) -> tuple[float, float]:
    """Return slope and start of the least-squares line through (epoch from 0, validation loss / training loss).

    Both are NaN with fewer than two epochs, and where a ratio is no finite number. Source: study, What is measured.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.divide(validation_losses, train_losses, dtype=np.float64)
    if len(ratio) < 2 or not np.isfinite(ratio).all():  # what the fit makes of these depends on numpy's build
        return nan, nan
    slope, start = np.polyfit(np.arange(len(ratio)), ratio, 1)
    return float(slope), float(start)


def of_epochs(epochs: pd.DataFrame, keep: str = "loss") -> dict[str, Any]:
    """Return what the epochs of a run come to, in the names of its result; None for what is no finite number.

    epochs, keep: see `kept`. Epoch 0, of a head that was fitted before training, counts in no sum over epochs.
    """
    row, trained = epochs.iloc[kept(epochs, keep)], epochs[epochs["epoch"] > 0]
    train, validation = trained["train_loss"].tolist(), minimised(trained).tolist()
    # AUC loss: the sum of the validation losses over epochs (study, What is measured)
    sums = {
        "weighted_loss": float(row.get("val_weighted_loss", nan)),
        "auc_loss": float(np.sum(validation)) if validation else nan,
        "overfitting": overfitting_line(train, validation)[0],
    }
    return {
        "min_val_loss": float(row["val_loss"]), "accuracy": float(row["val_accuracy"]),
        "macro_f1": float(row["val_macro_f1"]), "best_epoch": int(row["epoch"]), "epochs": len(trained),
        "seconds": round(float(epochs["seconds"].sum()), 1),
        **{name: value if isfinite(value) else None for name, value in sums.items()},
    }  # fmt: skip


def outliers(values: ArrayLike) -> NDArray[np.bool_]:
    """Return which values [n] are outliers, or are no number; bool [n].

    Outliers are 3.5 standard deviations or more from the median. That deviation is estimated as the median absolute
    deviation / 0.6745; where that is 0 (more than half of the values are equal), as 1.2533 x the mean absolute
    deviation. Source: the modified z-score of Iglewicz and Hoaglin, How to Detect and Handle Outliers (1993).
    """
    array = np.asarray(values, dtype=np.float64)
    found = ~np.isfinite(array)
    if not found.all():
        away = np.abs(array - np.median(array[~found]))
        near = away[~found]
        found |= away > OUTLIER * (np.median(near) / 0.6745 or 1.2533 * near.mean())
    return found
