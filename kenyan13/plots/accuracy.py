"""Plots of the accuracy of many runs: against their size or time, and one below the other."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kenyan13.metrics.classification import wilson
from kenyan13.plots.style import COLOURS, MARKERS, OURS, STUDY, new_figure, set_log_ticks, short, styled

FAMILIES = 20  # named in the legend
APART = (0.35, 0.06)  # of the panel's width and height: names that are closer would overlap


@dataclass(frozen=True)
class Point:
    """A run: its name, its place on the x axis, its accuracy (0..1) on that many images, and its model's family."""

    name: str
    x: float
    accuracy: float
    images: int
    family: str


def front(points: Sequence[Point]) -> list[Point]:
    """Return the points that no other beats, by x: none as far left has a higher accuracy."""
    found: list[Point] = []
    for point in sorted(points, key=lambda point: (point.x, -point.accuracy)):
        if not found or point.accuracy > found[-1].accuracy:
            found.append(point)
    return found


@styled
def scatter_plot(points: Sequence[Point], x_label: str) -> Figure:
    """Draw accuracy against x, above 0, on a logarithmic axis, with 95 % Wilson intervals.

    The grey line is the Pareto front; the runs on it are named, as far as there is room.
    """
    figure = new_figure(7.5, 4.6)
    axes = figure.add_subplot()
    best = front(points)
    xs, ys = [point.x for point in best], [100 * point.accuracy for point in best]
    axes.step(xs, ys, where="post", color="#aaaaaa", linewidth=1, zorder=1)
    for rank, family in enumerate(dict.fromkeys(point.family for point in points)):
        own = [point for point in points if point.family == family]
        colour, marker = COLOURS[rank % len(COLOURS)], MARKERS[(rank + rank // len(COLOURS)) % len(MARKERS)]
        xs, ys = [point.x for point in own], [100 * point.accuracy for point in own]
        lows, highs = 100 * np.array([wilson(point.accuracy, point.images) for point in own]).T
        axes.vlines(xs, lows, highs, colors=colour, linewidths=0.7, alpha=0.45, zorder=1)
        axes.plot(xs, ys, marker, color=colour, markersize=6.5, markeredgecolor="white", label=short(family))
    axes.set_xscale("log")
    set_log_ticks(axes.xaxis, min(point.x for point in points), max(point.x for point in points))
    axes.margins(x=0.12)
    axes.set(xlabel=f"{x_label}, log scale", ylabel="Accuracy (%)")
    axes.set_title("Thin lines: 95 % Wilson intervals. Named: runs that none beats further left.")
    _name(axes, best)
    handles, labels = axes.get_legend_handles_labels()
    if len(labels) > 1:
        figure.legend(handles[:FAMILIES], labels[:FAMILIES], loc="outside right upper", borderpad=0, handlelength=1)
    return figure


def _name(axes: Axes, points: Sequence[Point]) -> None:
    """Name points of the front above and left of them, where no point is; the highest first, none over another."""
    axes.autoscale_view()  # so that it is known where points lie
    to_panel = axes.transScale + axes.transLimits
    named = np.zeros((0, 2))
    for point in reversed(points):
        place = point.x, 100 * point.accuracy
        at = to_panel.transform(place)
        if not (np.abs(named - at) < APART).all(axis=1).any():
            named = np.vstack([named, at])
            look: dict[str, Any] = {"ha": "right" if at[0] > 0.3 else "center", "va": "bottom", "fontsize": 8}
            axes.annotate(short(point.name, 26), place, (-4, 3), textcoords="offset points", **look)


@styled
def interval_plot(
    names: Sequence[str], accuracies: Sequence[float], images: Sequence[int], study: Sequence[float | None] = ()
) -> Figure:
    """Draw accuracies (0..1) with 95 % Wilson intervals one below the other, in the given order.

    images: on how many each was measured, at least 1; study: its values (0..1) as hollow diamonds, None for none.
    """
    figure = new_figure(7.5, 1.2 + 0.25 * len(names))
    axes = figure.add_subplot()
    rows = np.arange(len(names))
    values = 100 * np.asarray(accuracies, dtype=np.float64)
    spans = 100 * np.array([wilson(*pair) for pair in zip(accuracies, images, strict=True)]).reshape(-1, 2)
    axes.hlines(rows, spans[:, 0], spans[:, 1], colors=OURS, linewidths=1.4)
    axes.plot(values, rows, "o", color=OURS, markersize=6, label="Ours")
    for row, value in enumerate(values):
        axes.text(1.02, row, f"{value:.1f}", transform=axes.get_yaxis_transform(), va="center")
    axes.set_title("Lines: 95 % Wilson intervals. On the right: accuracy in %.")
    if study:
        known = [(100 * value, row) for row, value in enumerate(study) if value is not None]
        xs, ys = np.array(known).reshape(-1, 2).T
        axes.plot(xs, ys, "D", color=STUDY, label="Study", markersize=7, markerfacecolor="none", markeredgewidth=1.6)
        figure.legend(loc="outside lower left", ncols=2, borderpad=0)
    axes.set_yticks(rows, [short(name, 36) for name in names])
    axes.set(ylim=(len(names) - 0.5, -0.5), xlabel="Accuracy (%)")
    axes.tick_params(axis="y", length=0)
    return figure
