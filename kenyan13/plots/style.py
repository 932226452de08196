"""What all figures share: fonts, colours that colour-blind people tell apart, and texts that fit.

Figures have fixed margins, computed from the widths of their texts: layout engines of matplotlib draw everything twice.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache, wraps
from typing import Any, ParamSpec

import matplotlib as mpl
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, fontManager, get_font
from matplotlib.ft2font import LoadFlags

P = ParamSpec("P")

# Okabe and Ito's colours (Color Universal Design, 2008) without the yellow, which is too pale for lines on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")  # colour is never the only difference
LINES = ("-", "--", ":", "-.")
OURS, STUDY, GREY = COLOURS[0], COLOURS[1], "#666666"
DPI = 110
MARGIN, HEAD = 0.12, 0.62  # inches: around a figure, and for its two lines of heading
MINUS = "\N{MINUS SIGN}"
SMALL = 8.5  # points: legends and notes
FONT = "DejaVu Sans"  # comes with matplotlib
CJK_FONTS = ("Noto Sans CJK SC", "Source Han Sans SC", "WenQuanYi Zen Hei", "PingFang SC", "Microsoft YaHei")
STYLE: Any = {  # matplotlib types the keys as a union of hundreds of names
    "font.family": [FONT, *sorted({font.name for font in fontManager.ttflist} & set(CJK_FONTS))],
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.titlepad": 4,
    "axes.labelsize": 9.5,
    "axes.prop_cycle": cycler(color=COLOURS),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": "black",
    "ytick.labelcolor": "black",
    "legend.frameon": False,
    "legend.fontsize": SMALL,
    "lines.linewidth": 1.6,
    "hatch.linewidth": 0.6,
    "text.parse_math": False,  # class names may hold dollar signs
    "figure.dpi": DPI,
    "savefig.dpi": DPI,
}


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Let a function draw its figure in the common style."""

    @wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with mpl.rc_context(STYLE):
            return draw(*args, **kwargs)

    return drawn


def plain(text: str) -> str:
    """Return a text as one line of printable letters: new lines, tabs and control characters become spaces."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


@lru_cache(maxsize=4096)
def _advance(letter: str) -> float:
    """Return the width of a letter in ems; letters that the font lacks are as wide as the box in their place."""
    font = get_font(findfont(FONT))  # which matplotlib opens anew in a forked process
    font.set_size(100, 72)
    if not font.get_char_index(ord(letter)):
        return 1.14
    return font.load_char(ord(letter), flags=LoadFlags.NO_HINTING).linearHoriAdvance / 65536 / 100


def text_width(text: str, points: float) -> float:
    """Return the width of a line of text in inches, in letters of that many points, as wide as hinting may make it."""
    return 1.03 * sum(map(_advance, text)) * points / 72


def fitted(text: str, inches: float, points: float) -> str:
    """Return a text as one line no wider than that; of one that is too long the middle is left out."""
    text = plain(text[:1000])
    if text_width(text, points) <= inches:
        return text
    room = inches - text_width("…", points)
    start = end = 0
    while start + end < len(text):
        longer = (start + 1, end) if start <= 2 * end else (start, end + 1)
        if text_width(text[: longer[0]] + text[len(text) - longer[1] :], points) > room:
            break
        start, end = longer
    return text[:start].rstrip() + "…" + text[len(text) - end :].lstrip()


def shortened(names: Sequence[str], longest: int = 24) -> list[str]:
    """Return names for axes and legends: one line each, as wide as `longest` usual letters; middles are left out."""
    return [fitted(name, longest * text_width("n", 10), 10) for name in names]


def widest(texts: Sequence[str], points: float) -> float:
    """Return the width of the widest text in inches; 0 for none."""
    return max((text_width(text, points) for text in texts), default=0.0)


def scientific(value: float) -> str:
    """Return a positive number as 3.2·10⁻⁴, with up to three digits; a power of ten as 10⁻⁴."""
    digits, power = f"{value:.2e}".split("e")
    digits = digits.rstrip("0").rstrip(".")
    raised = f"10{int(power)}".translate(str.maketrans("-", "⁻"))
    raised = raised[:2] + raised[2:].translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return raised if digits == "1" else f"{digits}·{raised}"


def compact(value: float) -> str:
    """Return a number of an axis in few letters: 0.25, 1200, but 1.6·10⁵."""
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        return f"{value:.6g}".replace("-", MINUS)
    return (MINUS if value < 0 else "") + scientific(abs(value))


def sheet(width: float, height: float, title: str, detail: str) -> Figure:
    """Return an empty figure of that size in inches with its heading: the title, and below it what the figure says."""
    figure = Figure(figsize=(width, height))
    top = height - MARGIN
    for text, points, colour in ((title, 11.5, "black"), (detail, SMALL, "#444444")):
        if line := fitted(text, width - 2 * MARGIN, points):
            figure.text(MARGIN / width, top / height, line, fontsize=points, color=colour, va="top")
            top -= points * 1.6 / 72
    return figure


def panel(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    """Return axes at that place of a figure, all in inches from its lower left corner."""
    whole_width, whole_height = figure.get_size_inches()
    return figure.add_axes((left / whole_width, bottom / whole_height, width / whole_width, height / whole_height))
