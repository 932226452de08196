"""A table of the study made again: values with their units, ours beside the study's, printed or written as CSV."""

import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import sqrt
from pathlib import Path

import pandas as pd

from kenyan13.metrics.statistics import standard_error
from kenyan13.runs.directory import Result, read_result
from kenyan13.study.definitions import Experiment
from kenyan13.terminal import align

Value = float | str | None
STUDY_IMAGES = 1308  # validation images of the study (study, Data)
MISSING = "-"
WITHIN = "within"
WIDTH = 80  # of a terminal


@dataclass(frozen=True)
class Column:
    """A column: its name in CSV files, its heading for people, and the digits after the point; None for texts.

    wide: left out in a terminal.
    """

    key: str
    heading: str
    digits: int | None = None
    wide: bool = False

    def of(self) -> str:
        """Return which measure a column of the study's values or of differences is about; "" for other columns."""
        measure, _, what = self.key.rpartition("_")
        return measure.replace("_", " ") if what in ("study", "difference") else ""


@dataclass
class Table:
    """A table with a name (C1), a title, and notes below it."""

    name: str
    title: str
    columns: Sequence[Column]
    rows: list[list[Value]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def headings(self) -> list[str]:
        """Return the columns' headings."""
        return [column.heading for column in self.columns]

    def cells(self) -> list[list[str]]:
        """Return the rows as people read them."""
        return [[written(value, column) for value, column in zip(row, self.columns, strict=True)] for row in self.rows]

    def text(self) -> str:
        """Return the table as aligned lines of text, without the columns that do not fit a terminal."""
        shown = [k for k, column in enumerate(self.columns) if not column.wide]
        right = [k for k, index in enumerate(shown) if self.columns[index].digits is not None]
        lines = align([[row[k] for k in shown] for row in (self.headings(), *self.cells())], right)
        texts = [textwrap.fill(text, WIDTH) for text in (f"{self.name}  {self.title}", *self.notes)]
        return "\n".join([texts[0], lines, *texts[1:]])

    def markdown(self) -> str:
        """Return the table in Markdown (GitHub's), with title and notes; texts in cells stand for themselves."""
        rules = ["---" if column.digits is None else "---:" for column in self.columns]
        rows = [self.headings(), rules, *([literal(cell) for cell in row] for row in self.cells())]
        lines = ["| " + " | ".join(row) + " |" for row in rows]
        notes = [line for note in self.notes for line in ("", literal(note))]
        start = f"**{self.name}** " if self.name else ""
        return "\n".join([f"{start}{literal(self.title)}", "", *lines, *notes, ""])

    def csv(self) -> str:
        """Return the table as CSV: the columns' keys, then values in full precision; empty where there is none."""
        keys = [column.key for column in self.columns]
        return str(pd.DataFrame(self.rows, columns=keys, dtype=object).to_csv(index=False, lineterminator="\n"))


def literal(text: str) -> str:
    """Return a text as Markdown that shows it as it is, in one line and inside a table cell."""
    return re.sub(r"([\\`*_{}\[\]<>()#|~$&])", r"\\\1", " ".join(text.split()))


def written(value: Value, column: Column) -> str:
    """Return a cell's text."""
    if value is None:
        return MISSING
    if isinstance(value, str) or column.digits is None:
        return str(value)
    sign = "+" if column.key.endswith("difference") else ""
    return f"{value:{sign}.{column.digits}f}"


def compared(key: str, heading: str, digits: int, wide: bool = False) -> list[Column]:
    """Return three columns of one measure: ours, the study's, the difference."""
    return [
        Column(key, heading, digits, wide),
        Column(f"{key}_study", "study", digits, wide),
        Column(f"{key}_difference", "diff", digits, wide=True),
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


def comparison(name: str, title: str, experiments: Sequence[Experiment], folders: Mapping[str, Path]) -> Table:
    """Return the table of some experiments: lowest loss, accuracy there and overfitting, ours beside the study's.

    folders: id -> our run. The mark "within" says that the difference of accuracies is smaller than two standard errors
    of a difference.
    """
    table = Table(name, title, COMPARISON)
    results = {one.id: read_result(folders[one.id]) for one in experiments}
    for one in experiments:
        study, result = one.reported, results[one.id]
        losses = triple(result.min_val_loss if result else None, study.get("min_val_loss"))
        accuracies = triple(100 * result.accuracy if result else None, study.get("accuracy"))
        slopes = triple(result.overfitting if result else None, study.get("overfitting"))
        noise = within_noise(accuracies, result.validation_images) if result else "missing"
        table.rows.append([one.id, one.label, *losses, *accuracies, noise, *slopes])
    table.notes = noise_notes([result for result in results.values() if result], table.rows)
    return table


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
