"""Plots of the study alone: ensembles by number of models, how far models agree, and epochs by loader processes."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from kenyan13.analysis import ensemble
from kenyan13.analysis.alignment import align
from kenyan13.metrics.statistics import standard_error
from kenyan13.plots.style import COLOURS, GREY, LINES, MARKERS, OURS, PALE, STUDY, new_figure, styled
from kenyan13.report.parts import Folder, Plot
from kenyan13.report.runs import results
from kenyan13.report.tables import Table
from kenyan13.runs.run import Run
from kenyan13.study.definitions import groups
from kenyan13.study.ensembles import ranked
from kenyan13.study.tables import STUDY_IMAGES

Shares = Mapping[str, Sequence[float | None]]
METHODS = {
    "AP": "AP: sum of probabilities",
    "MP": "MP: highest single probability",
    "V1": "V1: vote, ties to the most accurate",
    "V2": "V2: vote, ties to the highest probability",
}


@styled
def ensemble_plot(models: Sequence[int], accuracies: Shares, study: Shares, images: int) -> Figure:
    """Draw the accuracy of ensembles by number of models: ours, and beside it the study's on the same axis.

    accuracies, study: by method (AP, MP, V1, V2), 0..1, one value for each of `models`; None is left out. images: on
    how many ours were measured, at least 1. Bands: one standard error around the best value.
    """
    figure = new_figure(8.0, 4.4)
    panels, both = figure.subplots(1, 2, sharey=True), (("Ours", accuracies, images), ("Study", study, STUDY_IMAGES))
    for axes, (name, values, number) in zip(panels, both, strict=True):
        axes.set_title(f"{name}, {number:,} images. Band: one standard error")
        axes.set_xlabel("Models")
        axes.xaxis.set_major_locator(MaxNLocator(12, integer=True, min_n_ticks=1))
        _draw_methods(axes, models, values, number)
    panels[0].set_ylabel("Accuracy (%)")
    figure.legend(*panels[1].get_legend_handles_labels(), loc="outside lower left", ncols=2, borderpad=0)
    return figure


def _draw_methods(axes: Axes, models: Sequence[int], values: Shares, images: int) -> None:
    """Draw a line for each method, and the band of one standard error of the best value."""
    every: list[float] = []
    for k, (method, label) in enumerate(METHODS.items()):
        known = [(n, one) for n, one in zip(models, values.get(method, []), strict=False) if one is not None]
        every += [share for _, share in known]
        xs, ys = np.array(known).reshape(-1, 2).T
        axes.plot(xs, 100 * ys, color=COLOURS[k], marker=MARKERS[k], linestyle=LINES[k], markersize=5.5, label=label)
    if every:
        best, error = 100 * max(every), 100 * standard_error(max(every), images)
        axes.axhspan(best - error, best + error, color="#e6e6e6", zorder=0)
        axes.axhline(best, color=GREY, linewidth=0.8, linestyle=":", zorder=1)


@styled
def vote_plot(votes_won: NDArray[np.int64], runs: int, right: NDArray[np.bool_] | None) -> Figure:
    """Draw for how many images the winning class got 1 to `runs` votes.

    votes_won: int64 [n], the votes of each image's winning class, 1 to runs; right: bool [n], which winning classes are
    the target, or None where it is not known: bars are then split, and the share that is right stands above them.
    """
    votes = np.arange(1, runs + 1)
    total = np.bincount(votes_won, minlength=runs + 1)[1:]
    figure = new_figure(max(5.0, 1.0 + 0.42 * runs), 3.8)
    axes = figure.add_subplot()
    if right is None:
        axes.bar(votes, total, color=PALE, edgecolor=OURS)
        axes.set_title(f"{len(votes_won):,} images; all {runs} votes for one class: {total[-1]:,}.")
    else:
        good = np.bincount(votes_won[right], minlength=runs + 1)[1:]
        axes.bar(votes, good, color=PALE, edgecolor=OURS, label="Right")
        wrong = axes.bar(votes, total - good, bottom=good, color="white", edgecolor=STUDY, hatch="////", label="Wrong")
        shares = [f"{100 * one / images:.0f}" if images else "" for one, images in zip(good, total, strict=True)]
        axes.bar_label(wrong, shares, padding=3)
        axes.set_title(f"{len(votes_won):,} images. Above the bars: share that is right, in %.")
        figure.legend(loc="outside lower left", ncols=2, borderpad=0)
    axes.set(xlabel="Votes for the winning class", ylabel="Images", ylim=(0, 1.1 * max(1, total.max())))
    axes.xaxis.set_major_locator(MaxNLocator(16, integer=True, min_n_ticks=1))
    axes.yaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
    return figure


@styled
def worker_plot(workers: Sequence[int], seconds: Sequence[float | None], study: Sequence[float | None]) -> Figure:
    """Draw seconds an epoch over the number of loader processes, ours and the study's; None is left out."""
    figure = new_figure(7.0, 4.2)
    axes = figure.add_subplot()
    fastest = []
    for k, (name, values) in enumerate((("Ours", seconds), ("Study", study))):
        known = sorted((n, one) for n, one in zip(workers, values, strict=True) if one is not None)
        xs, ys = np.array(known).reshape(-1, 2).T
        axes.plot(xs, ys, color=(OURS, STUDY)[k], linestyle="-:"[k], marker=MARKERS[k], markersize=5.5, label=name)
        if known:
            best, least = min(known, key=lambda point: point[1])
            fastest.append(f"{name}: fastest with {best} process{'es' * (best != 1)}, {least:.3g} s an epoch")
    axes.set_title("; ".join(fastest) or "No values")
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(MaxNLocator(16, integer=True, min_n_ticks=1))
    axes.set(xlabel="Loader worker processes", ylabel="Seconds an epoch")
    axes.legend(loc="upper right")
    return figure


