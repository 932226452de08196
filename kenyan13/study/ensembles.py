"""Group H: ensembles of group G's models and of seeds, and how often images are trained on when seeds make splits."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from kenyan13.analysis.compare import best_first
from kenyan13.analysis.ensemble import METHODS, accuracy_table, align, stack, tallies
from kenyan13.config.settings import DataSettings
from kenyan13.data.catalogue import Catalogue
from kenyan13.data.split import split_rows
from kenyan13.metrics.classification import standard_error
from kenyan13.plots.style import COLOURS, GREY, LINES, MARKERS, OURS, PALE, STUDY, new_figure, styled
from kenyan13.report.run_page import results
from kenyan13.report.tables import Column, Folder, Plot, Table
from kenyan13.runs.predictions import labelled
from kenyan13.runs.run import Run
from kenyan13.study.definitions import Group, experiments, groups
from kenyan13.study.tables import STUDY_IMAGES, beside, compared, noise_notes, within_noise

STUDY_METHODS = ("AP", "MP", "V2")  # V1 needs one order of accuracy, and each seed has its own validation images
Shares = Mapping[str, Sequence[float | None]]
LABELS = {
    "AP": "AP: sum of probabilities",
    "MP": "MP: highest single probability",
    "V1": "V1: vote, ties to the most accurate",
    "V2": "V2: vote, ties to the highest probability",
}


def ranked(runs: Mapping[str, Run], ids: Collection[str]) -> dict[str, Run]:
    """Return the finished ones of some runs by id, the most accurate first."""
    there = {id_: runs[id_] for id_ in ids if id_ in runs and runs[id_].result and runs[id_].predictions is not None}
    return dict(sorted(there.items(), key=lambda item: best_first(item[1])))


def ensembles_of_models(group: Group, entry: Mapping[str, Any], runs: Mapping[str, Run]) -> list[Table]:
    """The most accurate models of another group combined, on the validation images."""
    columns = [column for method in METHODS for column in compared(method, f"{method} %", 2)]
    noise = Column("noise", "within noise")
    table = Table(entry["name"], entry["title"], [Column("models", "models", 0), *columns, noise])
    study = group.reported_tables["ensembles"]
    models = groups()[group.ensembles_of].experiments
    done = list(ranked(runs, models).values())
    ours: dict[Any, dict[Any, float]] = {}  # number of models -> method -> percent
    images = 0
    if len(done) > 1:
        best = done[: max(study["models"])]
        aligned = align({run.name: run.predictions for run in best})  # type: ignore[misc]
        ours = (100 * accuracy_table(aligned).set_index("models")).to_dict("index")
        images = results(best)[0].validation_images
        table.notes += noise_notes(results(best[:1]))
    for index, number in enumerate(study["models"]):
        mine, theirs = ours.get(number, {}), {method: study[method][index] for method in METHODS}
        within = [method for method in METHODS if within_noise(mine.get(method), theirs[method], images)]
        table.rows.append({"models": number, **beside(mine, theirs), "noise": " ".join(within)})
    if len(done) < len(models):
        missing = f"{len(done)} of group {group.ensembles_of}'s {len(models)} models are finished"
        table.notes.append(f"{missing}; make reproduce-group-{group.ensembles_of} trains them.")
    return [table]


def ensembles_of_seeds(group: Group, entry: Mapping[str, Any], runs: Mapping[str, Run]) -> list[Table]:
    """The group's seeds combined, on images that runs had not seen and on the test images."""
    columns = [
        Column("method", "method"), Column("unseen", "unseen images %", 2),
        Column("changed", "test predictions changed %", 2), Column("board_study", "study's public board %", 2),
    ]  # fmt: skip
    table = Table(entry["name"], entry["title"], columns)
    done = list(ranked(runs, group.experiments).values())
    board = group.reported_tables["public_board"]
    accuracies: dict[str, float] = {}
    if len(done) > 1:
        unseen = combine_unseen({run.name: run.predictions for run in done})  # type: ignore[misc]
        accuracies = {method: 100 * float((unseen[method] == unseen["target"]).mean()) for method in STUDY_METHODS}
        table.notes.append(
            f"Unseen: {len(unseen):,} images, each combined from those runs, {unseen['runs'].mean():.1f} on "
            "average, that had it in validation and not in training."
        )
    tested = {run.name: test for run in done if (test := run.test_predictions) is not None}
    changes: dict[str, float] = {}
    if len(tested) > 1:
        probabilities = align(tested).probabilities
        first = probabilities[0].argmax(axis=1)
        changes = {method: 100 * float(np.mean(METHODS[method](probabilities) != first)) for method in STUDY_METHODS}
    for method in STUDY_METHODS:
        table.add(method, accuracies.get(method), changes.get(method), board[method])
    table.notes += [
        "Changed: test images that the ensemble names otherwise than its most accurate run does.",
        f"The study's best single model on the public board: {board['best_single_B5']} %.",
        "For the competition: kenyan13 ensemble RUN... --test writes the ensemble's submission.",
    ]
    return [table]


