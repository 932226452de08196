"""The figure of a search for the learning rate."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator
from numpy.typing import NDArray

from kenyan13.metrics.losses import outliers
from kenyan13.plots.style import (
    COLOURS,
    HEAD,
    MARGIN,
    MARKERS,
    STUDY,
    compact,
    panel,
    scientific,
    sheet,
    styled,
    text_width,
)

WIDTH, LEFT, BELOW, HIGH, PITCH = 7.6, 0.8, 0.55, 1.55, 1.95  # inches; of the panels: height, and from one to the next
POINTS = 8.0  # of the values of outliers
FEW = 5  # rates of which none is an outlier
Values = NDArray[np.float64]


@styled
def rate_figure(
    rates: Sequence[float],
    losses: Sequence[float | None],
    auc_losses: Sequence[float | None],
    accuracies: Sequence[float | None],
    title: str = "",
    study_best: float | None = None,
) -> Figure:
    """Draw lowest loss, sum of losses and accuracy (0..1) of runs over their learning rate, in three panels.

    rates: above 0, in any order; None and NaN are left out. The best value of each panel is marked and named; outliers
    (modified z-score above 3.5) lie outside the limits, and an arrow at the edge tells their value. Vertical lines:
    the rate with the lowest loss, and `study_best`, the rate that the study found best.
    """
    order = np.argsort(rates)
    sorted_rates = np.asarray(rates, dtype=np.float64)[order]
    panels = (("Lowest loss", losses, 1), ("AUC loss", auc_losses, 1), ("Accuracy (%)", accuracies, 100))
    height = HEAD + 0.5 + BELOW + 2 * PITCH + HIGH
    runs = f"{len(rates)} run{'s' * (len(rates) != 1)}"
    figure = sheet(WIDTH, height, title, f"{runs}. Arrows: outliers, beyond the limits, with their values.")
    wide = WIDTH - LEFT - 3 * MARGIN
    drawn = []
    for place, (name, values, scale) in enumerate(panels):
        axes = panel(figure, LEFT, BELOW + (2 - place) * PITCH, wide, HIGH)
        drawn.append(axes)
        axes.set_xscale("log")
        limits = (sorted_rates[0] / 1.3, sorted_rates[-1] * 1.3) if len(rates) else (1e-6, 1e-2)
        axes.set_xlim(min(limits[0], study_best or limits[0]), max(limits[1], study_best or limits[1]))
        known = np.array([np.nan if value is None else scale * value for value in values], dtype=np.float64)[order]
        _draw_values(axes, sorted_rates, known, name, place)
        axes.xaxis.set_major_locator(LogLocator())
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: scientific(value)))
        axes.tick_params(labelbottom=place == 2)
        axes.yaxis.set_label_coords(-0.6 / wide, 0.5)
    drawn[-1].set_xlabel("Learning rate (log scale)")
    _draw_rates(drawn, sorted_rates, np.array([np.nan if v is None else v for v in losses], float)[order], study_best)
    return figure


def _draw_values(axes: Axes, rates: Values, values: Values, name: str, place: int) -> None:
    """Draw one measure; its best value is ringed, and named above the panel."""
    there = ~np.isnan(values)
    rates, values = rates[there], values[there]
    axes.set_ylabel(name)
    if not np.isfinite(values).any():
        axes.set_title("No value", fontsize=9)
        axes.set_yticks([])
        return
    sign = -1 if name.startswith("Accuracy") else 1  # high accuracies and low losses are good
    best = int(np.argmin(np.where(np.isfinite(values), sign * values, np.inf)))
    far = _far_and_bad(sign * values)
    axes.plot(rates[~far], values[~far], color=COLOURS[(0, 2, 3)[place]], marker=MARKERS[place], markersize=5)
    ring: dict[str, Any] = {"marker": "o", "markersize": 11, "markerfacecolor": "none", "markeredgewidth": 1.6}
    axes.plot([rates[best]], [values[best]], color="black", linestyle="", zorder=4, **ring)
    shown = f"{values[best]:.1f} %" if sign < 0 else f"{values[best]:.4g}"
    word = "Highest" if sign < 0 else "Lowest"
    axes.set_title(f"{word} {shown} at {scientific(rates[best])}", fontsize=9)
    low, high = values[~far].min(), values[~far].max()
    room = 0.12 * (high - low) or 0.05 * abs(high) or 1.0
    axes.set_ylim(low - room, high + room)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: compact(value)))
    _draw_outliers(axes, rates[far], values[far], (low + high) / 2)


def _far_and_bad(losses: Values) -> NDArray[np.bool_]:
    """Return which values are left outside the limits: outliers above the others, farther than these are apart.

    The study left out outliers on both sides. But what is better than usual is what the figure is looked at for, and
    values close by do not hide the others.
    """
    far = outliers(losses) & (losses > np.median(losses))
    rest = losses[~far]
    return far & (losses > rest.max() + (rest.max() - rest.min())) if len(losses) > FEW else ~np.isfinite(losses)


def _draw_outliers(axes: Axes, rates: Values, values: Values, middle: float) -> None:
    """Draw an arrow at the edge for each value beyond the limits, with the value; close ones are staggered."""
    wide = axes.get_position().width * WIDTH
    low, high = np.log10(axes.get_xlim())
    ends = {1: [-np.inf] * 3, -1: [-np.inf] * 3}  # where texts of each row end, in inches, above and below
    for rate, value in zip(rates, values, strict=True):
        side = 1 if value > middle else -1
        edge = 1.0 if side > 0 else 0.0
        at = (np.log10(rate) - low) / (high - low) * wide
        arrow = "^" if side > 0 else "v"
        axes.plot(
            [rate], [edge], arrow, color="black", transform=axes.get_xaxis_transform(), clip_on=False, markersize=6
        )
        text = "∞" if np.isinf(value) else compact(float(f"{value:.3g}"))
        half = text_width(text, POINTS) / 2
        row = next((row for row in range(3) if ends[side][row] < at - half), 2)
        ends[side][row] = at + half + 0.04
        axes.annotate(
            text,
            (rate, edge),
            (0, -side * (5 + 10 * row)),
            xycoords=axes.get_xaxis_transform(),
            textcoords="offset points",
            ha="center",
            va="top" if side > 0 else "bottom",
            fontsize=POINTS,
        )


def _draw_rates(panels: Sequence[Axes], rates: Values, losses: Values, study_best: float | None) -> None:
    """Draw the rate with the lowest loss and the study's best rate through all panels, named in a legend."""
    lines = []
    if np.isfinite(losses).any():
        ours = float(rates[np.argmin(np.where(np.isfinite(losses), losses, np.inf))])
        lines.append((ours, "black", "-", f"Rate with the lowest loss: {scientific(ours)}"))
    if study_best is not None:
        lines.append((study_best, STUDY, "--", f"Best rate of the study: {scientific(study_best)}"))
    shown = []
    for axes in panels:
        shown = [
            axes.axvline(rate, color=colour, linestyle=line, linewidth=1.3, label=label, zorder=1)
            for rate, colour, line, label in lines
        ]
    if shown:
        figure = panels[0].get_figure(root=True)
        assert figure is not None
        top = (figure.get_size_inches()[1] - HEAD - 0.02) / figure.get_size_inches()[1]
        figure.legend(handles=shown, loc="upper left", bbox_to_anchor=((LEFT - 0.1) / WIDTH, top), ncols=2, borderpad=0)