def numbers(table: Table, key: str, scale: float = 1) -> list[float | None]:
    """Return a column of numbers, divided by a scale."""
    return [None if row.get(key) is None else row[key] / scale for row in table.rows]


def draw_ensembles(runs: Mapping[str, Run], tables: Sequence[Table], folder: Folder) -> list[Plot]:
    """Draw group H: accuracy by the number of models of group G, and votes of these and of the seeds. runs: by id."""
    drawn = []
    group = next(one for one in groups().values() if one.ensembles_of)
    models = list(ranked(runs, groups()[group.ensembles_of].experiments).values())
    tested = {run.name: run.test_predictions for run in ranked(runs, group.experiments).values()}
    seeds = {name: table for name, table in tested.items() if table is not None}
    if len(models) > 1:
        ours = {method: numbers(tables[0], method, 100) for method in METHODS}
        study = group.reported_tables["ensembles"]
        theirs = {method: [accuracy / 100 for accuracy in study[method]] for method in METHODS}
        text = "Accuracy of the most accurate 2 to 12 models combined in four ways, ours and the study's: table H1."
        values = (study["models"], ours, theirs, results(models)[0].validation_images)
        drawn.append(folder.draw("ensembles", "Models combined", text, ensemble_plot, *values))
        top = {run.name: table for run in models[: max(study["models"])] if (table := run.predictions) is not None}
        drawn.append(draw_votes(top, "validation", f"{len(top)} models of group G", folder))
    if len(seeds) > 1:
        drawn.append(draw_votes(seeds, "test", f"{len(seeds)} seeds", folder))
    return drawn


def draw_votes(runs: Mapping[str, pd.DataFrame], part: str, title: str, folder: Folder) -> Plot:
    """Draw how many votes the winning class had; on validation images, how often rightly, too. runs: predictions."""
    aligned = align(runs)
    most = ensemble.tallies(aligned.probabilities).max(axis=1)
    right = None if part == "test" else ensemble.METHODS["V1"](aligned.probabilities) == aligned.targets
    text = f"Of {len(most)} images, all {len(runs)} agree on {int((most == len(runs)).sum())}."
    return folder.draw(f"votes_{part}", f"Votes: {title}, {part} images", text, vote_plot, most, len(runs), right)
