"""The figure of a run's losses: both over the epochs, and how far they part (overfitting)."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator
from numpy.typing import NDArray

from kenyan13.metrics.losses import exponential_moving_average, lowest, overfitting_line
from kenyan13.plots.lettering import name_axes, rule
from kenyan13.plots.style import COLOURS, GREY, HEAD, MARGIN, MARKERS, compact, panel, sheet, styled

ALPHA = 0.3  # of the moving average (study, What is measured)
MANY = 60  # epochs from which on markers would hide the lines
WIDTH, HEIGHT, LEFT = 8.0, 5.0, 0.85  # inches
NAME = "Validation loss / training loss"
Numbers = NDArray[np.float64]


@styled
def loss_figure(train: Sequence[float], validation: Sequence[float], title: str = "") -> Figure:
    """Draw training and validation loss over the epochs from 1, and below the ratio of validation to training loss.

    Faint: the losses; strong: their exponential moving average (0.3). The lowest validation loss is marked and named.
    Through the ratios goes their least-squares line, whose slope is the study's overfitting metric; it is left out with
    one epoch, or where a ratio is no finite number. Losses that are no finite numbers are left out, and counted.
    """
    losses = [np.asarray(values, dtype=np.float64) for values in (train, validation)]
    missing = sum(int((~np.isfinite(values)).sum()) for values in losses)
    left_out = f"; {missing} values that are not finite are left out" if missing else ""
    detail = f"Faint: each epoch. Strong: exponential moving average ({ALPHA}). Circle: the lowest epoch{left_out}."
    figure = sheet(WIDTH, HEIGHT, title, detail)
    above = panel(figure, LEFT, 2.0, WIDTH - LEFT - 2 * MARGIN, HEIGHT - HEAD - 0.25 - 2.0)
    below = panel(figure, LEFT, 0.5, WIDTH - LEFT - 2 * MARGIN, 1.2)
    _draw_losses(above, losses)
    _draw_ratio(below, *losses)
    epochs = len(losses[0])
    step = next((step for step in (1, 2, 5, 10, 20, 50, 100, 200) if epochs <= 10 * step), 1 + epochs // 10)
    for axes in (above, below):
        axes.set_xlim(0.5, epochs + 0.5)
        shown = [1] if epochs == 1 else range(step, epochs + 1, step)
        rule(axes, shown, _levels(axes), label_x=axes is below)
    name_axes(above, "", "Loss (log scale)" if above.get_yscale() == "log" else "Loss", 0.62)
    name_axes(below, "Epoch", "Ratio", 0.62)
    return figure


def _levels(axes: Axes) -> list[float]:
    """Return at which values a panel has its horizontal lines; none where it shows no value."""
    low, high = axes.get_ylim()
    if not np.isfinite(axes.dataLim.intervalx).all():  # nothing was drawn
        return []
    if axes.get_yscale() == "log":
        return list(LogLocator(subs=(1, 2, 5) if high < 1000 * low else (1,)).tick_values(low, high))
    return list(MaxNLocator(6 if axes.get_position().height > 0.3 else 4).tick_values(low, high))


def _draw_losses(axes: Axes, losses: Sequence[Numbers]) -> None:
    """Draw training and validation loss, their moving averages, and the lowest validation loss, with a legend above."""
    shown = []
    for place, values in enumerate(losses):
        there = np.isfinite(values)
        epochs, known = np.arange(1, len(values) + 1)[there], values[there]
        marker = MARKERS[place] if len(values) <= MANY else None
        axes.plot(epochs, known, color=COLOURS[place], alpha=0.4, linewidth=0.9, marker=marker, markersize=3.5)
        smooth = exponential_moving_average(known.tolist(), ALPHA)
        name = ("Training", "Validation")[place]
        lines = axes.plot(epochs, smooth, color=COLOURS[place], linestyle=("--", "-")[place], linewidth=2, label=name)
        lines[0].set(marker=MARKERS[place], markersize=4.5, markevery=max(1, len(epochs) // 20))
        shown += lines
    validation = np.where(np.isfinite(losses[1]), losses[1], np.nan)
    if np.isfinite(validation).any():
        best = lowest(validation.tolist())
        name = f"Lowest validation loss: {validation[best]:.4g} (epoch {best + 1})"
        ring: dict[str, Any] = {"marker": "o", "markersize": 11, "markerfacecolor": "none", "markeredgewidth": 1.6}
        shown += axes.plot([best + 1], [validation[best]], color="black", linestyle="", label=name, zorder=4, **ring)
    values = np.concatenate(losses)
    values = values[np.isfinite(values)]
    if len(values) and values.min() > 0 and values.max() > 100 * values.min():
        axes.set_yscale("log")  # one epoch that went wrong would flatten all others
    axes.legend(handles=shown, loc="lower left", bbox_to_anchor=(-0.01, 1.0), ncols=3, borderpad=0, handlelength=3)


def _draw_ratio(axes: Axes, train: Numbers, validation: Numbers) -> None:
    """Draw validation / training loss over epochs, the line through them, and its slope as the panel's title."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = validation / train
    epochs, there = np.arange(1, len(ratio) + 1), np.isfinite(ratio)
    marker = "D" if len(ratio) <= MANY else None
    axes.plot(epochs[there], ratio[there], color=GREY, linewidth=0.9, marker=marker, markersize=3.5)
    axes.axhline(1, color="black", linewidth=0.8, linestyle=":")
    if there.sum() < 2 or not there.all():
        why = "with one epoch" if len(ratio) < 2 else "where a ratio is not finite"
        axes.set_title(f"{NAME}: no line {why}", fontsize=9)
    else:
        slope, start = overfitting_line(train.tolist(), validation.tolist())
        axes.plot(epochs, start + slope * (epochs - 1), color=COLOURS[2], linestyle="-.", linewidth=2)
        shown = ("+" if slope >= 0 else "") + compact(float(f"{slope:.3g}"))
        axes.set_title(f"{NAME}: overfitting {shown} per epoch (slope of the line)", fontsize=9)
