"""The figures of the study's groups, drawn from their tables and runs."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from kenyan13.analysis.cascade import read_matrices, read_summary
from kenyan13.analysis.ensemble import METHODS, align, rank, vote_by_accuracy, vote_tallies
from kenyan13.plots.accuracy import Point, interval_figure, scatter_figure
from kenyan13.plots.confusion import confusion_figure
from kenyan13.plots.ensembles import ensemble_figure, vote_figure
from kenyan13.plots.loading import worker_figure
from kenyan13.plots.losses import loss_figure
from kenyan13.plots.rates import rate_figure
from kenyan13.report.parts import PlotFile, write_figure
from kenyan13.report.runs import Run
from kenyan13.runs.directory import CASCADE
from kenyan13.runs.predictions import TEST, read_predictions
from kenyan13.study.definitions import experiments, groups
from kenyan13.study.tables import Table

Found = Mapping[str, Run]  # the study's id -> our run of it
TOP = 12  # of group G's models, combined at most (study, H)


def values(table: Table, key: str) -> list[float | None]:
    """Return a column of numbers."""
    place = [column.key for column in table.columns].index(key)
    return [cell if isinstance(cell, float | int) else None for cell in (row[place] for row in table.rows)]


def figures_a(found: Found, tables: Sequence[Table], output: Path, anchor: str) -> list[PlotFile]:
    """Seconds an epoch by loader workers."""
    timing = tables[1]
    workers, seconds, study = (values(timing, key) for key in ("workers", "seconds", "seconds_study"))
    if not any(seconds):
        return []
    figure = worker_figure([int(count) for count in workers if count], seconds, study)
    alt = "Seconds an epoch against the number of loader workers, ours and the study's; table A1 has the values."
    return [write_figure(output, f"figures/{anchor}/workers.png", "Loader workers", alt, figure)]


def figures_b(found: Found, tables: Sequence[Table], output: Path, anchor: str) -> list[PlotFile]:
    """Losses and accuracy against the learning rate, a figure a model."""
    drawn = []
    for letter, best in zip("ABC", tables[0].rows, strict=True):
        runs = {id_: run for id_, run in found.items() if id_.startswith(f"B{letter}") and run.result}
        study = next(id_ for id_ in groups()["B"].reported if id_.startswith(f"B{letter}"))
        file = f"figures/{anchor}/rates_{letter}.png"
        if runs:
            rates = [float(experiments()[id_].settings["optim.lr"]) for id_ in runs]
            study_best = float(experiments()[study].settings["optim.lr"])
            drawn.append(draw_rates(str(best[0]), rates, list(runs.values()), output, file, study_best))
    return drawn


def draw_rates(
    title: str, rates: Sequence[float], runs: Sequence[Run], output: Path, file: str, study_best: float | None = None
) -> PlotFile:
    """Draw lowest loss, sum of losses and accuracy of finished runs against their learning rates."""
    results = [run.result for run in runs if run.result]
    losses = [result.min_val_loss for result in results]
    auc_losses = [np.nan if result.auc_loss is None else result.auc_loss for result in results]
    accuracies = [result.accuracy for result in results]
    best = int(np.argmin(losses))
    alt = (
        f"Lowest loss, AUC loss and accuracy at {len(rates)} learning rates from {min(rates):.1e} to {max(rates):.1e}; "
    )
    alt += f"lowest loss {losses[best]:.3f} at {rates[best]:.1e}, with accuracy {accuracies[best]:.1%}."
    figure = rate_figure(rates, losses, auc_losses, accuracies, title, study_best)
    return write_figure(output, file, f"Learning rate: {title}", alt, figure)


def figures_c(found: Found, tables: Sequence[Table], output: Path, anchor: str) -> list[PlotFile]:
    """Accuracy against size by the layers that train, and beside the study's."""
    runs = {id_: run for id_, run in found.items() if id_[0] == "C"}
    families = {id_: experiments()[id_].series for id_ in runs}
    return [*draw_sizes(runs, families, output, anchor), *draw_intervals(found, tables, output, anchor)]


def figures_e(found: Found, tables: Sequence[Table], output: Path, anchor: str) -> list[PlotFile]:
    """The confusion matrices of the two stages and of both together."""
    drawn = draw_intervals(found, tables, output, anchor)
    composed = found.get("EAE")
    if composed is None or not (composed.folder / CASCADE).is_file():
        return drawn
    titles = {"stage1": "First stage", "hard": "Both stages, hard gating", "soft": "Both stages, soft gating"}
    for place, (name, matrix) in enumerate(read_matrices(composed.folder).items()):
        counts, title = matrix.to_numpy(), titles.get(name, f"Second stage: {name}")
        alt = f"{np.trace(counts)} of {counts.sum()} images on the diagonal."
        figure = confusion_figure(counts, [str(label) for label in matrix.index])
        drawn.append(write_figure(output, f"figures/{anchor}/confusion_{place}.png", title, alt, figure))
    return drawn


def figures_f(found: Found, tables: Sequence[Table], output: Path, anchor: str) -> list[PlotFile]:
    """The losses of both runs."""
    drawn = draw_intervals(found, tables, output, anchor)
    for id_, run in found.items():
        if id_[0] == "F" and run.metrics is not None and len(run.metrics):
            figure = loss_figure(run.metrics["train_loss"].tolist(), run.metrics["val_loss"].tolist(), run.name)
            alt = f"Training and validation loss over {len(run.metrics)} epochs; the run's own page has the values."
            drawn.append(write_figure(output, f"figures/{anchor}/losses_{id_}.png", f"Losses of {id_}", alt, figure))
    return drawn


