"""One page of HTML that needs no network: figures inside, all texts escaped, and no script but our own."""

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image

from kenyan13.report.parts import Picture, Section
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
        source=lambda picture: source(output, picture), size=lambda picture: size(output, picture), sort_key=sort_key,
    )  # fmt: skip


def source(output: Path, picture: Picture) -> str:
    """Return a picture's contents as a data address."""
    kind = "jpeg" if picture.file.endswith(".jpg") else "png"
    return f"data:image/{kind};base64,{base64.b64encode((output / picture.file).read_bytes()).decode()}"


def size(output: Path, picture: Picture) -> tuple[int, int]:
    """Return a picture's width and height in pixels, so that the page does not jump while it is loaded."""
    with Image.open(output / picture.file) as opened:
        return opened.size


def sort_key(value: Value, column: Column) -> str:
    """Return what a cell is sorted by: numbers in full precision, texts as they are, nothing for a missing value.

    Texts that are numbers, as rates are, sort as numbers.
    """
    return "" if value is None else repr(float(value)) if isinstance(value, float | int) else value
