"""Plots of a run over its epochs: both losses, how far they part (overfitting), and accuracy."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from kenyan13.metrics.losses import lowest, overfitting_line
from kenyan13.plots.style import COLOURS, GREY, MARKERS, RING, new_figure, set_log_ticks, styled

ALPHA = 0.3  # of the moving average (study, What is measured)
MARKED = 20  # epochs, at most: more markers would hide the lines
RATIO = "Validation loss / training loss"
Numbers = NDArray[np.float64]


@styled
def loss_plot(
    train: Sequence[float], validation: Sequence[float], title: str = "", plain: Sequence[float] | None = None
) -> Figure:
    """Draw training and validation loss over the epochs from 1, and below the ratio of validation to training loss.

    Through the ratios goes their least-squares line, whose slope is the study's overfitting metric; it is left out with
    one epoch, or where a ratio is no finite number. Losses that are no finite numbers are left out, and counted.
    plain: the validation's plain cross entropy, where the other losses weigh classes.
    """
    losses = [np.asarray(values, dtype=np.float64) for values in (train, validation)]
    figure = new_figure(7.5, 4.8, title)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(2.4, 1))
    _draw_losses(above, losses)
    if plain:
        above.plot(range(1, len(plain) + 1), plain, color=GREY, linestyle=":", label="Validation, plain cross entropy")
    missing = sum(int((~np.isfinite(values)).sum()) for values in losses)
    left_out = f" {missing} values that are not finite are left out." if missing else ""
    above.set_title(f"Faint: each epoch. Strong: exponential moving average ({ALPHA}).{left_out}")
    _draw_ratio(below, *losses)
    _set_epochs(below, len(losses[0]))
    figure.legend(loc="outside lower left", ncols=3, borderpad=0, handlelength=3)
    return figure


@styled
def accuracy_plot(accuracies: Sequence[float], macro_f1: Sequence[float], best_epoch: int) -> Figure:
    """Draw validation accuracy and macro F1 (0..1) over the epochs from 1.

    best_epoch: the one that is kept, from 1, which is marked: the run's accuracy is the one there; 0 for none of them.
    """
    figure = new_figure(7.5, 3.4)
    axes = figure.add_subplot()
    for k, (name, values) in enumerate((("Accuracy", accuracies), ("Macro F1", macro_f1))):
        (line,) = axes.plot(np.arange(1, len(values) + 1), 100 * np.asarray(values), color=COLOURS[k], label=name)
        line.set(linestyle="-:"[k], marker=MARKERS[k], markevery=max(1, len(values) // MARKED))
    if best_epoch:
        best = 100 * accuracies[best_epoch - 1]
        axes.plot([best_epoch], [best], label=f"{best:.1f} % in the epoch that is kept ({best_epoch})", **RING)
    axes.set_ylabel("Accuracy, F1 (%)")
    _set_epochs(axes, len(accuracies))
    figure.legend(loc="outside lower left", ncols=3, borderpad=0)
    return figure


def _set_epochs(axes: Axes, epochs: int) -> None:
    axes.set(xlim=(0.5, epochs + 0.5), xlabel="Epoch")
    axes.xaxis.set_major_locator(MaxNLocator(12, integer=True, min_n_ticks=1))


def _draw_losses(axes: Axes, losses: Sequence[Numbers]) -> None:
    """Draw training and validation loss, their moving averages, and the lowest validation loss."""
    for k, values in enumerate(losses):
        there = np.isfinite(values)
        epochs, known = np.arange(1, len(values) + 1)[there], values[there]
        axes.plot(epochs, known, color=COLOURS[k], alpha=0.4, linewidth=0.9)
        smooth = pd.Series(known).ewm(alpha=ALPHA, adjust=False).mean()
        (line,) = axes.plot(epochs, smooth, color=COLOURS[k], linestyle=("--", "-")[k], linewidth=2)
        line.set(marker=MARKERS[k], markersize=4.5, markevery=max(1, len(epochs) // MARKED))
        line.set_label(("Training", "Validation")[k])
    validation = np.where(np.isfinite(losses[1]), losses[1], np.nan)
    if np.isfinite(validation).any():
        best = lowest(validation.tolist())
        name = f"Lowest validation loss: {validation[best]:.4g} (epoch {best + 1})"
        axes.plot([best + 1], [validation[best]], label=name, **RING)
    axes.set_ylabel("Loss")
    values = np.concatenate(losses)
    values = values[np.isfinite(values)]
    if len(values) and values.min() > 0 and values.max() > 100 * values.min():  # one bad epoch would flatten all others
        axes.set_yscale("log")
        axes.set_ylabel("Loss (log scale)")
        set_log_ticks(axes.yaxis, values.min(), values.max())


def _draw_ratio(axes: Axes, train: Numbers, validation: Numbers) -> None:
    """Draw validation / training loss over epochs, the line through them, and its slope as the panel's title."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = validation / train
    epochs, there = np.arange(1, len(ratio) + 1), np.isfinite(ratio)
    slope, start = overfitting_line(train.tolist(), validation.tolist())
    axes.plot(epochs[there], ratio[there], color=GREY, linewidth=0.9, marker=".")
    axes.axhline(1, color="black", linewidth=0.8, linestyle=":")
    axes.set_ylabel("Ratio")
    if np.isnan(slope):
        axes.set_title(f"{RATIO}: no line with one epoch, or where a ratio is not finite")
    else:
        axes.plot(epochs, start + slope * (epochs - 1), color=COLOURS[2], linestyle="-.", linewidth=2)
        axes.set_title(f"{RATIO}: overfitting {slope:+.3g} per epoch (slope of the line)")
