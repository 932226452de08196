"""Small square images for pages and figures that show many: decoded no larger than needed, on all cores."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

from kenyan13.data.images import UNREADABLE, Pixels, decode, resize_short_side
from kenyan13.machine import available_cores


def thumbnails(paths: Sequence[Path], side: int) -> list[Pixels | None]:
    """Return the middle square of each image, uint8 [side, side, 3], in order; None for a file that cannot be read.

    side: pixels, at least 1. Images are upright and over white, as `images.load` gives them.
    """
    # Threads, for Pillow decodes and resizes without holding the interpreter.
    with ThreadPoolExecutor(available_cores()) as pool:
        return list(pool.map(partial(thumbnail, side=side), paths))


def thumbnail(path: Path, side: int) -> Pixels | None:
    """Return one of `thumbnails`."""
    try:
        # Half as large again, so that the antialiasing of the last step decides what is seen, as for `images.load`.
        image = resize_short_side(decode(path, at_least=side * 3 // 2), side)
    except UNREADABLE:
        return None
    left, top = (round((length - side) / 2) for length in image.size)
    return np.asarray(image.crop((left, top, left + side, top + side)))
