"""Plots as files: SVG for pages, which scales, and PNG for papers; the same values give the same bytes."""

import hashlib
import io
import json
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from kenyan13.plots.style import STYLE

DPI = 160  # of PNG files: a plot of 7 inches has 1,120 pixels


def save_plot(path: Path, draw: Callable[..., Figure], *args: Any, **kwargs: Any) -> None:
    """Write the figure draw(*args, **kwargs) as path.svg and path.png; parent folders are made.

    Where both are there, of the same values and drawn by the same code, nothing is done: a digest of these is the
    last line of the SVG. Values are numbers, texts, arrays, dataclasses, and lists or dictionaries of these.
    """
    svg, png_file = Path(f"{path}.svg"), Path(f"{path}.png")
    values = json.dumps([draw.__qualname__, args, kwargs], default=as_json)
    last = f"<!-- {hashlib.sha256((source(draw.__code__.co_filename) + values).encode()).hexdigest()} -->\n"
    if png_file.is_file() and svg.is_file() and svg.read_text(encoding="utf-8").endswith(last):
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    figure = draw(*args, **kwargs)
    png_file.write_bytes(render(figure, "png"))
    figure.set_layout_engine("none")  # it has been laid out
    svg.write_text(render(figure, "svg").decode() + last, encoding="utf-8")


def as_json(value: Any) -> Any:
    """Return an array as lists, and a dataclass as a dictionary."""
    return value.tolist() if hasattr(value, "tolist") else vars(value)


@cache
def source(file: str) -> str:
    """Return the code that a plot depends on: of this package and of the given file; and matplotlib's version."""
    files = sorted({*Path(__file__).parent.glob("*.*"), Path(file)})
    return mpl.__version__ + "".join(one.read_text(encoding="utf-8") for one in files)


def render(figure: Figure, kind: str = "png") -> bytes:
    """Return a figure as the bytes of a PNG or SVG file. Letters that fonts lack become boxes, without a warning."""
    buffer = io.BytesIO()
    with mpl.rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(buffer, format=kind, dpi=DPI, metadata={"Date": None} if kind == "svg" else None)
    return buffer.getvalue()
