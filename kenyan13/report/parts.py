"""What the pages of a report are made of: texts, tables, plots and photographs."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from kenyan13.plots.saving import save_plot
from kenyan13.report.tables import Table

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
