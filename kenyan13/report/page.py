"""One page of HTML that needs no network: figures inside, all texts escaped, and no script but our own."""

import base64
import hashlib
import struct
from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from kenyan13.report.parts import Section
from kenyan13.study.tables import Column, Value

GENERATOR = "kenyan13 report"
TEMPLATE = Path(__file__).parent / "template"


def render(title: str, made: str, sections: Sequence[Section], pages: Sequence[Section], output: Path) -> str:
    """Return the page. sections: what the menu leads to, the first one shown first; pages: those of the runs.

    made: a line on how the report was made. Figures are read from below `output`.
    """
    environment = Environment(
        loader=FileSystemLoader(TEMPLATE),
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined,
    )  # fmt: skip
    style, script = ((TEMPLATE / name).read_text() for name in ("style.css", "sort.js"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment.get_template("page.html.jinja").render(
        title=title, made=made, sections=sections, pages=pages,
        style=Markup(style), script=Markup(script), script_digest=digest, generator=GENERATOR,
        read=lambda picture: (output / picture.file).read_bytes(), embed=embed, size=size, sort_key=sort_key,
    )  # fmt: skip


def embed(contents: bytes, kind: str) -> str:
    """Return an image as a data address. kind: png or jpeg."""
    return f"data:image/{kind};base64,{base64.b64encode(contents).decode()}"


def size(png: bytes) -> tuple[int, int]:
    """Return a PNG's width and height in pixels, so that the page does not jump while it is loaded."""
    width, height = struct.unpack(">II", png[16:24])
    return width, height


def sort_key(value: Value, column: Column) -> str:
    """Return what a cell is sorted by: numbers in full precision, texts as they are, nothing for a missing value.

    Texts that are numbers, as rates are, sort as numbers.
    """
    return "" if value is None else repr(float(value)) if isinstance(value, float | int) else value
