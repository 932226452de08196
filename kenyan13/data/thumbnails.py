"""Small square images for pages that show many: decoded no larger than needed."""

from pathlib import Path

import numpy as np

from kenyan13.data.images import UNREADABLE, Pixels, decode, resize_short_side


def thumbnail(path: Path, side: int) -> Pixels | None:
    """Return the middle square of an image, uint8 [side, side, 3], upright and over white; None for an unreadable one.

    side: pixels, at least 1.
    """
    try:
        # Half as large again, so that the antialiasing of the last step decides what is seen, as for `images.load`.
        image = resize_short_side(decode(path, at_least=side * 3 // 2), side)
    except UNREADABLE:
        return None
    left, top = (round((length - side) / 2) for length in image.size)
    return np.asarray(image.crop((left, top, left + side, top + side)))
