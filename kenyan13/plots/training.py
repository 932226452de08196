"""Plots of training: losses and accuracy over its epochs, and over the values of a setting, such as the rate."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from kenyan13.metrics.losses import lowest, outliers, overfitting_line
from kenyan13.plots.style import (
    COLOURS,
    GREY,
    MARKERS,
    OURS,
    PALE,
    RING,
    STUDY,
    new_figure,
    set_log_ticks,
    short,
    styled,
)

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


FEW = 5  # runs of which none is an outlier
Maybe = Sequence[float | None]


@styled
def sweep_plot(
    setting: str, values: Sequence[float], losses: Maybe, auc_losses: Maybe, accuracies: Maybe, study_best: float | None
) -> Figure:
    """Draw lowest loss, sum of losses and accuracy (0..1) of runs over a setting's values, in three panels.

    values: in any order; the axis is logarithmic where all are above 0 and their range is tenfold. None and NaN are
    left out. Outliers (modified z-score above 3.5) lie outside the limits, and an arrow at the edge tells their value.
    Vertical lines: the value with the lowest loss, and `study_best`, the study's.
    """
    order = np.argsort(values)
    xs = np.asarray(values, dtype=np.float64)[order]
    log = len(xs) > 0 and xs[0] > 0 and xs[-1] >= 10 * xs[0]
    known = [np.array(metric, dtype=np.float64)[order] for metric in (losses, auc_losses, accuracies)]
    figure = new_figure(7.5, 6.4)
    panels = list(figure.subplots(3, 1, sharex=True))
    panels[0].xaxis.set_major_formatter("{x:g}")
    if log:
        panels[0].set_xscale("log")
        set_log_ticks(panels[0].xaxis, xs[0], xs[-1])
    for k, name in enumerate(("Lowest loss", "AUC loss", "Accuracy (%)")):
        _draw_metric(panels[k], xs, known[k] * (100 if k == 2 else 1), name, k)
    panels[-1].set_xlabel(short(setting, 60) + (" (log scale)" if log else ""))
    lines = [] if study_best is None else [(study_best, STUDY, "--", f"Best of the study: {study_best:.3g}")]
    if np.isfinite(known[0]).any():
        ours = float(xs[np.argmin(np.where(np.isfinite(known[0]), known[0], np.inf))])
        lines.insert(0, (ours, "black", "-", f"Lowest loss: at {ours:.3g}"))
    for axes in panels:
        shown = [axes.axvline(x, color=c, linestyle=s, linewidth=1.3, label=text, zorder=1) for x, c, s, text in lines]
    if lines:
        figure.legend(handles=shown, loc="outside lower left", ncols=2, borderpad=0)
    return figure


@styled
def range_test_plot(rates: Sequence[float], losses: Numbers, smoothed: Numbers, suggested: float) -> Figure:
    """Draw the training loss at rates that rise from step to step; the suggested one is marked and named.

    Faint: each step; strong: smoothed. Losses far above the first are outside the limits.
    """
    figure = new_figure(7.5, 4.2)
    axes = figure.add_subplot()
    axes.plot(rates, losses, color=PALE, label="Loss of each step")
    axes.plot(rates, smoothed, color=OURS, label="Smoothed")
    axes.axvline(suggested, color="black", linewidth=1.3, label=f"Suggested: {suggested:.1e}")
    low, high = float(np.min(losses)), float(np.max(losses[: max(1, len(losses) // 4)]))
    axes.set(xscale="log", xlabel="Learning rate (log scale)", ylabel="Training loss")
    set_log_ticks(axes.xaxis, rates[0], rates[-1])
    axes.set_ylim(low - 0.1 * (high - low), high + 0.3 * (high - low) + 1e-9)
    figure.legend(loc="outside lower left", ncols=3, borderpad=0)
    return figure


def _draw_metric(axes: Axes, xs: Numbers, values: Numbers, name: str, k: int) -> None:
    """Draw one metric; its best value is ringed, and named above the panel.

    Outside the limits are outliers above the others, farther than these are apart. The study left out outliers on both
    sides; but what is better than usual is what the plot is looked at for.
    """
    there = ~np.isnan(values)
    xs, values = xs[there], values[there]
    axes.set_ylabel(name)
    if not np.isfinite(values).any():
        axes.set_title("No value")
        axes.set_yticks([])
        return
    sign = -1 if name.startswith("Accuracy") else 1  # high accuracies and low losses are good
    best = int(np.argmin(np.where(np.isfinite(values), sign * values, np.inf)))
    far = ~np.isfinite(values)
    if len(values) > FEW:
        bad = outliers(values) & (sign * values > np.median(sign * values))
        rest = sign * values[~bad]
        far = bad & (sign * values > rest.max() + (rest.max() - rest.min()))
    axes.plot(xs[~far], values[~far], color=COLOURS[(0, 2, 3)[k]], marker=MARKERS[k], markersize=5)
    axes.plot([xs[best]], [values[best]], **RING)
    shown = f"Highest {values[best]:.1f} %" if sign < 0 else f"Lowest {values[best]:.4g}"
    axes.set_title(f"{shown} at {xs[best]:.3g}" + (". Arrows: outliers" if far.any() else ""))
    low, high = values[~far].min(), values[~far].max()
    room = 0.12 * (high - low) or 0.05 * abs(high) or 1.0
    axes.set_ylim(low - room, high + room)
    axes.yaxis.set_major_formatter("{x:g}")
    for x, value in zip(xs[far], values[far], strict=True):
        up = bool(value > high)
        at = axes.get_xaxis_transform()  # x in values, y in parts of the panel
        axes.plot([x], [float(up)], "^" if up else "v", color="black", transform=at, clip_on=False, markersize=6)
        va = "top" if up else "bottom"
        axes.text(x, 0.93 if up else 0.07, f"{value:.3g}", transform=at, rotation=90, fontsize=8, ha="center", va=va)
