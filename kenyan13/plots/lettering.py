"""Texts and axes drawn as few artists: what the figures that a report draws for each of its runs are made of.

A matplotlib Text takes half a millisecond or more, a tick as much again; the outlines of texts that were drawn before
take a fiftieth.
"""

import warnings
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PathCollection, PolyCollection
from matplotlib.font_manager import FontProperties
from matplotlib.path import Path
from matplotlib.textpath import text_to_path
from matplotlib.ticker import NullLocator
from matplotlib.transforms import Affine2D, Transform
from numpy.typing import ArrayLike

from kenyan13.plots.style import STYLE, compact

Align = Literal["left", "center", "right"]
DIGIT = 0.729  # ems: the height of the digits of the font
TICK = 9.0  # points of the numbers at axes


class Written(PathCollection):
    """Texts of a figure, drawn as outlines. `texts` are those of its paths, in their order."""

    texts: list[str]


@lru_cache(maxsize=8192)
def outline(text: str, points: float, align: Align = "center") -> Path:
    """Return the outline of a line of text, in points from its anchor: half the height of its digits above the line."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        corners, codes = text_to_path.get_text_path(FontProperties(family=STYLE["font.family"]), text)
    if not len(corners):  # such as spaces
        return Path(np.zeros((0, 2)))
    vertices = np.asarray(corners) * points / text_to_path.FONT_SCALE
    end = vertices[:, 0].max()
    share = {"left": 0.0, "center": 0.5, "right": 1.0}[align]
    return Path(vertices - (share * end, DIGIT / 2 * points), codes)


def write(
    axes: Axes,
    x: ArrayLike,
    y: ArrayLike,
    texts: Sequence[str],
    points: float,
    colours: Any = "black",
    align: Align = "center",
    shift: tuple[float, float] = (0, 0),
    upright: bool = False,
    within: Transform | None = None,
) -> Written:
    """Write lines of text at the points (x, y) of axes as one artist.

    align: which part of a text lies at its point; shift: points (of letters) to the right and up; upright: read from
    below to above; within: the transform of x and y, by default that of the data.
    """
    figure = axes.get_figure(root=True)
    assert figure is not None
    places = np.column_stack([x, y]) if texts else np.zeros((0, 2))
    outlines = [outline(text, points, align) for text in texts]
    written = Written(
        outlines,
        offsets=places,
        offset_transform=within or axes.transData,
        facecolors=colours,
        linewidths=0,
        clip_on=False,
    )
    turned = Affine2D().rotate_deg(90 if upright else 0).translate(*shift)
    written.set_transform(turned.scale(1 / 72) + figure.dpi_scale_trans)
    written.texts = list(texts)
    axes.add_collection(written, autolim=False)
    return written


def bars(axes: Axes, left: ArrayLike, width: ArrayLike, low: ArrayLike, high: ArrayLike, **look: Any) -> PolyCollection:
    """Draw bars from `low` to `high` as one artist, with what else a collection of matplotlib takes."""
    x, y = np.stack([left, np.add(left, width)]), np.stack([low, high])
    corners = np.stack([x[[0, 0, 1, 1]], y[[0, 1, 1, 0]]], axis=-1).swapaxes(0, 1)  # [bars, corner, x and y]
    drawn = PolyCollection(list(corners), **look)
    axes.add_collection(drawn, autolim=False)
    return drawn


def rule(axes: Axes, x: ArrayLike, y: ArrayLike, label_x: bool = True, label_y: bool = True) -> None:
    """Draw a grid at those places of x and y, and write their numbers below and left of the axes.

    The limits of the axes must have been set; places beyond them are left out.
    """
    axes.xaxis.set_major_locator(NullLocator())
    axes.yaxis.set_major_locator(NullLocator())
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_minor_locator(NullLocator())
    kept = []
    for places, (low, high) in ((x, axes.get_xlim()), (y, axes.get_ylim())):
        room = 1e-9 * (high - low)
        kept.append([place for place in np.atleast_1d(places).tolist() if low - room <= place <= high + room])
    vertical, horizontal = axes.get_xaxis_transform(), axes.get_yaxis_transform()
    look: dict[str, Any] = {"colors": STYLE["grid.color"], "linewidths": STYLE["grid.linewidth"], "zorder": 0.5}
    upward = [[(place, 0.0), (place, 1.0)] for place in kept[0]]
    across = [[(0.0, place), (1.0, place)] for place in kept[1]]
    axes.add_collection(LineCollection(upward, transform=vertical, **look), autolim=False)
    axes.add_collection(LineCollection(across, transform=horizontal, **look), autolim=False)
    if label_x:
        texts = [compact(place) for place in kept[0]]
        write(axes, kept[0], np.zeros(len(texts)), texts, TICK, shift=(0, -9), within=vertical).set_gid("x")
    if label_y:
        texts, left = [compact(place) for place in kept[1]], np.zeros(len(kept[1]))
        write(axes, left, kept[1], texts, TICK, align="right", shift=(-5, 0), within=horizontal).set_gid("y")


def name_axes(axes: Axes, x_label: str = "", y_label: str = "", left: float = 0.5) -> None:
    """Name axes whose numbers are drawn by `rule`; left: inches from the axes to the middle of the name of y."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    width, height = axes.get_position().size * figure.get_size_inches()
    if x_label:
        axes.set_xlabel(x_label)
        axes.xaxis.set_label_coords(0.5, -0.27 / height)
    if y_label:
        axes.set_ylabel(y_label)
        axes.yaxis.set_label_coords(-left / width, 0.5)
