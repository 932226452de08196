"""What the pages of a report are made of: texts, tables and pictures."""

import io
from dataclasses import dataclass, field
from pathlib import Path

from matplotlib.figure import Figure
from PIL import Image

from kenyan13.figures.style import png
from kenyan13.study.tables import Table

QUALITY = 82  # of figures with photographs, which are JPEG: as PNG they are ten times as large


@dataclass(frozen=True)
class Picture:
    """A figure that has been written: its file below the report's folder, a title, and what is to be seen in it."""

    file: str
    title: str
    alt: str


@dataclass
class Section:
    """A page: question and texts above, then tables and pictures, then what can be concluded.

    links: texts in tables' cells that lead to other pages, with those pages' anchors. details: tables folded away.
    """

    anchor: str
    title: str
    texts: list[str] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)
    conclusions: list[str] = field(default_factory=list)
    details: list[Table] = field(default_factory=list)
    links: dict[str, str] = field(default_factory=dict)


def write_figure(output: Path, file: str, title: str, alt: str, figure: Figure) -> Picture:
    """Write a figure below the report's folder, as PNG, or as JPEG where the file's name says so."""
    (output / file).parent.mkdir(parents=True, exist_ok=True)
    drawn = png(figure)
    if file.endswith(".jpg"):
        buffer = io.BytesIO()
        Image.open(io.BytesIO(drawn)).convert("RGB").save(buffer, "JPEG", quality=QUALITY)
        drawn = buffer.getvalue()
    (output / file).write_bytes(drawn)
    return Picture(file, title, alt)
