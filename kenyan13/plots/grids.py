"""The grid of what presets of the augmentation make of the same images."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from kenyan13.plots.style import new_figure, short, styled

COLUMNS = 4  # blocks side by side
BLOCK = 2.6  # inches


@styled
def preset_plot(blocks: Mapping[str, NDArray[np.uint8]], title: str = "") -> Figure:
    """Draw blocks of nine images, 3 x 3, side by side and four to a row, each with its name above.

    blocks: by name, uint8 [9, side, side, 3].
    """
    columns = max(1, min(COLUMNS, len(blocks)))
    rows = max(1, -(-len(blocks) // columns))
    figure = new_figure(columns * BLOCK, rows * (BLOCK + 0.3), title)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in panels:
        axes.set_axis_off()
    for axes, (name, images) in zip(panels, blocks.items(), strict=False):
        framed = np.pad(images, ((0, 0), (0, 4), (0, 4), (0, 0)), constant_values=255)
        axes.imshow(np.vstack([np.hstack(list(framed[k : k + 3])) for k in (0, 3, 6)]))
        axes.set_title(short(name))
    return figure
