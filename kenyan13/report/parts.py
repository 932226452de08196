"""What the pages of a report are made of: texts, tables and images."""

import io
from dataclasses import dataclass, field
from pathlib import Path

from matplotlib.figure import Figure
from PIL import Image

from kenyan13.data.images import Pixels
from kenyan13.plots.rendering import png
from kenyan13.study.tables import Table

QUALITY = 82  # of photographs, which are JPEG: as PNG they are ten times as large


@dataclass(frozen=True)
class PlotFile:
    """A figure that has been written: its file below the report's folder, a title, and what is to be seen in it."""

    file: str
    title: str
    alt: str


@dataclass(frozen=True)
class Grid:
    """Photographs with a title, all of one width in pixels: of each, JPEG bytes and the caption below it."""

    title: str
    photos: list[tuple[bytes, str]]
    width: int


@dataclass
class Section:
    """A page: question and texts above, then what can be concluded, tables, images, photographs, tables folded away.

    links: texts in tables' first cells that lead to other pages, with those pages' anchors.
    """

    anchor: str
    title: str
    texts: list[str] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    images: list[PlotFile] = field(default_factory=list)
    grids: list[Grid] = field(default_factory=list)
    conclusions: list[str] = field(default_factory=list)
    details: list[Table] = field(default_factory=list)
    links: dict[str, str] = field(default_factory=dict)


def write_figure(output: Path, file: str, title: str, alt: str, figure: Figure) -> PlotFile:
    """Write a figure as PNG below the report's folder."""
    (output / file).parent.mkdir(parents=True, exist_ok=True)
    (output / file).write_bytes(png(figure))
    return PlotFile(file, title, alt)


def jpeg(pixels: Pixels) -> bytes:
    """Return a photograph, uint8 [height, width, 3], as the bytes of a JPEG file."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()
