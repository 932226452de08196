"""What all figures share: size, fonts, colours that colour-blind people tell apart, and how they become PNG files."""

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, ParamSpec

import matplotlib as mpl
from cycler import cycler
from matplotlib.figure import Figure

P = ParamSpec("P")

# Okabe and Ito's colours (Color Universal Design, 2008) without the yellow, which is too pale for lines on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")  # colour is never the only difference
OURS, STUDY, GREY = COLOURS[0], COLOURS[1], "#666666"
DPI = 110
STYLE: Any = {  # matplotlib types the keys as a union of hundreds of names
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.prop_cycle": cycler(color=COLOURS),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "text.parse_math": False,  # class names may hold dollar signs
    "savefig.dpi": DPI,
}


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Let a function draw its figure in the common style."""

    @wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with mpl.rc_context(STYLE):
            return draw(*args, **kwargs)

    return drawn


def shortened(names: Sequence[str], longest: int = 24) -> list[str]:
    """Return names for axes and legends: long ones are cut, with dots at their end."""
    return [name if len(name) <= longest else name[: longest - 1] + "…" for name in names]
