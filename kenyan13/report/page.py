"""One page of HTML that needs no network: plots inside, all texts escaped, and no script but our own."""

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from kenyan13.report.parts import Plot, Section
from kenyan13.report.tables import Value

GENERATOR = "kenyan13 report"
PIXELS = 1.12  # a point of a plot on the page: two plots stand side by side in a usual window
TEMPLATE = Path(__file__).parent / "template"


def render_article(section: Section, output: Path) -> Markup:
    """Return a section as HTML. Plots are read from below `output`."""

    def read(plot: Plot) -> bytes:
        return Path(f"{output / plot.path}.svg").read_bytes()

    return Markup(environment().get_template("article.html.jinja").render(section=section, read=read))


def render_page(title: str, made: str, menu: Mapping[str, str], articles: Sequence[Markup]) -> str:
    """Return the whole page. menu: anchor -> title of what it leads to; made: a line on how the report was made."""
    style, script = ((TEMPLATE / name).read_text(encoding="utf-8") for name in ("style.css", "page.js"))
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
    made.globals |= {"embed": embed, "width": width, "sort_key": sort_key}
    return made


def embed(contents: bytes, kind: str) -> str:
    """Return an image as a data address. kind: svg+xml or jpeg."""
    return f"data:image/{kind};base64,{base64.b64encode(contents).decode()}"


def width(svg: bytes) -> int:
    """Return at how many pixels a plot is shown where there is room; SVG files have their width in points."""
    found = re.search(rb'width="([\d.]+)pt"', svg)
    return round(PIXELS * float(found[1])) if found else 600


def sort_key(value: Value) -> str:
    """Return what a cell is sorted by: numbers in full precision, texts as they are, nothing for a missing value.

    Texts that are numbers, as rates are, sort as numbers.
    """
    return "" if value is None else repr(float(value)) if isinstance(value, float | int) else value
