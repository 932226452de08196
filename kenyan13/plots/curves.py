"""Figures of a run's class probabilities: precision-recall curves, and how well confidence tells accuracy."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from numpy.typing import NDArray

from kenyan13.metrics.classification import Reliability, average_precision, precision_recall
from kenyan13.plots.lettering import bars, name_axes, rule, write
from kenyan13.plots.style import (
    COLOURS,
    HEAD,
    LINES,
    MARGIN,
    OURS,
    STUDY,
    panel,
    sheet,
    shortened,
    styled,
    widest,
)

SIDE, LEFT, BELOW = 4.0, 0.7, 0.55  # inches: the panel of the curves and its margins
ALL, HARDEST = 10, 6  # classes up to which every curve has its own look; how many have one where there are more
Curve = tuple[NDArray[np.float64], NDArray[np.float64]]

OTHER = "#b0b0b0"  # curves that are not told apart
PERCENTS = range(0, 101, 20)  # where axes in percent have their lines
PALE = "#b3d5ea"  # bars that lines cross
ROW, TALLEST, POINTS = 0.21, 24, 9.0  # the list of classes: inches and number of its rows; points of its letters


@styled
def precision_recall_figure(
    targets: NDArray[np.int64], probabilities: NDArray[np.float64], classes: Sequence[str], title: str = ""
) -> Figure:
    """Draw each class's precision-recall curve, one class against the rest, with its average precision.

    targets: int64 [n], 0 to classes - 1; probabilities: float64 [n, classes], 0..1. The classes are listed from the
    lowest average precision on. Of more than 10, the 6 lowest are drawn in colours, the others in thin grey. Classes
    without images have no curve.
    """
    there = [k for k in range(len(classes)) if (targets == k).any()]
    curves = {k: precision_recall(targets == k, probabilities[:, k]) for k in there}
    found = {k: average_precision(*curve) for k, curve in curves.items()}
    order = sorted(there, key=found.__getitem__)
    names = shortened(classes)
    rows = [f"{100 * found[k]:5.1f}".replace(" ", "\u2007") + f"  {names[k]}" for k in order]
    columns = [rows[start : start + TALLEST] for start in range(0, len(rows), TALLEST)]
    widths = [widest(column, POINTS) + 0.6 for column in columns]
    height = HEAD + max(SIDE + BELOW, ROW * (len(columns[0]) if columns else 0) + 0.3)
    left_out = [names[k] for k in range(len(classes)) if k not in found]
    said = f" No images, no curve: {', '.join(left_out)}." if left_out else ""
    mean = f"mean {np.mean(list(found.values())):.1%}".replace("%", " %") if found else "none"
    width = max(LEFT + SIDE + sum(widths) + 3 * MARGIN, 7.0)
    coloured = f" Coloured: the {HARDEST} lowest." if len(order) > ALL else ""
    figure = sheet(width, height, title, f"Average precision: {mean}.{coloured}{said}")
    axes = panel(figure, LEFT, height - HEAD - SIDE, SIDE, SIDE)
    looks = [_look(rank, len(order)) for rank in range(len(order))]
    _draw_curves(axes, [curves[k] for k in order], looks)
    at = LEFT + SIDE + 2 * MARGIN
    figure.text(
        (at + 0.42) / width, (height - HEAD - 0.07) / height, "Average precision (%)", va="center", fontsize=POINTS
    )
    for place, (column, wide) in enumerate(zip(columns, widths, strict=True)):
        _list(panel(figure, at, 0, wide, height - HEAD), column, looks[place * TALLEST :][: len(column)])
        at += wide
    return figure


def _draw_curves(axes: Axes, curves: Sequence[Curve], looks: Sequence[tuple[str, str, float]]) -> None:
    """Draw curves (precision, recall) with their looks, the first ones above the others."""
    for rank, ((precision, recall), (colour, line, wide)) in enumerate(zip(curves, looks, strict=True)):
        (drawn,) = axes.step(100 * recall, 100 * precision, where="pre", color=colour)
        drawn.set(linestyle=line, linewidth=wide, zorder=3 - rank / len(curves))
    axes.set(xlim=(0, 101), ylim=(0, 102))
    rule(axes, PERCENTS, PERCENTS)
    name_axes(axes, "Recall (%)", "Precision (%)")


def _look(rank: int, curves: int) -> tuple[str, str, float]:
    """Return colour, line style and width of the curve with that rank, from the lowest average precision."""
    if curves > ALL and rank >= HARDEST:
        return OTHER, "-", 0.8
    return COLOURS[rank % len(COLOURS)], LINES[rank % len(LINES)], 1.7


def _list(axes: Axes, rows: Sequence[str], looks: Sequence[tuple[str, str, float]]) -> None:
    """List classes with their average precision and a sample of their line; axes in inches from the top."""
    width, height = axes.get_position().size * axes.get_figure(root=True).get_size_inches()  # type: ignore[union-attr]
    axes.set(xlim=(0, width), ylim=(height, 0))
    axes.set_axis_off()
    places = 0.3 + ROW * np.arange(len(rows))
    write(axes, np.full(len(rows), 0.42), places, rows, POINTS, "black", "left").set_gid("classes")
    samples = [[(0.0, place), (0.36, place)] for place in places]
    colours, lines, widths = zip(*looks, strict=True)
    axes.add_collection(LineCollection(samples, colors=colours, linestyles=list(lines), linewidths=widths))


@styled
def reliability_figure(found: Reliability, error: float, title: str = "") -> Figure:
    """Draw accuracy by bins of confidence, its gap to the mean confidence hatched, and below the number of images.

    found: from `measures.classification.reliability`; error: its expected calibration error, 0..1.
    """
    width, height = 5.2, 5.4
    detail = f"Expected calibration error: {error:.1%}; {int(found.count.sum()):,} images.".replace("%", " %")
    figure = sheet(width, height, title, detail)
    wide = width - LEFT - 2 * MARGIN
    above = panel(figure, LEFT, 1.75, wide, height - HEAD - 1.75 - 0.22)
    below = panel(figure, LEFT, BELOW, wide, 0.9)
    there = found.count > 0
    left, bins = 100 * found.edges[:-1][there], 100 * np.diff(found.edges)[there]
    accuracy, confidence = 100 * found.accuracy[there], 100 * found.confidence[there]
    bars(above, left, bins, np.zeros(len(left)), accuracy, facecolors=PALE, edgecolors=OURS, label="Accuracy")
    gap: dict[str, Any] = {"hatch": "////", "facecolors": "none", "edgecolors": STUDY, "linewidths": 1.2}
    low, high = np.minimum(accuracy, confidence), np.maximum(accuracy, confidence)
    bars(above, left, bins, low, high, label="Gap to mean confidence", **gap)
    above.plot([0, 100], [0, 100], color="black", linestyle="--", linewidth=1, label="Accuracy = confidence")
    above.legend(loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=3, borderpad=0, columnspacing=1, handlelength=1.6)
    above.set(xlim=(0, 100), ylim=(0, 102))
    bars(below, left, bins, np.zeros(len(left)), found.count[there], facecolors="#999999", edgecolors="white")
    below.set(xlim=(0, 100), ylim=(0, 1.3 * max(1, found.count.max())))
    counts = [str(count) for count in found.count[there]]
    points = min(7.5, 7.5 * 0.27 / max(widest(counts, 7.5), 0.1))
    write(below, left + bins / 2, found.count[there], counts, points, shift=(0, 6)).set_gid("counts")
    rule(above, PERCENTS, PERCENTS, label_x=False)
    rule(below, PERCENTS, [])
    name_axes(above, "", "Accuracy (%)")
    name_axes(below, "Confidence (%)", "Images")
    return figure
