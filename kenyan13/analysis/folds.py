"""Models as their folds: runs that differ in data.fold alone are one model, which has predicted all of their images.

Each image is predicted by the run that was not trained on it: these predictions are out of fold.
"""

import json
from collections.abc import Sequence

import pandas as pd

from kenyan13.analysis.alignment import ANOTHER_SPLIT, ANOTHER_TEST, Aligned, align, check_classes
from kenyan13.errors import UserError
from kenyan13.runs.directory import TEST
from kenyan13.runs.predictions import read_predictions
from kenyan13.runs.run import Run

Model = list[Run]  # one run, or one a fold


def group_folds(runs: Sequence[Run]) -> list[Model]:
    """Return the models that runs are the folds of, in the order in which they come first, fold 0 first.

    A run that is no fold is a model by itself.
    """
    models: dict[str, Model] = {}
    for run in runs:
        others = json.dumps({**run.relevant, "data.fold": None}, sort_keys=True)
        is_fold = run.setting("data.fold") is not None
        models.setdefault(others if is_fold else str(run.folder), []).append(run)
    return [sorted(model, key=lambda run: run.setting("data.fold") or 0) for model in models.values()]


def name_of(model: Model) -> str:
    """Return the folder of a model's first run, which stands for the model."""
    return str(model[0].folder)


def out_of_fold(models: Sequence[Model]) -> Aligned:
    """Return the models' predictions of validation images, those of all folds together.

    Raises UserError when models have other classes or images, or an image is in two folds of one model.
    """
    return align({name_of(model): pool(model) for model in models}, ANOTHER_SPLIT)


def pool(model: Model) -> pd.DataFrame:
    """Return a model's validation predictions of all folds, one below the other."""
    parts = {str(run.folder): read_predictions(run.folder) for run in model}
    check_classes(parts)
    table = pd.concat(parts.values())
    if repeated := int(table.index.duplicated().sum()):
        problem = f"{repeated:,} images are in more than one fold of {name_of(model)}."
        raise UserError(problem, "give each fold once, and train all folds on the same data")
    return table


def mean_over_folds(models: Sequence[Model]) -> Aligned:
    """Return the models' predictions of the test images, each model's the mean over its folds."""
    means = {}
    for model in models:
        folds = align({str(run.folder): read_predictions(run.folder, TEST) for run in model}, ANOTHER_TEST)
        means[name_of(model)] = folds.table(folds.probabilities.mean(axis=0))
    return align(means, ANOTHER_TEST)
