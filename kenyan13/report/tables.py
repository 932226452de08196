"""What pages are made of: tables, also printed or written as CSV; texts, plots and photographs."""

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from kenyan13.plots.style import save_plot
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


PLOTS = "plots"  # the folder of plots below the report's


@dataclass(frozen=True)
class Plot:
    """A plot that has been written: its path below the report's folder, without .svg or .png; title and description."""

    path: str
    title: str
    text: str


@dataclass(frozen=True)
class Grid:
    """Photographs with a title, all shown at one width in pixels: of each, JPEG bytes and the caption below it."""

    title: str
    photos: list[tuple[bytes, str]]
    width: int


@dataclass
class Section:
    """A page: question and texts above, then what can be concluded, tables, plots, photographs, tables folded away.

    links: texts in tables' first cells that lead to other pages, with those pages' anchors.
    """

    anchor: str
    title: str
    texts: list[str] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    plots: list[Plot] = field(default_factory=list)
    grids: list[Grid] = field(default_factory=list)
    conclusions: list[str] = field(default_factory=list)
    details: list[Table] = field(default_factory=list)
    links: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Folder:
    """Where a section's plots are written: plots/NAME below the report's folder."""

    output: Path
    name: str

    def draw(self, name: str, title: str, text: str, plot: Callable[..., Figure], *args: Any, **kwargs: Any) -> Plot:
        """Write the figure plot(*args, **kwargs) under that name, and return what the page shows."""
        path = f"{PLOTS}/{self.name}/{name}"
        save_plot(self.output / path, plot, *args, **kwargs)
        return Plot(path, title, text)
