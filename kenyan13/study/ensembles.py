"""Group H: ensembles of group G's models and of seeds, and how often images are trained on when seeds make splits."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kenyan13.analysis.alignment import align, stack
from kenyan13.analysis.compare import best_first
from kenyan13.analysis.ensemble import METHODS, accuracy_table
from kenyan13.config.settings import DataSettings
from kenyan13.data.catalogue import Catalogue
from kenyan13.data.split import split_rows
from kenyan13.report.runs import results
from kenyan13.report.tables import Column, Table
from kenyan13.runs.predictions import labelled
from kenyan13.runs.run import Run
from kenyan13.study.definitions import Group, experiments, groups
from kenyan13.study.tables import beside, compared, noise_notes, within_noise

STUDY_METHODS = ("AP", "MP", "V2")  # V1 needs one order of accuracy, and each seed has its own validation images


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
