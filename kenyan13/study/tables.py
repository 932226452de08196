"""The study's tables: ours beside the study's, and whether they differ by more than chance."""

from collections.abc import Mapping, Sequence
from math import sqrt

from kenyan13.metrics.statistics import standard_error
from kenyan13.report.tables import Column, Table, Value
from kenyan13.runs.result import Result
from kenyan13.runs.run import Run
from kenyan13.study.definitions import Experiment

STUDY_IMAGES = 1308  # validation images of the study (study, Data)
WITHIN = "within"


def compared(key: str, heading: str, decimals: int, wide: bool = False) -> list[Column]:
    """Return three columns of one measure: ours, the study's, the difference."""
    return [
        Column(key, heading, decimals, wide),
        Column(f"{key}_study", "study", decimals, wide),
        Column(f"{key}_difference", "diff", decimals, wide=True),
    ]


def triple(ours: float | None, study: float | None) -> list[Value]:
    """Return the cells of `compared`."""
    return [ours, study, None if ours is None or study is None else ours - study]


COMPARISON = [
    Column("id", "id"),
    Column("experiment", "experiment"),
    *compared("min_loss", "loss", 3),
    *compared("accuracy", "acc %", 2),
    Column("noise", "noise"),
    *compared("overfitting", "overfit", 3),
]


def comparison(name: str, title: str, experiments: Sequence[Experiment], runs: Mapping[str, Run]) -> Table:
    """Return the table of some experiments: lowest loss, accuracy there and overfitting, ours beside the study's.

    runs: ours by id. The mark "within" says that the difference of accuracies is smaller than two standard errors
    of a difference.
    """
    table = Table(name, title, COMPARISON)
    results = finished(runs)
    for one in experiments:
        study, result = one.reported, results.get(one.id)
        losses = triple(result.min_val_loss if result else None, study.get("min_val_loss"))
        accuracies = triple(100 * result.accuracy if result else None, study.get("accuracy"))
        slopes = triple(result.overfitting if result else None, study.get("overfitting"))
        noise = within_noise(accuracies, result.validation_images) if result else "missing"
        table.rows.append([one.id, one.label, *losses, *accuracies, noise, *slopes])
    table.notes = noise_notes([results[one.id] for one in experiments if one.id in results], table.rows)
    return table


def finished(runs: Mapping[str, Run]) -> dict[str, Result]:
    """Return the results of finished runs by id."""
    return {id_: run.result for id_, run in runs.items() if run.result}


def within_noise(accuracies: Sequence[Value], images: int) -> str:
    """Return "within" where ours and the study's accuracy, in percent, differ by less than two standard errors."""
    ours, study, difference = accuracies
    if not (isinstance(ours, float) and isinstance(study, float) and isinstance(difference, float)):
        return ""
    errors = standard_error(ours / 100, images), standard_error(study / 100, STUDY_IMAGES)
    return WITHIN if abs(difference) <= 200 * sqrt(errors[0] ** 2 + errors[1] ** 2) else ""


def noise_notes(results: Sequence[Result], rows: Sequence[Sequence[Value]] = ()) -> list[str]:
    """Return the lines that say how exact the accuracies are, and what the mark in the rows means, if it is there."""
    if not results:
        return []
    errors = [100 * standard_error(result.accuracy, result.validation_images) for result in results]
    images = sorted({result.validation_images for result in results})
    numbers = f"{images[0]:,}" if len(images) == 1 else f"{images[0]:,} to {images[-1]:,}"
    notes = [f"Standard error of our accuracies: up to {max(errors):.2f} points ({numbers} validation images)."]
    if any(WITHIN in row for row in rows):
        notes.append(f"{WITHIN}: the difference is smaller than two standard errors of a difference.")
    return notes
