"""The grid of what presets of the augmentation make of the same images."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from kenyan13.plots.style import DPI, HEAD, MARGIN, fitted, panel, sheet, styled

SIDE, LINE, GAP, HEADING = 88, 2, 18, 24  # pixels: an image, between images, between blocks, above a block
COLUMNS = 4  # blocks side by side


@styled
def preset_figure(blocks: Mapping[str, NDArray[np.uint8]], title: str = "") -> Figure:
    """Draw blocks of nine images, 3 x 3, side by side and four to a row, each with its name above.

    blocks: by name, uint8 [9, side, side, 3].
    """
    block = 3 * SIDE + 2 * LINE
    columns = max(1, min(COLUMNS, len(blocks)))
    rows = max(1, -(-len(blocks) // columns))
    # One composed image is drawn faster than many.
    whole = np.full((rows * (HEADING + block + GAP), columns * (block + GAP) - GAP, 3), 255, dtype=np.uint8)
    corners = {
        name: (place // columns * (HEADING + block + GAP) + HEADING, place % columns * (block + GAP))
        for place, name in enumerate(blocks)
    }
    for name, (top, left) in corners.items():
        for place, image in enumerate(blocks[name]):
            y, x = top + place // 3 * (SIDE + LINE), left + place % 3 * (SIDE + LINE)
            whole[y : y + SIDE, x : x + SIDE] = np.asarray(Image.fromarray(image).resize((SIDE, SIDE)))
    height, width = (length / DPI for length in whole.shape[:2])
    figure = sheet(max(width + 2 * MARGIN, 4.0), height + HEAD + MARGIN, title, "Nine images each")
    axes = panel(figure, MARGIN, MARGIN, width, height)
    axes.imshow(whole, aspect="auto", extent=(0, whole.shape[1], whole.shape[0], 0))
    axes.set_axis_off()
    for name, (top, left) in corners.items():
        axes.text(left, top - 6, fitted(name, block / DPI, 10), fontsize=10, va="baseline")
    return figure
