"""Figures of the accuracy of many runs: against their size or time, and one below the other."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from numpy.typing import NDArray

from kenyan13.metrics.statistics import wilson
from kenyan13.plots.placing import FARTHEST, Box, place_labels
from kenyan13.plots.style import (
    COLOURS,
    GREY,
    HEAD,
    MARGIN,
    MARKERS,
    OURS,
    SMALL,
    STUDY,
    compact,
    fitted,
    panel,
    sheet,
    shortened,
    styled,
    text_width,
    widest,
)

LEFT, BELOW, WIDE, HIGH = 0.7, 0.55, 7.0, 4.8  # inches: of the scatter's panel
POINTS = 8.0  # of the names beside points
MARKER = 0.1  # inches: how wide a marker is
FAMILIES = 20  # named in the legend
ROW = 0.25  # inches a run of the figure of intervals


@dataclass(frozen=True)
class Point:
    """A run: its name, where it lies, its accuracy (0..1) on that many images, and the family of its model."""

    name: str
    x: float
    accuracy: float
    images: int
    family: str


def interval(accuracy: float, images: int) -> tuple[float, float]:
    """Return the 95 % Wilson interval of an accuracy (0..1) on that many images, in percent."""
    low, high = wilson(round(accuracy * images), images)
    return 100 * low, 100 * high


def front(points: Sequence[Point]) -> list[int]:
    """Return the places of points to which no other is better: none as far left has a higher accuracy, by x."""
    best, found = -np.inf, []
    for place in sorted(range(len(points)), key=lambda place: (points[place].x, -points[place].accuracy)):
        if points[place].accuracy > best:
            best = points[place].accuracy
            found.append(place)
    return found


@styled
def scatter_figure(points: Sequence[Point], x_label: str, title: str = "", log: bool = True) -> Figure:
    """Draw accuracy against x, such as millions of parameters (above 0 where the axis is logarithmic) or minutes.

    Thin lines are 95 % Wilson intervals; colour and marker tell families apart. Every point is named where the names
    fit; otherwise those of the Pareto front are, and a note says so. The front is the thin grey line.
    """
    families = list(dict.fromkeys(point.family for point in points))
    legend = shortened(families, 20)
    width, height = LEFT + WIDE + 0.45 + max(widest(legend, SMALL), 1.0) + MARGIN, HEAD + HIGH + BELOW
    box = (LEFT / width, BELOW / height, WIDE / width, HIGH / height)
    best = front(points)
    placed, note = _named(points, best, log)
    figure = sheet(
        width,
        height,
        title,
        f"Thin lines: 95 % Wilson intervals. Grey line: no other is both further left and higher. {note}",
    )
    axes = panel(figure, LEFT, BELOW, WIDE, HIGH)
    _set_axes(axes, points, log)
    axes.set(xlabel=fitted(x_label, WIDE - 1, 9.5) + (", log scale" if log else ""), ylabel="Accuracy (%)")
    line = [(points[place].x, 100 * points[place].accuracy) for place in best]
    axes.step(*np.array(line or np.zeros((0, 2))).T, where="post", color="#aaaaaa", linewidth=1, zorder=1)
    shown = [_draw_family(axes, points, family, rank) for rank, family in enumerate(families)]
    _write_names(axes, points, placed)
    names = [*legend[:FAMILIES], *(["…"] if len(families) > FAMILIES else [])]
    anchor = (box[0] + box[2] + 0.02, box[1] + box[3])
    figure.legend(shown[: len(names)], names, loc="upper left", bbox_to_anchor=anchor, borderpad=0, handlelength=1)
    return figure


def _limits(points: Sequence[Point], log: bool) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return the limits of x, as they are, and of accuracy in percent, with room for names."""
    xs = np.array([point.x for point in points] or [1.0])
    spans = np.array([interval(point.accuracy, point.images) for point in points] or [(0.0, 100.0)])
    low, high = (np.log10(xs) if log else xs).min(), (np.log10(xs) if log else xs).max()
    room = 0.08 * (high - low) or (0.3 if log else 0.1 * abs(high) or 1.0)
    ends = (low - room, high + room)
    room = 0.05 * float(spans.max() - spans.min())
    x = (float(10 ** ends[0]), float(10 ** ends[1])) if log else (float(ends[0]), float(ends[1]))
    return x, (float(spans.min()) - room, float(spans.max()) + room)


def _set_axes(axes: Axes, points: Sequence[Point], log: bool) -> None:
    x, y = _limits(points, log)
    if log:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if x[1] < 1000 * x[0] else (1,)))
        axes.xaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: compact(value)))
    axes.set(xlim=x, ylim=y)


def _inches(points: Sequence[Point], log: bool) -> NDArray[np.float64]:
    """Return where points lie in the panel, float64 [n, 2], inches from its lower left corner."""
    x, y = _limits(points, log)
    xs, ends = np.array([point.x for point in points]), np.array(x)
    if log:
        xs, ends = np.log10(xs), np.log10(ends)
    ys = np.array([100 * point.accuracy for point in points])
    return np.column_stack([(xs - ends[0]) / (ends[1] - ends[0]) * WIDE, (ys - y[0]) / (y[1] - y[0]) * HIGH])


