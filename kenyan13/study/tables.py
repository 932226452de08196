"""The study's tables: ours beside the study's, and whether they differ by more than chance."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from math import hypot
from pathlib import Path
from typing import Any

from kenyan13.errors import UserError, did_you_mean
from kenyan13.metrics.classification import standard_error
from kenyan13.report.tables import Column, Row, Table
from kenyan13.runs.config_file import read_config
from kenyan13.runs.directory import State, read_state
from kenyan13.runs.result import Result
from kenyan13.study.definitions import GROUPS, Experiment, experiments, groups

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


COLUMNS = [
    Column("id", "id"), Column("name", "name"), Column("min_val_loss", "study's loss", 3),
    Column("accuracy", "accuracy %", 2), Column("state", "state here"),
]  # fmt: skip


def list_groups(prefix: str, runs: Path) -> Iterator[str]:
    """Yield a text a group: title, question, a row an experiment whose id begins with the prefix, shared settings.

    Raises UserError for a group or set that the study does not have.
    """
    if not any(id_.startswith(prefix) for id_ in experiments()):
        close = did_you_mean(prefix, [*GROUPS, *{id_[:2] for id_ in experiments()}])
        raise UserError(f"The study has no group {prefix}.{close}", f"groups: {', '.join(GROUPS)}; a set: CB")
    for group in groups().values():
        chosen = [one for id_, one in group.experiments.items() if id_.startswith(prefix)]
        if chosen:
            title = f"Group {group.letter}: {group.title}. {group.question}"
            rows = [{"id": one.id, "name": one.label, **one.reported, "state": state(one, runs)} for one in chosen]
            shared = [(key, value) for key, value in chosen[0].settings.items() if not isinstance(value, dict)
                      and all(one.settings.get(key) == value for one in chosen)]  # fmt: skip
            words = (f"{key}={one:.3g}" if isinstance(one, float) else f"{key}={one}" for key, one in shared)
            yield Table("", title, COLUMNS, rows, [f"All: {'  '.join(words)}"]).text()


def state(one: Experiment, runs: Path) -> str:
    """Return how far an experiment is in the folder of runs: a State's words.

    A folder of its name that does not say in its config.yaml that it is this experiment is another run.
    """
    folder = runs / one.name
    state = read_state(folder)
    try:
        mine = state is State.not_started or read_config(folder)["settings"].get("experiment") == one.id
    except UserError:
        return "unreadable"
    return state.value if mine else "another run"
