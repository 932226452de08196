"""Grids of pictures: those of a set with captions, and what presets of the augmentation make of one picture."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from kenyan13.figures.lettering import write
from kenyan13.figures.style import DPI, HEAD, MARGIN, panel, sheet, styled, wrapped

Pixels = NDArray[np.uint8]
GAP = 6  # pixels between pictures
SMALLEST, LARGEST = 112, 168  # pixels: how wide a picture is drawn
POINTS, LINES = 7.5, 4  # of captions: points of their letters, lines at most
LINE = 1.45 * POINTS / 72 * DPI  # pixels a line of a caption


@styled
def picture_grid(pictures: Sequence[Pixels], captions: Sequence[str], columns: int = 6, title: str = "") -> Figure:
    """Draw pictures side by side in rows, each with its caption below, wrapped to four lines at most.

    pictures: uint8 [height, width, 3], of any size: each keeps its shape inside a square; captions: one for each, whose
    own line breaks are kept.
    """
    columns = max(1, min(columns, len(pictures)))
    longest = max((max(picture.shape[:2]) for picture in pictures), default=SMALLEST)
    side = int(np.clip(longest, SMALLEST, LARGEST))
    texts = [wrapped(caption, side / DPI, POINTS, LINES) for caption in captions]
    places = [(place, place % columns * (side + GAP)) for place in range(len(pictures))]
    rows, captioned, bottom = [], [], 0
    for start in range(0, len(pictures), columns):
        own = places[start : start + columns]
        high = max(_size(pictures[place], side)[0] for place, _ in own)
        below = round(LINE * (max(len(texts[place]) for place, _ in own) + 0.6)) + GAP
        row = np.full((high + below, columns * (side + GAP) - GAP, 3), 255, dtype=np.uint8)
        for place, left in own:
            row[:high, left : left + side] = _inside(pictures[place], side)[-high:]
            lines = enumerate(texts[place])
            captioned += [(left, bottom + high + (number + 0.8) * LINE, line) for number, line in lines]
        bottom += len(row)
        rows.append(row)
    whole = np.concatenate(rows) if rows else np.full((side, side, 3), 255, dtype=np.uint8)
    axes = _whole(whole, title, f"{len(pictures)} picture{'s' * (len(pictures) != 1)}")
    x, y, lines_written = zip(*captioned, strict=True) if captioned else ((), (), ())
    write(axes, x, y, lines_written, POINTS, "black", "left").set_gid("captions")
    figure = axes.get_figure(root=True)
    assert figure is not None
    return figure


@styled
def preset_figure(blocks: Mapping[str, Pixels], title: str = "") -> Figure:
    """Draw blocks of nine pictures, 3 x 3, side by side and four to a row, each with its name above.

    blocks: by name, uint8 [9, height, width, 3].
    """
    side, head, gap = 88, 24, 18  # pixels: a picture, the name above a block, between blocks
    block = 3 * side + 4
    columns = max(1, min(4, len(blocks)))
    rows = max(1, -(-len(blocks) // columns))
    row = head + block + gap
    whole = np.full((rows * row, columns * (block + gap) - gap, 3), 255, dtype=np.uint8)
    for place, pictures in enumerate(blocks.values()):
        for part, picture in enumerate(pictures):
            top = place // columns * row + head + part // 3 * (side + 2)
            left = place % columns * (block + gap) + part % 3 * (side + 2)
            whole[top : top + side, left : left + side] = _inside(picture, side)
    axes = _whole(whole, title, "Nine pictures each")
    for place, name in enumerate(blocks):
        top, left = place // columns * row, place % columns * (block + gap)
        axes.text(left, top + head - 6, "".join(wrapped(name, block / DPI, 10, 1)), fontsize=10, va="baseline")
    figure = axes.get_figure(root=True)
    assert figure is not None
    return figure


def _whole(pixels: Pixels, title: str, detail: str) -> Axes:
    """Return axes, in pixels, that show one composed picture: one picture is drawn faster than many."""
    height, width = (length / DPI for length in pixels.shape[:2])
    figure = sheet(max(width + 2 * MARGIN, 4.0), height + HEAD + MARGIN, title, detail)
    axes = panel(figure, MARGIN, MARGIN, width, height)
    axes.imshow(pixels, aspect="auto", extent=(0, pixels.shape[1], pixels.shape[0], 0))
    axes.set_axis_off()
    return axes


def _inside(picture: Pixels, side: int) -> Pixels:
    """Return a picture at the bottom of a white square of that many pixels, in its own shape."""
    height, width = _size(picture, side)
    square = np.full((side, side, 3), 255, dtype=np.uint8)
    left = (side - width) // 2
    square[side - height :, left : left + width] = np.rint(_resized(_resized(picture, height, 0), width, 1))
    return square


def _size(picture: Pixels, side: int) -> tuple[int, int]:
    """Return height and width of a picture that just fits into a square of that many pixels."""
    scale = side / max(picture.shape[:2])
    return max(1, round(picture.shape[0] * scale)), max(1, round(picture.shape[1] * scale))


def _resized(picture: NDArray[Any], length: int, axis: int) -> NDArray[Any]:
    """Return a picture with another length of that axis: means of neighbours, or repetitions where it grows."""
    old = picture.shape[axis]
    if old == length:
        return picture
    if old < length:
        repeated: NDArray[Any] = picture.take(np.arange(length) * old // length, axis)
        return repeated
    starts = np.arange(length) * old // length
    sizes = np.diff(np.append(starts, old)).reshape((-1, 1, 1) if axis == 0 else (1, -1, 1))
    means: NDArray[np.float64] = np.add.reduceat(picture, starts, axis, dtype=np.float32) / sizes
    return means
