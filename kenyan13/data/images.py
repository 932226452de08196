"""One image file as pixels: decoded to RGB, upright, resized. A user's file is never changed."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

Pixels = NDArray[np.uint8]  # [height, width, 3], red green blue


def resize_length(crop: int) -> int:
    """Return the length in pixels that the short side is resized to before cropping (study: int(crop x 16/14))."""
    return int(crop * 16 / 14)


def decode(path: Path, at_least: int | None = None) -> Image.Image:
    """Return the image as RGB: turned as its EXIF orientation says, transparent parts over white.

    at_least: a JPEG file may come at half, a quarter or an eighth of its size, with no side below so many pixels: its
    decoder gives these in a fraction of the time. Raises whatever Pillow raises for a file that is no image.
    """
    with Image.open(path) as opened:
        if at_least is not None:
            opened.draft(None, (at_least, at_least))
        opened.load()
        image = ImageOps.exif_transpose(opened)
    if image.mode.startswith("I;16"):  # Pillow would clip 16-bit grey at 255
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.has_transparency_data:
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    return image.convert("RGB")


def resize_short_side(image: Image.Image, length: int) -> Image.Image:
    """Return the image with its short side at `length` pixels, bilinear with antialiasing.

    The long side is cut to a whole pixel as torchvision's Resize does.
    """
    width, height = image.size
    short, long = sorted((width, height))
    other = int(length * long / short)
    size = (length, other) if width <= height else (other, length)
    return image if image.size == size else image.resize(size, Image.Resampling.BILINEAR)


def load(path: Path, length: int) -> Pixels:
    """Decode and resize an image file; raises as `decode`."""
    return np.asarray(resize_short_side(decode(path), length))


def list_unreadable(lines: Sequence[str], total: int) -> str:
    """Return a message about images that cannot be read, of `total`: a line each, up to fifteen."""
    more = [f"and {len(lines) - 15:,} more"] if len(lines) > 15 else []
    return "\n    ".join([f"{len(lines):,} of {total:,} images cannot be read:", *lines[:15], *more])
