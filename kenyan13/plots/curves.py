"""Plots of a run's class probabilities: precision-recall curves, and how well confidence tells accuracy."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, precision_recall_curve

from kenyan13.metrics.classification import Reliability
from kenyan13.plots.style import COLOURS, LINES, OURS, PALE, STUDY, new_figure, short, styled

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
