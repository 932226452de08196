"""The figure of a confusion matrix."""

from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from kenyan13.metrics.classification import accuracy, row_shares
from kenyan13.plots.lettering import write
from kenyan13.plots.style import HEAD, MARGIN, panel, sheet, shortened, styled, text_width, widest

SHARES = 20  # classes up to which a cell has room for its share of the row
LARGEST = 30.0  # inches: the matrix is never larger
SMALLEST = 3.5  # points: smaller numbers are left out


@styled
def confusion_figure(counts: NDArray[np.int64], classes: Sequence[str], title: str = "") -> Figure:
    """Draw a confusion matrix: colours are shares of the row; texts are counts and, up to 20 classes, those shares.

    counts: int64 [k, k], rows are targets, columns are answers; classes: k names. Cells without images are empty.
    """
    k = len(classes)
    cell = min(LARGEST / k, 0.9 if k <= 4 else 0.46 if k <= SHARES else 0.22)
    points = max(5.0, min(9.0, cell * 72 * 0.62))
    names = shortened(classes)
    rows = [f"{name} ({n:,})" for name, n in zip(names, counts.sum(axis=1), strict=True)]
    left, below = widest(rows, points) + 0.42, widest(names, points) + 0.42
    side = k * cell
    width, height = max(left + side + 0.9, 5.4), below + side + HEAD + MARGIN
    total = int(counts.sum())
    right = f", accuracy {accuracy(counts):.1%}".replace("%", " %") if total else ""
    shown = "Colour and %: share of the row." if k <= SHARES else ""
    detail = f"{total:,} {'image' if total == 1 else 'images'}{right}. {shown}"
    figure = sheet(width, height, title, detail)
    axes = panel(figure, left, below, side, side)
    shares = row_shares(counts)
    axes.imshow(np.where(counts > 0, shares, np.nan), cmap="Blues", vmin=0, vmax=1, aspect="auto")
    _write(axes, counts, shares, cell)
    _name(axes, rows, names, cell, points)
    middle = ((left + side / 2) / width, (below + side / 2) / height)
    figure.text(MARGIN / width, middle[1], "Target (images)", rotation=90, va="center", fontsize=9.5)
    figure.text(middle[0], MARGIN / height, "Answer", ha="center", fontsize=9.5)
    if k > SHARES:
        _draw_scale(panel(figure, left + side + 0.15, below, 0.14, min(side, 4.0)))
    return figure


def _write(axes: Axes, counts: NDArray[np.int64], shares: NDArray[np.float64], cell: float) -> None:
    """Write the count of each cell that has one, and its share below where there is room."""
    k = len(counts)
    y, x = np.nonzero(counts)
    texts = [str(count) for count in counts[y, x]]
    with_share = k <= SHARES
    points = min(9.0, cell * 72 * (0.3 if with_share else 0.55))
    points = min(points, points * cell * 0.9 / max(widest(texts, points), 1e-9))
    if points < SMALLEST:
        return
    colours = np.where(shares[y, x] > 0.55, "white", "black")
    up = 0.62 * points if with_share else 0
    write(axes, x, y, texts, points, colours, shift=(0, up)).set_gid("counts")
    if with_share:
        shown = [f"{100 * share:.0f} %" for share in shares[y, x]]
        small = min(0.8 * points, 0.8 * points * cell * 0.9 / max(text_width("100 %", 0.8 * points), 1e-9))
        write(axes, x, y, shown, small, colours, shift=(0, -0.75 * points)).set_gid("shares")


def _name(axes: Axes, rows: Sequence[str], columns: Sequence[str], cell: float, points: float) -> None:
    """Name rows and columns, and rule the cells."""
    k = len(rows)
    every = int(np.ceil(points / 72 / cell))  # of hundreds of classes only some have room for their names
    axes.set_xticks([])
    axes.set_yticks([])
    named = np.arange(0, k, every)
    edge = np.full(len(named), -0.5)
    write(axes, edge, named, rows[::every], points, "black", "right", (-4, 0)).set_gid("rows")
    write(axes, named, k + edge, columns[::every], points, "black", "right", (0, -4), upright=True).set_gid("columns")
    edges = np.arange(k + 1) - 0.5
    axes.hlines(edges, -0.5, k - 0.5, colors="#bbbbbb", linewidths=0.4, clip_on=False)
    axes.vlines(edges, -0.5, k - 0.5, colors="#bbbbbb", linewidths=0.4, clip_on=False)
    axes.set(xlim=(-0.5, k - 0.5), ylim=(k - 0.5, -0.5))
    axes.spines[:].set_visible(False)


def _draw_scale(axes: Axes) -> None:
    """Draw what the colours mean."""
    axes.imshow(np.linspace(0, 1, 64)[:, None], cmap=colormaps["Blues"], aspect="auto", origin="lower")
    axes.grid(visible=False)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    write(axes, np.full(3, 0.5), [-0.5, 31.5, 63.5], ["0", "50", "100"], 9, "black", "left", (4, 0))
    write(axes, [0.5], [31.5], ["Share of row (%)"], 9, shift=(33, 0), upright=True)
