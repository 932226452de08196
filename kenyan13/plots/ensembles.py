"""Figures of ensembles: accuracy by number of models, and how far the models agree."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from kenyan13.metrics.statistics import standard_error
from kenyan13.plots.style import COLOURS, GREY, HEAD, LINES, MARGIN, MARKERS, OURS, STUDY, panel, sheet, styled

WAYS = {
    "AP": "AP: sum of probabilities",
    "MP": "MP: highest single probability",
    "V1": "V1: vote, ties to the most accurate",
    "V2": "V2: vote, ties to the highest probability",
}
STUDY_IMAGES = 1308  # on which the study measured its ensembles: its validation images
LEFT, WIDE, BELOW, HIGH = 0.7, 3.5, 0.55, 3.4  # inches
PALE = "#b3d5ea"


@styled
def ensemble_figure(
    models: Sequence[int],
    accuracies: Mapping[str, Sequence[float | None]],
    study: Mapping[str, Sequence[float]] | None,
    images: int,
    title: str = "",
) -> Figure:
    """Draw the accuracy of ensembles by number of models: ours, and beside it the study's on the same axis.

    accuracies, study: by way of combining (AP, MP, V1, V2), 0..1, one value for each of `models`; None is left out.
    images: on how many ours were measured, at least 1. Bands: one standard error around the best value.
    """
    both = [(f"Ours, {images:,} images", accuracies, images)]
    if study is not None:
        both.append((f"Study, {STUDY_IMAGES:,} images", study, STUDY_IMAGES))
    width = LEFT + len(both) * (WIDE + 0.3) + MARGIN
    figure = sheet(width, HEAD + 0.75 + HIGH + BELOW, title, "Grey bands: one standard error around the best value.")
    drawn: list[Axes] = []
    for place, (name, values, number) in enumerate(both):
        axes = panel(figure, LEFT + place * (WIDE + 0.3), BELOW, WIDE, HIGH)
        if drawn:
            axes.sharey(drawn[0])
            axes.tick_params(labelleft=False)
        drawn.append(axes)
        axes.set_title(name)
        axes.set_xlabel("Models")
        axes.xaxis.set_major_locator(MaxNLocator(12, integer=True, min_n_ticks=1))
        _draw_ways(axes, models, values, number)
    drawn[0].set_ylabel("Accuracy (%)")
    handles, labels = drawn[0].get_legend_handles_labels()
    if handles:
        top = (HIGH + BELOW + 0.75) / (HEAD + 0.75 + HIGH + BELOW)
        anchor = ((LEFT - 0.1) / width, top)
        columns = 2 if len(both) == 2 else 1
        figure.legend(handles, labels, loc="upper left", bbox_to_anchor=anchor, ncols=columns, borderpad=0)
    return figure


def _draw_ways(axes: Axes, models: Sequence[int], values: Mapping[str, Sequence[float | None]], images: int) -> None:
    """Draw a line for each way of combining, and the band of one standard error of the best value."""
    known = {
        way: [(n, value) for n, value in zip(models, values[way], strict=False) if value is not None and value == value]
        for way in WAYS
        if way in values
    }
    for place, (way, label) in enumerate(WAYS.items()):
        if points := known.get(way):
            look: dict[str, Any] = {
                "color": COLOURS[place],
                "marker": MARKERS[place],
                "linestyle": LINES[place],
                "markersize": 5.5,
            }
            numbers, shares = zip(*points, strict=True)
            axes.plot(numbers, [100 * share for share in shares], label=label, **look)
    every = [share for points in known.values() for _, share in points]
    if every:
        best, error = 100 * max(every), 100 * standard_error(max(every), images)
        axes.axhspan(best - error, best + error, color="#e6e6e6", zorder=0)
        axes.axhline(best, color=GREY, linewidth=0.8, linestyle=":", zorder=1)


@styled
def vote_figure(tallies: NDArray[np.int64], runs: int, right: NDArray[np.bool_] | None, title: str = "") -> Figure:
    """Draw for how many images the winning class got 1 to `runs` votes.

    tallies: int64 [n], the votes of each image's winning class, 1 to runs; right: bool [n], which winning classes are
    the target, or None where it is not known: bars are then split, and the share that is right stands above them.
    """
    votes = np.arange(1, runs + 1)
    total = np.bincount(tallies, minlength=runs + 1)[1:]
    width, high = max(4.6, LEFT + 0.42 * runs + 2 * MARGIN), 2.8
    detail = f"{len(tallies):,} images; all {runs} votes for one class: {total[-1]:,}."
    if right is not None:
        detail = f"{len(tallies):,} images. Above the bars: share that is right, in %."
    figure = sheet(width, HEAD + 0.25 + high + BELOW, title, detail)
    axes = panel(figure, LEFT, BELOW, width - LEFT - 2 * MARGIN, high)
    if right is None:
        axes.bar(votes, total, color=PALE, edgecolor=OURS)
    else:
        good = np.bincount(tallies[right], minlength=runs + 1)[1:]
        axes.bar(votes, good, color=PALE, edgecolor=OURS, label="Right")
        axes.bar(votes, total - good, bottom=good, color="white", edgecolor=STUDY, hatch="////", label="Wrong")
        for n, images, share in zip(votes, total, good / np.maximum(total, 1), strict=True):
            if images:
                look: dict[str, Any] = {"textcoords": "offset points", "ha": "center", "fontsize": 9}
                axes.annotate(f"{100 * share:.0f}", (n, images), (0, 3), **look)
        axes.legend(loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=2, borderpad=0)
    axes.set(xlim=(0.4, runs + 0.6), ylim=(0, 1.1 * max(1, total.max())))
    axes.set(xlabel="Votes for the winning class", ylabel="Images")
    axes.xaxis.set_major_locator(MaxNLocator(16, integer=True, min_n_ticks=1))
    axes.yaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
    return figure