def study_seeds() -> tuple[int, ...]:
    """Return the seeds that the study varied, the 15 of group H."""
    return tuple(one.settings["seed"] for one in experiments().values() if one.settings.get("data.test"))


def exposures(labelled: Catalogue, seeds: Sequence[int]) -> NDArray[np.int64]:
    """Return for each image in the training parts of how many seeds' splits it is, int64 [n], 0..len(seeds).

    Each seed makes its own stratified 80:20 split (study, Data and H. Ensembles). Raises UserError when there are too
    few images for that.
    """
    counts = np.zeros(len(labelled), dtype=np.int64)
    for seed in seeds:
        train, _ = split_rows(labelled, DataSettings(validation_fraction=0.2, folds=5, split_seed=seed))
        counts[train] += 1
    return counts


def combine_unseen(runs: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Combine validation predictions of runs (name -> table) with different splits, by AP, MP and V2.

    Returns a row an image id: its target (class index), `runs` that predict it, and a predicted class index a method.
    Each image is predicted by the runs that validated it alone, which were not trained on it; images without a label
    are left out. An epoch of each run was chosen by its validation loss, so that the accuracy is slightly too high.
    Raises UserError when runs have other classes or labels.
    """
    aligned = stack({name: labelled(table) for name, table in runs.items()})
    present = ~np.isnan(aligned.probabilities[:, :, 0])
    combined = pd.DataFrame({"target": aligned.targets, "runs": present.sum(axis=0)}, index=list(aligned.ids))
    for method in STUDY_METHODS:
        # an image at a time, as the number of runs differs: [runs, 1, classes]
        own = [aligned.probabilities[present[:, k], k][:, None] for k in range(len(combined))]
        combined[method] = [METHODS[method](probabilities)[0] for probabilities in own]
    return combined


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
        every: list[float] = []
        for k, (method, label) in enumerate(LABELS.items()):
            known = [(n, one) for n, one in zip(models, values.get(method, []), strict=False) if one is not None]
            every += [share for _, share in known]
            xs, ys = np.array(known).reshape(-1, 2).T
            style = {"color": COLOURS[k], "marker": MARKERS[k], "linestyle": LINES[k]}
            axes.plot(xs, 100 * ys, markersize=5.5, label=label, **style)
        if every:
            best, error = 100 * max(every), 100 * standard_error(max(every), number)
            axes.axhspan(best - error, best + error, color="#e6e6e6", zorder=0)
            axes.axhline(best, color=GREY, linewidth=0.8, linestyle=":", zorder=1)
    panels[0].set_ylabel("Accuracy (%)")
    figure.legend(*panels[1].get_legend_handles_labels(), loc="outside lower left", ncols=2, borderpad=0)
    return figure


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
    most = tallies(aligned.probabilities).max(axis=1)
    right = None if part == "test" else METHODS["V1"](aligned.probabilities) == aligned.targets
    text = f"Of {len(most)} images, all {len(runs)} agree on {int((most == len(runs)).sum())}."
    return folder.draw(f"votes_{part}", f"Votes: {title}, {part} images", text, vote_plot, most, len(runs), right)
