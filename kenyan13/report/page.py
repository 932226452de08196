"""One page of HTML that needs no network: figures inside, all texts escaped, and no script but our own."""

import base64
import hashlib
import struct
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from kenyan13.report.parts import Section
from kenyan13.study.tables import Column, Value

GENERATOR = "kenyan13 report"
SHOWN = 0.75  # of a figure's pixels
TEMPLATE = Path(__file__).parent / "template"


def render_article(section: Section, output: Path) -> Markup:
    """Return a section as HTML. Figures are read from below `output`."""
    template = environment().get_template("article.html.jinja")
    return Markup(template.render(section=section, read=lambda image: (output / image.file).read_bytes()))


def render_page(title: str, made: str, menu: Mapping[str, str], articles: Sequence[Markup]) -> str:
    """Return the whole page. menu: anchor -> title of what it leads to; made: a line on how the report was made."""
    style, script = ((TEMPLATE / name).read_text(encoding="utf-8") for name in ("style.css", "sort.js"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment().get_template("page.html.jinja").render(
        title=title, made=made, menu=menu, articles=articles,
        style=Markup(style), script=Markup(script), script_digest=digest, generator=GENERATOR,
    )  # fmt: skip


@cache
def environment() -> Environment:
    """Return what reads the templates: all texts are escaped."""
    made = Environment(
        loader=FileSystemLoader(TEMPLATE),
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined,
    )  # fmt: skip
    made.globals |= {"embed": embed, "size": size, "sort_key": sort_key}
    return made


def embed(contents: bytes, kind: str) -> str:
    """Return an image as a data address. kind: png or jpeg."""
    return f"data:image/{kind};base64,{base64.b64encode(contents).decode()}"


def size(png: bytes) -> tuple[int, int]:
    """Return the width and height at which a PNG is shown: smaller than it is, for screens with fine pixels."""
    width, height = struct.unpack(">II", png[16:24])
    return round(SHOWN * width), round(SHOWN * height)


def sort_key(value: Value, column: Column) -> str:
    """Return what a cell is sorted by: numbers in full precision, texts as they are, nothing for a missing value.

    Texts that are numbers, as rates are, sort as numbers.
    """
    return "" if value is None else repr(float(value)) if isinstance(value, float | int) else value
