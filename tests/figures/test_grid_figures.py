"""Grids of pictures: where they lie, in which size, and what stands below."""

import io

import numpy as np
import pytest
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from kenyan13.figures.grids import picture_grid, preset_figure
from kenyan13.figures.lettering import Written
from kenyan13.figures.style import png


def noise(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def shown(figure: Figure) -> NDArray[np.uint8]:
    (image,) = figure.axes[0].images  # one composed picture
    return np.asarray(image.get_array(), dtype=np.uint8)


def captions(figure: Figure) -> list[str]:
    (found,) = (part for part in figure.findobj(Written) if part.get_gid() == "captions")
    assert isinstance(found, Written)
    return found.texts


def test_pictures_of_usual_size_are_shown_pixel_by_pixel() -> None:
    pictures = [noise(112, 112, seed) for seed in range(3)]
    figure = picture_grid(pictures, ["a", "b", "c"], columns=2, title="grid")
    whole = shown(figure)
    assert whole.shape[1] == 2 * 112 + 6
    assert np.array_equal(whole[:112, :112], pictures[0])
    assert np.array_equal(whole[:112, 118:], pictures[1])
    below = int(np.flatnonzero((whole[112:, :112] != 255).any(axis=(1, 2)))[0]) + 112
    assert np.array_equal(whole[below : below + 112, :112], pictures[2])
    assert (whole[below : below + 112, 118:] == 255).all()  # no fourth picture
    file = np.asarray(Image.open(io.BytesIO(png(figure))).convert("RGB")).astype(int)
    rows = [row for row in range(len(file) - 112) if np.abs(file[row, 20:60] - pictures[0][0, 7:47]).mean() < 20]
    assert rows  # the pixels of the file are those of the picture


def test_pictures_keep_their_shape() -> None:
    figure = picture_grid([np.zeros((40, 80, 3), np.uint8)], ["wide"])
    assert (shown(figure) == 0).all(axis=2).sum() == 112 * 56
    large = picture_grid([np.full((600, 300, 3), 7, np.uint8)], ["high"])
    assert (shown(large) == 7).all(axis=2).sum() == 168 * 84


def test_large_pictures_are_averaged() -> None:
    checks = np.indices((336, 336)).sum(axis=0) % 2 * 255
    figure = picture_grid([np.repeat(checks[..., None], 3, axis=2).astype(np.uint8)], [""])
    assert shown(figure)[:168, :168].mean() == pytest.approx(127.5, abs=1)


def test_captions_are_wrapped_below_their_pictures() -> None:
    texts = ["target $x$\nanswer <b>", "word " * 60]
    figure = picture_grid([noise(112, 112)] * 2, texts)
    lines = captions(figure)
    assert lines[:2] == ["target $x$", "answer <b>"]
    assert len(lines) == 2 + 4
    (part,) = (part for part in figure.findobj(Written) if part.get_gid() == "captions")
    assert isinstance(part, Written)
    offsets = np.asarray(part.get_offsets())
    assert offsets[:, 0].tolist() == [0, 0, 118, 118, 118, 118]
    assert (offsets[:, 1] > 112).all()
    assert (np.diff(offsets[2:, 1]) > 10).all()


@pytest.mark.parametrize("number", [1, 24])
def test_one_and_many_pictures(number: int) -> None:
    figure = picture_grid([noise(30 + k, 60 - k, k) for k in range(number)], ["caption"] * number, title="$")
    assert len(captions(figure)) == number
    assert png(figure)


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
