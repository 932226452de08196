"""The plot of a confusion matrix."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from kenyan13.plots.style import new_figure, short, styled

SHARES, COUNTS = 20, 60  # classes up to which cells have room for the share of the row, and for the count
LARGEST = 30.0  # inches: the matrix is never larger


@styled
def confusion_plot(counts: NDArray[np.int64], classes: Sequence[str], title: str = "") -> Figure:
    """Draw a confusion matrix: colours are shares of the row; texts are counts and, up to 20 classes, those shares.

    counts: int64 [k, k], rows are targets, columns are predictions; classes: k names. Cells without images are empty.
    """
    k, total = len(classes), int(counts.sum())
    cell = min(LARGEST / k, 0.9 if k <= 4 else 0.46 if k <= SHARES else 0.22)
    points = 8.0 if k <= SHARES else 5.0
    names = [short(name) for name in classes]
    around = 1.0 + 0.6 * points / 72 * max(map(len, names))  # inches: the names beside and below
    figure = new_figure(max(k * cell + around + 0.6, 4.0), k * cell + around + 0.4, title)
    axes = figure.add_subplot()
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    drawn = axes.imshow(np.where(counts > 0, shares, np.nan), cmap="Blues", vmin=0, vmax=1, aspect="auto")
    right = f", accuracy {100 * np.trace(counts) / total:.1f} %" if total else ""
    axes.set_title(f"{total:,} image{'s' * (total != 1)}{right}")
    named = range(0, k, int(np.ceil(points / 72 / cell)))  # of hundreds of classes some have room for their names
    images = counts.sum(axis=1)
    axes.set_yticks(named, [f"{names[i]} ({images[i]:,})" for i in named], fontsize=points)
    axes.set_xticks(named, [names[i] for i in named], fontsize=points, rotation=90)
    axes.set(xlabel="Prediction", ylabel="Target (images)")
    axes.tick_params(length=0)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    edges = np.arange(k + 1) - 0.5
    axes.hlines(edges, -0.5, k - 0.5, colors="#bbbbbb", linewidths=0.4)
    axes.vlines(edges, -0.5, k - 0.5, colors="#bbbbbb", linewidths=0.4)
    if k <= COUNTS:
        for row, column in np.argwhere(counts):
            share = shares[row, column]
            text = f"{counts[row, column]}\n{100 * share:.0f} %" if k <= SHARES else str(counts[row, column])
            written = axes.text(column, row, text, ha="center", va="center", linespacing=1.1, in_layout=False)
            written.set(fontsize=points if k > SHARES else 7.5, color="white" if share > 0.55 else "black")
    scale = figure.colorbar(drawn, ax=axes, shrink=min(1.0, 4 / (k * cell)), aspect=25, pad=0.02)
    scale.outline.set_visible(False)
    scale.set_ticks([0, 0.5, 1], labels=["0", "50", "100"])
    scale.set_label("Share of the row (%)")
    return figure
