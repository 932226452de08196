"""The grid of presets: where its images lie, in which size, and what stands above."""

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from kenyan13.plots.grids import preset_figure


def shown(figure: Figure) -> NDArray[np.uint8]:
    (image,) = figure.axes[0].images  # one composed image
    return np.asarray(image.get_array(), dtype=np.uint8)


def test_presets_stand_side_by_side_in_blocks_of_nine() -> None:
    blocks = {name: np.full((9, 88, 88, 3), k, np.uint8) for k, name in enumerate(("none", "$default$", "x" * 99))}
    blocks["none"][5] = 99  # second row, third column
    figure = preset_figure(blocks, "presets")
    whole = shown(figure)
    assert [int((whole == k).all(axis=2).sum()) for k in (0, 1, 2)] == [8 * 88**2, 9 * 88**2, 9 * 88**2]
    y, x = np.nonzero((whole == 99).all(axis=2))
    assert (x.min(), x.max()) == (2 * 90, 2 * 90 + 87)
    assert y.min() == 24 + 90
    names = [text.get_text() for text in figure.axes[0].texts]
    assert names[:2] == ["none", "$default$"]
    assert names[2].startswith("xx")
    assert "…" in names[2]