def _named(points: Sequence[Point], best: Sequence[int], log: bool) -> tuple[dict[int, Box], str]:
    """Return the boxes of the names that are written, by the place of their point, and the note about them."""
    if not points:
        return {}, "No runs."
    at = _inches(points, log)
    names = shortened([point.name for point in points], 26)
    sizes = [(text_width(name, POINTS), POINTS * 1.1 / 72) for name in names]
    order = [*best, *(place for place in range(len(points)) if place not in set(best))]
    placed = place_labels(at, sizes, order, MARKER, (WIDE, HIGH))
    if len(placed) == len(points):
        return placed, ""
    placed = place_labels(at, sizes, best, MARKER, (WIDE, HIGH), FARTHEST)
    some = "" if len(placed) == len(best) else ", as far as there is room"
    return placed, f"Named: runs on the front{some}."


def _draw_family(axes: Axes, points: Sequence[Point], family: str, rank: int) -> Line2D:
    """Draw a family's points and intervals; return what stands for it in the legend."""
    own = [point for point in points if point.family == family]
    xs, ys = [point.x for point in own], [100 * point.accuracy for point in own]
    colour, marker = COLOURS[rank % len(COLOURS)], MARKERS[(rank + rank // len(COLOURS)) % len(MARKERS)]
    lows, highs = zip(*[interval(point.accuracy, point.images) for point in own], strict=True)
    axes.vlines(xs, lows, highs, colors=colour, linewidths=0.7, alpha=0.45, zorder=1)
    (line,) = axes.plot(xs, ys, color=colour, marker=marker, linestyle="", markersize=6.5, markeredgecolor="white")
    return line


def _write_names(axes: Axes, points: Sequence[Point], placed: dict[int, Box]) -> None:
    """Write names, each in its box, with a thin line to its point where that is not beside it."""
    names = shortened([point.name for point in points], 26)
    for place, box in placed.items():
        point = points[place]
        corner = (box.left / WIDE, (box.low + box.high) / 2 / HIGH)
        white = {"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 0.3}
        axes.text(*corner, names[place], transform=axes.transAxes, fontsize=POINTS, va="center_baseline", bbox=white)
        if box.far:
            near = np.clip(box.anchor, (box.left, box.low), (box.right, box.high)) / (WIDE, HIGH)
            line = {"arrowstyle": "-", "color": GREY, "linewidth": 0.6, "shrinkA": 3, "shrinkB": 0}
            axes.annotate(
                "", (near[0], near[1]), (point.x, 100 * point.accuracy), "axes fraction", "data", arrowprops=line
            )


@styled
def interval_figure(
    names: Sequence[str],
    accuracies: Sequence[float],
    images: Sequence[int],
    title: str = "",
    study: Sequence[float | None] | None = None,
) -> Figure:
    """Draw accuracies (0..1) with 95 % Wilson intervals one below the other, in the given order.

    images: on how many each was measured, at least 1; study: its values (0..1) as hollow diamonds, None for none.
    """
    rows = shortened(names, 36)
    left, wide, ends = widest(rows, 9) + 0.25, 4.6, 0.75
    head = HEAD + (0.3 if study is not None else 0.1)
    high = max(ROW * len(names), ROW)
    width, height = max(left + wide + ends, 5.0), head + high + BELOW
    figure = sheet(width, height, title, "Lines: 95 % Wilson intervals. On the right: ours, in %.")
    axes = panel(figure, left, BELOW, wide, high)
    places = np.arange(len(names))
    values = 100 * np.asarray(accuracies, dtype=np.float64)
    spans = np.array([interval(*pair) for pair in zip(accuracies, images, strict=True)]).reshape(-1, 2)
    axes.hlines(places, spans[:, 0], spans[:, 1], colors=OURS, linewidths=1.4)
    axes.plot(values, places, "o", color=OURS, markersize=6, label="Ours")
    for place, value in enumerate(values):
        axes.text(1.02, place, f"{value:.1f}", transform=axes.get_yaxis_transform(), fontsize=9, va="center_baseline")
    if study is not None:
        known = [(100 * value, place) for place, value in enumerate(study) if value is not None]
        look: dict[str, Any] = {
            "markersize": 7,
            "markerfacecolor": "none",
            "markeredgewidth": 1.6,
            "linestyle": "",
            "zorder": 3,
        }
        axes.plot(*np.array(known or np.zeros((0, 2))).T, marker="D", color=STUDY, label="Study", **look)
        axes.legend(loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=2, borderpad=0)
    axes.set_yticks(places, rows)
    axes.set(ylim=(len(names) - 0.5, -0.5), xlabel="Accuracy (%)")
    axes.tick_params(axis="y", length=0)
    return figure
