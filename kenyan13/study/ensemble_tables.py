"""Tables H1 and H2 of the study: ensembles of group G's models, and of group H's seeds."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kenyan13.analysis.ensemble import METHODS, accuracy_table, align, rank
from kenyan13.report.tables import Column, Table
from kenyan13.runs.directory import read_result
from kenyan13.runs.predictions import TEST, read_predictions
from kenyan13.study.exposure import STUDY_METHODS, unseen
from kenyan13.study.references import reference_tables
from kenyan13.study.tables import compared, noise_notes, triple, within_noise


def ensembles_of_models(models: Sequence[Path]) -> Table:
    """H1: the most accurate of group G's models combined, on the validation images. models: all their folders."""
    columns = [column for method in METHODS for column in compared(method, f"{method} %", 2)]
    noise = Column("noise", "within noise")
    table = Table("H1", "ensembles of group G's most accurate models", [Column("models", "models", 0), *columns, noise])
    study = reference_tables()["H1_ensemble_accuracy"]
    finished = [folder for folder in models if read_result(folder)]
    ours: dict[tuple[int, str], float] = {}
    images = 0
    if len(finished) > 1:
        ranked = rank(finished, min(len(finished), max(study["models"])))
        figures = accuracy_table(align({folder.name: read_predictions(folder) for folder in ranked}))
        ours = {(row["models"], method): 100 * row[method] for row in figures.to_dict("records") for method in METHODS}
        table.notes += noise_notes(list(ranked.values())[:1])
        images = next(iter(ranked.values())).validation_images
    for place, number in enumerate(study["models"]):
        cells = {method: triple(ours.get((number, method)), study[method][place]) for method in METHODS}
        within = [method for method, three in cells.items() if within_noise(three, images)]
        table.rows.append([float(number), *(cell for three in cells.values() for cell in three), " ".join(within)])
    if len(finished) < len(models):
        done = f"{len(finished)} of group G's {len(models)} models are finished"
        table.notes.append(f"{done}; make reproduce-group-G trains them.")
    return table


def ensembles_of_seeds(seeds: Sequence[Path]) -> Table:
    """H2: the seeds combined, on images that runs had not seen and on the test images. seeds: all folders."""
    columns = [
        Column("method", "method"), Column("unseen", "unseen images %", 2),
        Column("changed", "test answers changed %", 2), Column("board_study", "study's public board %", 2),
    ]  # fmt: skip
    table = Table("H2", "ensembles of the seeds", columns)
    finished = [folder for folder in seeds if read_result(folder)]
    board = reference_tables()["H_final_public_board"]
    accuracies: dict[str, float] = {}
    if len(finished) > 1:
        together = unseen({folder.name: read_predictions(folder) for folder in finished})
        accuracies = together.accuracies()
        table.notes.append(
            f"Unseen: {len(together.ids):,} images, each combined from those runs, {together.mean_runs():.1f} on "
            "average, that had it in validation and not in training."
        )
    changes = changed_answers([folder for folder in finished if (folder / TEST).exists()])
    for method in STUDY_METHODS:
        ours = accuracies.get(method)
        cells = [None if ours is None else 100 * ours, changes.get(method), float(board[method])]
        table.rows.append([method, *cells])
    table.notes += [
        "Changed: test images that the ensemble names otherwise than its most accurate run does.",
        f"The study's best single model on the public board: {board['best_single_B5']} %.",
        "For the competition: kenyan13 ensemble RUN... --test writes the ensemble's submission.",
    ]
    return table


def changed_answers(folders: Sequence[Path]) -> dict[str, float]:
    """Return the percentage of test images that each method names otherwise than the most accurate run does."""
    if len(folders) < 2:
        return {}
    aligned = align({folder.name: read_predictions(folder, TEST) for folder in rank(folders)})
    first = aligned.probabilities[0].argmax(axis=1)
    return {method: 100 * float(np.mean(METHODS[method](aligned.probabilities) != first)) for method in STUDY_METHODS}
