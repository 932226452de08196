"""What all plots share: fonts, colours that colour-blind people tell apart, names and numbers, and files.

SVG is for pages, as it scales, PNG for papers; the same values give the same bytes.
"""

import hashlib
import io
import json
import warnings
from collections.abc import Callable
from functools import cache, wraps
from pathlib import Path
from typing import Any, ParamSpec

import matplotlib as mpl
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager
from matplotlib.ticker import LogLocator, NullFormatter

P = ParamSpec("P")

# Okabe and Ito's colours (Color Universal Design, 2008) without the yellow, which is too pale for lines on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")  # colour is never the only difference
LINES = ("-", "--", ":", "-.")
OURS, STUDY, GREY, PALE = COLOURS[0], COLOURS[1], "#666666", "#b3d5ea"
RING: dict[str, Any] = {  # around the best value
    "color": "black", "linestyle": "", "marker": "o", "markersize": 11, "markerfacecolor": "none",
    "markeredgewidth": 1.6, "zorder": 4,
}  # fmt: skip
FONTS = ["DejaVu Sans"]  # comes with matplotlib
CJK_FONTS = {"Noto Sans CJK SC", "Source Han Sans SC", "WenQuanYi Zen Hei", "PingFang SC", "Microsoft YaHei"}
STYLE = mpl.rc_params_from_file(Path(__file__).with_name("kenyan13.mplstyle"), use_default_template=False)
STYLE["font.family"] = [*FONTS, *sorted({font.name for font in fontManager.ttflist} & CJK_FONTS)]


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Let a function draw in the common style."""

    @wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with mpl.rc_context(STYLE):
            return draw(*args, **kwargs)

    return drawn


def new_figure(width: float, height: float, title: str = "") -> Figure:
    """Return an empty figure of that size in inches, in which matplotlib finds room for all texts."""
    figure = Figure(figsize=(width, height), layout="constrained")
    if title:
        figure.suptitle(short(title, int(11 * width)), x=0.01, ha="left")
    return figure


def short(text: str, longest: int = 24) -> str:
    """Return a text as one line of printable letters; of one that is longer than that the middle is left out."""
    printable = "".join(letter if letter.isprintable() else " " for letter in text[:1000])
    line = " ".join(printable.split())
    if len(line) <= longest:
        return line
    end = longest // 3
    return line[: longest - end - 1].rstrip() + "…" + line[len(line) - end :].lstrip()


def set_log_ticks(axis: Axis, low: float, high: float) -> None:
    """Name 1, 2 and 5 times each power of ten on a logarithmic axis, or the powers where values range far."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 1000 * low else (1,)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter(NullFormatter())


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
