"""Runs side by side: in what they differ, their figures, and whether the figures differ by more than chance.

Imports no torch. Shares are 0..1; losses are validation losses.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from math import inf, isfinite
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kenyan13.config.identity import plain, relevant
from kenyan13.errors import UserError, shorten
from kenyan13.metrics import classification, losses
from kenyan13.metrics.statistics import holm, mcnemar, wilson
from kenyan13.runs.directory import (
    CONFIG,
    METRICS,
    Result,
    State,
    read_config,
    read_result,
    read_settings,
    read_state,
)
from kenyan13.runs.predictions import VALIDATION, Saved, read_predictions

SIGNIFICANT = 0.05
COLUMNS = ["train_loss", "val_loss", "val_accuracy", "val_macro_f1", "seconds"]  # of metrics.csv


@dataclass(frozen=True)
class Figures:
    """A run's figures at the epoch (from 1) of its lowest loss; None for what its files do not tell.

    accuracy_low, accuracy_high: Wilson's 95 % interval; images: the validation images that all these are of;
    auc_loss, overfitting: see kenyan13.metrics.losses; seconds: of all epochs.
    """

    min_val_loss: float | None
    accuracy: float | None
    accuracy_low: float | None
    accuracy_high: float | None
    images: int | None
    macro_f1: float | None
    top2_accuracy: float | None
    calibration_error: float | None
    auc_loss: float | None
    overfitting: float | None
    best_epoch: int | None
    epochs: int | None
    seconds: float | None
    parameters: int | None
    trainable_parameters: int | None


@dataclass(frozen=True)
class Run:
    """What a run directory tells.

    settings: those that its result depends on, by dotted key; None for a folder that `kenyan13 cascade` has written.
    made_of: classes, digests of the images, versions and commit, each a text. saved: validation predictions.
    """

    folder: Path
    state: State
    settings: Mapping[str, Any] | None
    made_of: Mapping[str, str]
    figures: Figures
    saved: Saved | None


@dataclass(frozen=True)
class Comparison:
    """McNemar's test of a run against another, on the images (their number) that both have predicted.

    only_run, only_against: how many only one of them has right; p; corrected: p after Holm's correction for all tests
    made. Where there is no test, `obstacle` says why, and p is None.
    """

    run: int
    against: int
    images: int
    only_run: int = 0
    only_against: int = 0
    p: float | None = None
    corrected: float | None = None
    obstacle: str = ""

    @property
    def lead(self) -> float:
        """By how much more of the images the run has right than the other, -1..1."""
        return (self.only_run - self.only_against) / self.images

    @property
    def significant(self) -> bool:
        """Whether the difference is more than chance gives."""
        return self.corrected is not None and self.corrected < SIGNIFICANT


def read_runs(folders: Sequence[Path]) -> tuple[list[Run], dict[Path, State]]:
    """Read runs: the most accurate first (ties: the lower loss, then the name), and those without any figures apart.

    Raises UserError for fewer than two runs, one given twice, a folder that is no run, and damaged files.
    """
    if len(folders) < 2:
        raise UserError("A comparison needs two or more runs.", "give several run directories, as in runs/*_pt5-*")
    twice = [folder for folder in dict.fromkeys(folders) if folders.count(folder) > 1]
    if twice:
        raise UserError(f"Given twice: {shorten(twice)}.", "give each run once")
    runs = [read_run(folder) for folder in folders]
    empty = {run.folder: run.state for run in runs if run.figures.min_val_loss is None and run.saved is None}
    if len(runs) - len(empty) < 2:
        said = shorten([f"{folder} ({state.value})" for folder, state in empty.items()], 4)
        raise UserError(f"Fewer than two runs have figures: none are in {said}.", "train these runs first")

    def order(run: Run) -> tuple[float, float, str]:
        accuracy, loss = run.figures.accuracy, run.figures.min_val_loss
        return -1.0 if accuracy is None else -accuracy, inf if loss is None else loss, str(run.folder)

    return sorted((run for run in runs if run.folder not in empty), key=order), empty


def read_run(folder: Path) -> Run:
    """Read what a run directory tells, or a folder with predictions only. Raises UserError as `read_runs` does."""
    saved = read_predictions(folder) if (folder / VALIDATION).is_file() else None
    if saved is not None and not (folder / CONFIG).is_file():
        return Run(folder, State.finished, None, {}, measure(saved, None, None), saved)
    settings = relevant(plain(read_settings(folder)))
    config = read_config(folder / CONFIG)
    figures = measure(saved, read_epochs(folder), read_result(folder))
    return Run(folder, read_state(folder), settings, describe(config), figures, saved)


def describe(config: Mapping[str, Any]) -> dict[str, str]:
    """Return what a run was made of, from its config.yaml: each thing as a text that is equal where it is the same."""
    data = config["data"]
    made_of = {"classes": ", ".join(data.get("classes", []))}
    for part, label in (("train", "training images"), ("validation", "validation images")):
        if part in data:
            made_of[label] = f"{data[part]['images']:,} (digest {data[part]['digest'][:8]})"
    commit, _, changes = str(config.get("commit")).partition("+")
    return made_of | dict(config.get("versions", {})) | {"code": commit[:10] + (f" with {changes}" if changes else "")}


def read_epochs(folder: Path) -> pd.DataFrame | None:
    """Read metrics.csv; None before the first epoch's end. Raises UserError when it is damaged."""
    try:
        return pd.read_csv(folder / METRICS, usecols=COLUMNS).astype(float)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, pd.errors.ParserError) as error:
        problem = str(error).splitlines()[0]
        raise UserError(f"{folder / METRICS} is damaged: {problem}.", "leave the run out, or train it again") from None