def figures_g(found: Found, tables: Sequence[Table], output: Path, anchor: str) -> list[PlotFile]:
    """Accuracy against size and training time, and beside the study's."""
    runs = {id_: run for id_, run in found.items() if id_[0] == "G"}
    families = {id_: experiments()[id_].series for id_ in runs}
    return [*draw_sizes(runs, families, output, anchor), *draw_intervals(found, tables, output, anchor)]


def figures_h(found: Found, tables: Sequence[Table], output: Path, anchor: str) -> list[PlotFile]:
    """Accuracy by the number of models, votes for the winning class, and the seeds one by one."""
    drawn = []
    models = [run.folder for id_, run in found.items() if id_[0] == "G" and run.result]
    seeds = [run.folder for id_, run in found.items() if id_[0] == "H" and (run.folder / TEST).is_file()]
    if len(models) > 1:
        ours = {method: shares(values(tables[0], method)) for method in METHODS}
        study = groups()["H"].reported_tables["ensembles"]
        theirs = {method: [accuracy / 100 for accuracy in study[method]] for method in METHODS}
        images = validated(next(run for id_, run in found.items() if id_[0] == "G" and run.result))
        figure = ensemble_figure(study["models"], ours, theirs, images)
        alt = "Accuracy of the most accurate 2 to 12 models combined in four ways, ours and the study's: table H1."
        drawn.append(write_figure(output, f"figures/{anchor}/ensembles.png", "Models combined", alt, figure))
        top = list(rank(models, min(TOP, len(models))))
        drawn.append(draw_votes(top, False, f"{len(top)} models of group G, validation images", output, anchor))
    if len(seeds) > 1:
        drawn.append(draw_votes(list(rank(seeds)), True, f"{len(seeds)} seeds, test images", output, anchor))
    return [*drawn, *draw_intervals(found, tables, output, anchor)]


def draw_votes(folders: Sequence[Path], test: bool, title: str, output: Path, anchor: str) -> PlotFile:
    """Draw how many votes the winning class had; on validation images, how often rightly, too."""
    name = TEST if test else "predictions.csv"
    aligned = align({folder.name: read_predictions(folder, name) for folder in folders})
    tallies = vote_tallies(aligned.probabilities)
    right = None if test else vote_by_accuracy(aligned.probabilities) == aligned.targets
    alt = f"Of {len(tallies)} images, all {len(folders)} agree on {int((tallies == len(folders)).sum())}."
    file = f"figures/{anchor}/votes_{'test' if test else 'validation'}.png"
    return write_figure(output, file, f"Votes: {title}", alt, vote_figure(tallies, len(folders), right))


def draw_sizes(runs: Found, families: Mapping[str, str], output: Path, anchor: str) -> list[PlotFile]:
    """Draw the accuracy of finished runs against their number of parameters, and against their training time."""
    done = [(id_, run.result) for id_, run in runs.items() if run.result]
    if not done:
        return []

    def points(x: Iterable[float]) -> list[Point]:
        return [
            Point(id_, place, result.accuracy, result.validation_images, families[id_])
            for (id_, result), place in zip(done, x, strict=True)
        ]

    best = max(result.accuracy for _, result in done)
    alt = f"The highest accuracy is {best:.1%}, of {len(done)} runs; the table has all."
    size = scatter_figure(points(result.parameters / 1e6 for _, result in done), "parameters, millions")
    # Times are in tenths of a second: that of a run of a moment is 0, which a logarithmic axis does not have.
    time = scatter_figure(points(max(result.seconds, 0.1) / 60 for _, result in done), "training time, minutes")
    return [
        write_figure(output, f"figures/{anchor}/size.png", "Accuracy against model size", alt, size),
        write_figure(output, f"figures/{anchor}/time.png", "Accuracy against training time", alt, time),
    ]


def draw_intervals(found: Found, tables: Sequence[Table], output: Path, anchor: str) -> list[PlotFile]:
    """Draw the accuracies of each table of experiments with their intervals, beside the study's."""
    drawn = []
    for table in tables:
        if not {"id", "accuracy_study", "noise"} <= {column.key for column in table.columns}:
            continue
        ours, study = shares(values(table, "accuracy")), shares(values(table, "accuracy_study"))
        rows = [k for k, accuracy in enumerate(ours) if accuracy is not None]
        if rows:
            names = [f"{table.rows[k][0]} {table.rows[k][1]}" for k in rows]
            accuracies = [ours[k] or 0.0 for k in rows]
            images = [validated(found[str(table.rows[k][0])]) for k in rows]
            figure = interval_figure(names, accuracies, images, "", [study[k] for k in rows])
            alt = f"Accuracies of table {table.name} with 95 % intervals, and the study's."
            file = f"figures/{anchor}/accuracy_{table.name}.png"
            drawn.append(write_figure(output, file, f"Accuracies of {table.name}: {table.title}", alt, figure))
    return drawn


def validated(run: Run) -> int:
    """Return the number of validation images of a finished run, or of two stages put together."""
    return run.result.validation_images if run.result else int(read_summary(run.folder)["images"])


def shares(percents: Iterable[float | None]) -> list[float | None]:
    """Return percent as 0..1."""
    return [None if percent is None else percent / 100 for percent in percents]


FIGURES: dict[str, Callable[[Found, Sequence[Table], Path, str], list[PlotFile]]] = {
    "A": figures_a,
    "B": figures_b,
    "C": figures_c,
    "D": lambda found, tables, output, anchor: draw_intervals(found, tables, output, anchor),
    "E": figures_e,
    "F": figures_f,
    "G": figures_g,
    "H": figures_h,
}
