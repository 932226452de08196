"""Tables with a title and units: shown on a page, printed, or written as CSV."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from kenyan13.terminal import WIDTH, align

Value = float | str | None
Row = dict[Any, Any]  # values by their columns' keys; others are not shown
MISSING = "-"


@dataclass(frozen=True)
class Column:
    """A column: its name in CSV files, its heading for people, and the decimals; None for texts.

    wide: left out in a terminal.
    """

    key: str
    heading: str
    decimals: int | None = None
    wide: bool = False

    def of(self) -> str:
        """Return which metric a column of reference values or of differences is about; "" for other columns."""
        metric, _, what = self.key.rpartition("_")
        return metric.replace("_", " ") if what in ("study", "difference") else ""


@dataclass
class Table:
    """A table with a name (C1), a title, and notes below it. What a row does not have is shown as missing."""

    name: str
    title: str
    columns: Sequence[Column]
    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, *values: Value) -> None:
        """Add a row of values in the order of the columns."""
        self.rows.append(dict(zip((column.key for column in self.columns), values, strict=True)))

    def cells(self) -> list[list[str]]:
        """Return the rows as people read them."""
        return [[written(row.get(column.key), column) for column in self.columns] for row in self.rows]

    def text(self) -> str:
        """Return the table as aligned lines of text, without the columns that do not fit a terminal."""
        shown = [k for k, column in enumerate(self.columns) if not column.wide]
        right = [k for k, index in enumerate(shown) if self.columns[index].decimals is not None]
        rows = [[column.heading for column in self.columns], *self.cells()]
        lines = align([[row[k] for k in shown] for row in rows], right)
        texts = [textwrap.fill(text, WIDTH) for text in (f"{self.name}  {self.title}".strip(), *self.notes)]
        return "\n".join([texts[0], lines, *texts[1:]])

    def markdown(self) -> str:
        """Return the table in Markdown."""
        cells = [[cell.replace("|", r"\|").replace("<", "&lt;") for cell in line] for line in self.cells()]
        lines = [[column.heading for column in self.columns], ["---"] * len(self.columns), *cells]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)

    def csv(self) -> str:
        """Return the table as CSV: the columns' keys, then values in full precision; empty where there is none."""
        keys = [column.key for column in self.columns]
        rows = [[row.get(key) for key in keys] for row in self.rows]
        return str(pd.DataFrame(rows, columns=keys, dtype=object).to_csv(index=False, lineterminator="\n"))


def written(value: Value, column: Column) -> str:
    """Return a cell's text."""
    if value is None:
        return MISSING
    if isinstance(value, str):
        return value
    if column.decimals is None:
        return f"{value:.4g}"
    sign = "+" if column.key.endswith("difference") else ""
    return f"{value:{sign},.{column.decimals}f}"
