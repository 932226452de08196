"""Tables H1 and H2 of the study: ensembles of group G's models, and of group H's seeds."""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from kenyan13.analysis.alignment import align
from kenyan13.analysis.compare import best_first
from kenyan13.analysis.ensemble import METHODS, accuracy_table
from kenyan13.report.runs import results
from kenyan13.report.tables import Column, Table
from kenyan13.runs.directory import TEST
from kenyan13.runs.predictions import read_predictions
from kenyan13.runs.run import Run
from kenyan13.study.definitions import Group, groups
from kenyan13.study.exposure import STUDY_METHODS, combine_unseen
from kenyan13.study.tables import beside, compared, noise_notes, within_noise


def ensembles_of_models(group: Group, entry: Mapping[str, Any], runs: Mapping[str, Run]) -> list[Table]:
    """The most accurate models of another group combined, on the validation images."""
    columns = [column for method in METHODS for column in compared(method, f"{method} %", 2)]
    noise = Column("noise", "within noise")
    table = Table(entry["name"], entry["title"], [Column("models", "models", 0), *columns, noise])
    study = group.reported_tables["ensembles"]
    models = groups()[group.ensembles_of].experiments
    done = ranked(runs, models)
    ours: dict[tuple[int, str], float] = {}
    images = 0
    if len(done) > 1:
        best = done[: max(study["models"])]
        accuracies = accuracy_table(align({run.name: read_predictions(run.folder) for run in best}))
        ours = {(row["models"], key): 100 * row[key] for row in accuracies.to_dict("records") for key in METHODS}
        images = results(best)[0].validation_images
        table.notes += noise_notes(results(best[:1]))
    for index, number in enumerate(study["models"]):
        theirs = {method: study[method][index] for method in METHODS}
        mine = {method: ours.get((number, method)) for method in METHODS}
        within = [method for method in METHODS if within_noise(mine[method], theirs[method], images)]
        table.rows.append({"models": number, **beside(mine, theirs), "noise": " ".join(within)})
    if len(done) < len(models):
        missing = f"{len(done)} of group {group.ensembles_of}'s {len(models)} models are finished"
        table.notes.append(f"{missing}; make reproduce-group-{group.ensembles_of} trains them.")
    return [table]


def ranked(runs: Mapping[str, Run], ids: Collection[str]) -> list[Run]:
    """Return the finished ones of some runs, the most accurate first."""
    return sorted((run for id_, run in runs.items() if id_ in ids and run.result), key=best_first)


def ensembles_of_seeds(group: Group, entry: Mapping[str, Any], runs: Mapping[str, Run]) -> list[Table]:
    """The group's seeds combined, on images that runs had not seen and on the test images."""
    columns = [
        Column("method", "method"), Column("unseen", "unseen images %", 2),
        Column("changed", "test predictions changed %", 2), Column("board_study", "study's public board %", 2),
    ]  # fmt: skip
    table = Table(entry["name"], entry["title"], columns)
    done = ranked(runs, group.experiments)
    board = group.reported_tables["public_board"]
    accuracies: dict[str, float] = {}
    if len(done) > 1:
        unseen = combine_unseen({run.name: read_predictions(run.folder) for run in done})
        accuracies = {method: 100 * float((unseen[method] == unseen["target"]).mean()) for method in STUDY_METHODS}
        table.notes.append(
            f"Unseen: {len(unseen):,} images, each combined from those runs, {unseen['runs'].mean():.1f} on "
            "average, that had it in validation and not in training."
        )
    tested = [run for run in done if (run.folder / TEST).exists()]
    changes: dict[str, float] = {}
    if len(tested) > 1:
        test = align({run.name: read_predictions(run.folder, TEST) for run in tested}).probabilities
        first = test[0].argmax(axis=1)
        changes = {method: 100 * float(np.mean(METHODS[method](test) != first)) for method in STUDY_METHODS}
    for method in STUDY_METHODS:
        table.add(method, accuracies.get(method), changes.get(method), board[method])
    table.notes += [
        "Changed: test images that the ensemble names otherwise than its most accurate run does.",
        f"The study's best single model on the public board: {board['best_single_B5']} %.",
        "For the competition: kenyan13 ensemble RUN... --test writes the ensemble's submission.",
    ]
    return [table]
