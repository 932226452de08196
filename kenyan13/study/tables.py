"""The study's tables: ours beside the study's, and whether they differ by more than chance."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from math import hypot
from typing import Any

from kenyan13.metrics.statistics import standard_error
from kenyan13.report.tables import Column, Row, Table
from kenyan13.runs.result import Result
from kenyan13.runs.run import Run
from kenyan13.study.definitions import Experiment

STUDY_IMAGES = 1308  # validation images of the study (study, Data)
WITHIN = "within"


def compared(key: str, heading: str, decimals: int, wide: bool = False) -> list[Column]:
    """Return three columns of one measure: ours, the study's, the difference."""
    study = Column(f"{key}_study", "study", decimals, wide)
    return [Column(key, heading, decimals, wide), study, Column(f"{key}_difference", "diff", decimals, wide=True)]


def beside(ours: Mapping[str, Any], study: Mapping[str, Any]) -> Row:
    """Return the cells of `compared` for what the study has a value of, and all of ours."""
    differences = {f"{key}_difference": ours[key] - value for key, value in study.items() if ours.get(key) is not None}
    return {**ours, **{f"{key}_study": value for key, value in study.items()}, **differences}


def measured(result: Result | None) -> Row:
    """Return our metrics as the study has them: percent, and the loss that is minimised; {} without a result."""
    if result is None:
        return {}
    loss = result.min_val_loss if result.weighted_loss is None else result.weighted_loss
    return {**asdict(result), "accuracy": 100 * result.accuracy, "min_val_loss": loss}


COMPARISON = [
    Column("id", "id"), Column("experiment", "experiment"), *compared("min_val_loss", "loss", 3),
    *compared("accuracy", "acc %", 2), Column("noise", "noise"), *compared("overfitting", "overfit", 3),
    Column("precision", "precision", wide=True), Column("device", "device", wide=True),
    Column("threads", "threads", 0, wide=True), Column("deterministic", "deterministic", wide=True),
]  # fmt: skip


def comparison(name: str, title: str, experiments: Sequence[Experiment], runs: Mapping[str, Run]) -> Table:
    """Return the table of some experiments: lowest loss, accuracy there and overfitting, ours beside the study's.

    runs: ours by id. The mark "within" says that the difference of accuracies is smaller than two standard errors
    of a difference.
    """
    table = Table(name, title, COMPARISON)
    done = {one.id: result for one in experiments if one.id in runs and (result := runs[one.id].result)}
    for one in experiments:
        result = done.get(one.id)
        metrics = beside(measured(result), one.reported)
        table.rows.append({"id": one.id, "experiment": one.label, **metrics, "noise": noise(result, one)})
    table.notes = noise_notes([*done.values()], table.rows)
    return table


def noise(result: Result | None, study: Experiment) -> str:
    """Return `within_noise` of a run and what the study reported; "missing" without a result."""
    if result is None:
        return "missing"
    return within_noise(100 * result.accuracy, study.reported.get("accuracy"), result.validation_images)


def within_noise(ours: float | None, study: float | None, images: int) -> str:
    """Return "within" where ours and the study's accuracy, in percent, differ by less than two standard errors."""
    if ours is None or study is None:
        return ""
    return WITHIN if abs(ours - study) <= 2 * error_of_difference(ours, images, study) else ""


def error_of_difference(ours: float, images: int, study: float) -> float:
    """Return the standard error of the difference of our and the study's accuracy, all three in percent."""
    return 100 * hypot(standard_error(ours / 100, images), standard_error(study / 100, STUDY_IMAGES))


def noise_notes(results: Sequence[Result], rows: Sequence[Row] = ()) -> list[str]:
    """Return the lines that say how exact the accuracies are, and what the mark in the rows means, if it is there."""
    if not results:
        return []
    errors = [100 * standard_error(result.accuracy, result.validation_images) for result in results]
    images = sorted({result.validation_images for result in results})
    numbers = f"{images[0]:,}" if len(images) == 1 else f"{images[0]:,} to {images[-1]:,}"
    notes = [f"Standard error of our accuracies: up to {max(errors):.2f} points ({numbers} validation images)."]
    if any(row.get("noise") == WITHIN for row in rows):
        notes.append(f"{WITHIN}: the difference is smaller than two standard errors of a difference.")
    return notes
