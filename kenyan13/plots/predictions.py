"""Plots of a run's predictions: confusion matrix, precision-recall curves, how well confidence tells accuracy."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, precision_recall_curve

from kenyan13.metrics.classification import Reliability
from kenyan13.plots.style import COLOURS, LINES, OURS, PALE, STUDY, new_figure, short, styled

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


ALL, HARDEST = 10, 6  # classes up to which every curve has its own look; how many have one where there are more
OTHER = "#b0b0b0"  # curves that are not told apart
COLUMN = 20  # classes in a column of the legend


@styled
def precision_recall_plot(
    targets: NDArray[np.int64], probabilities: NDArray[np.float64], classes: Sequence[str]
) -> Figure:
    """Draw each class's precision-recall curve, one class against the rest, with its average precision.

    targets: int64 [n], 0 to classes - 1; probabilities: float64 [n, classes], 0..1. Of more than 10 classes, the 6 with
    the lowest average precision are drawn in colours. Classes without images have no curve.
    """
    there = [k for k in range(len(classes)) if (targets == k).any()]
    found = {k: 100 * float(average_precision_score(targets == k, probabilities[:, k])) for k in there}
    order = sorted(there, key=found.__getitem__)
    columns = -(-len(order) // COLUMN)
    figure = new_figure(5 + 2.2 * max(columns, 1), 4.6)
    axes = figure.add_subplot()
    for rank, k in enumerate(order):
        precision, recall, _ = precision_recall_curve(targets == k, probabilities[:, k])
        first = int((recall == 1).sum()) - 1  # from where all images of the class are in
        (line,) = axes.step(100 * recall[first:], 100 * precision[first:], where="post")
        line.set_label(f"{found[k]:.1f}  {short(classes[k])}")
        if len(order) > ALL and rank >= HARDEST:
            line.set(color=OTHER, linewidth=0.8, zorder=1)
        else:
            line.set(color=COLOURS[rank % len(COLOURS)], linestyle=LINES[rank % len(LINES)], zorder=3 - rank / 100)
    mean = f"mean {np.mean(list(found.values())):.1f} %" if found else "none"
    left_out = ", ".join(short(name) for k, name in enumerate(classes) if k not in found)
    coloured = f" Coloured: the {HARDEST} lowest." if len(order) > ALL else ""
    missing = f"\nNo images, no curve: {short(left_out, 70)}." if left_out else ""
    axes.set_title(f"Average precision: {mean}.{coloured}{missing}")
    axes.set(xlim=(0, 101), ylim=(0, 102), xlabel="Recall (%)", ylabel="Precision (%)")
    if order:
        figure.legend(title="Average precision (%)", loc="outside right upper", ncols=columns, borderpad=0)
    return figure


@styled
def reliability_plot(found: Reliability) -> Figure:
    """Draw accuracy by bins of confidence, its gap to the mean confidence hatched, and below the number of images.

    found: from `metrics.classification.reliability`.
    """
    figure = new_figure(6.2, 5.0)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    there = found.count > 0
    left, width = 100 * found.edges[:-1][there], 100 * np.diff(found.edges)[there]
    accuracy, confidence, count = 100 * found.accuracy[there], 100 * found.confidence[there], found.count[there]
    low, high = np.minimum(accuracy, confidence), np.maximum(accuracy, confidence)
    above.bar(left, accuracy, width, align="edge", color=PALE, edgecolor=OURS, label="Accuracy")
    above.bar(left, high - low, width, low, align="edge", fill=False, edgecolor=STUDY, hatch="////", label="Gap")
    above.plot([0, 100], [0, 100], color="black", linestyle="--", linewidth=1, label="Accuracy = confidence")
    above.set_title(f"Expected calibration error: {100 * found.error:.1f} %; {int(found.count.sum()):,} images.")
    above.set(xlim=(0, 100), ylim=(0, 102), ylabel="Accuracy (%)")
    below.bar_label(below.bar(left, count, width, align="edge", color="#999999", edgecolor="white"), fontsize=7)
    below.set(ylim=(0, 1.3 * max(1, found.count.max())), xlabel="Confidence (%)", ylabel="Images")
    figure.legend(loc="outside lower left", ncols=3, borderpad=0)
    return figure