def measure(saved: Saved | None, epochs: pd.DataFrame | None, result: Result | None) -> Figures:
    """Return a run's figures from its predictions, its epochs (metrics.csv) and its result; whatever there is."""
    found: dict[str, Any] = dict.fromkeys(Figures.__dataclass_fields__)
    if result is not None:
        found |= {key: value for key, value in asdict(result).items() if key in found}
        found["images"] = result.validation_images
    elif epochs is not None and epochs["val_loss"].notna().any():
        found |= epoch_figures(epochs)
    if saved is not None and (saved.targets >= 0).any():
        found |= prediction_figures(saved)
    if found["accuracy"] is not None and found["images"]:
        correct = round(found["accuracy"] * found["images"])
        found["accuracy_low"], found["accuracy_high"] = wilson(correct, found["images"])
    return Figures(**found)


def epoch_figures(epochs: pd.DataFrame) -> dict[str, Any]:
    """Return the figures of the epochs so far, as result.json will have them."""
    train, validation = epochs["train_loss"].tolist(), epochs["val_loss"].tolist()
    best = losses.lowest(validation)
    row = epochs.iloc[best]
    sums = {"auc_loss": losses.auc_loss(validation), "overfitting": losses.overfitting(train, validation)}
    return {
        "min_val_loss": float(row["val_loss"]), "accuracy": float(row["val_accuracy"]),
        "macro_f1": float(row["val_macro_f1"]), "best_epoch": best + 1, "epochs": len(epochs),
        "seconds": round(float(epochs["seconds"].sum()), 1),
        **{key: value if value is not None and isfinite(value) else None for key, value in sums.items()},
    }  # fmt: skip


def prediction_figures(saved: Saved) -> dict[str, Any]:
    """Return the figures of predictions; images of no class of the run (target -1) are left out."""
    known = saved.targets >= 0
    targets, probabilities = saved.targets[known], saved.probabilities[known]
    confusion = classification.confusion_counts(targets, probabilities.argmax(axis=1), len(saved.classes))
    return {
        "images": int(known.sum()),
        "accuracy": classification.accuracy(confusion),
        "macro_f1": classification.macro_f1(confusion),
        "top2_accuracy": classification.top_accuracy(targets, probabilities),
        "calibration_error": classification.expected_calibration_error(targets, probabilities),
    }


def differing_settings(runs: Sequence[Run]) -> dict[str, list[Any]]:
    """Return the settings that are not the same in all runs: by dotted key, a value a run.

    The folder of the images is left out, as the same images may lie elsewhere: their digests tell. A run whose
    settings are not known makes no difference, and has None.
    """
    known = [run.settings for run in runs if run.settings is not None]
    keys = [key for key in dict.fromkeys(key for settings in known for key in settings) if key != "data.root"]
    different = [key for key in keys if any(settings.get(key) != known[0].get(key) for settings in known)]
    return {key: [None if run.settings is None else run.settings.get(key) for run in runs] for key in different}


def differing_origins(runs: Sequence[Run]) -> dict[str, dict[str, list[int]]]:
    """Return what the runs were made of where it is not the same: by thing, each text with the runs' positions."""
    found: dict[str, dict[str, list[int]]] = {}
    for place, run in enumerate(runs):
        for thing, text in run.made_of.items():
            found.setdefault(thing, {}).setdefault(text, []).append(place)
    return {thing: texts for thing, texts in found.items() if len(texts) > 1}


def compare(runs: Sequence[Run]) -> list[Comparison]:
    """Return McNemar's test of each run against the first one that has predictions, with Holm's correction."""
    against = next((place for place, run in enumerate(runs) if run.saved is not None), None)
    if against is None:
        return []
    pairs = [test_pair(runs, place, against) for place in range(len(runs)) if place != against]
    corrected = iter(holm([pair.p for pair in pairs if pair.p is not None]))
    return [pair if pair.p is None else replace(pair, corrected=next(corrected)) for pair in pairs]


def test_pair(runs: Sequence[Run], place: int, against: int) -> Comparison:
    """Return McNemar's test of two runs on the images of both that have a label; or why there is none."""
    one, other = runs[place].saved, runs[against].saved
    if one is None or other is None:
        return Comparison(place, against, 0, obstacle="no predictions")
    if set(one.classes) != set(other.classes):
        return Comparison(place, against, 0, obstacle="other classes")
    rows, names, right = labelled(one)
    other_rows, other_names, other_right = labelled(other)
    common = [id_ for id_ in rows if id_ in other_rows]
    if not common:
        return Comparison(place, against, 0, obstacle="no common images")
    here, there = [rows[id_] for id_ in common], [other_rows[id_] for id_ in common]
    different = int((names[here] != other_names[there]).sum())
    if different:
        return Comparison(place, against, len(common), obstacle=f"other labels for {different:,} images")
    found = mcnemar(right[here], other_right[there])
    return Comparison(place, against, len(common), found.only_first, found.only_second, found.p)


def labelled(saved: Saved) -> tuple[dict[str, int], NDArray[np.str_], NDArray[np.bool_]]:
    """Return the rows of images with a label by id, and for all rows the label's name and whether it is answered."""
    rows = {id_: row for row, (id_, target) in enumerate(zip(saved.ids, saved.targets, strict=True)) if target >= 0}
    return rows, np.array(saved.classes)[saved.targets], saved.probabilities.argmax(axis=1) == saved.targets
