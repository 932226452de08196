"""One picture file as pixels: decoded to RGB, upright, resized. A user's file is never changed."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

Pixels = NDArray[np.uint8]  # [height, width, 3], red green blue

# What is raised for files that are no pictures, cut short, broken or absurdly large: Pillow's formats raise nearly
# everything (struct.error, RuntimeError, NotImplementedError among them).
UNREADABLE = Exception


def resize_length(crop: int) -> int:
    """Return the length in pixels that the short side is resized to before cropping (study: int(crop x 16/14))."""
    return int(crop * 16 / 14)


def decode(path: Path, at_least: int | None = None) -> Image.Image:
    """Return the picture as RGB: turned as its EXIF orientation says, transparent parts over white.

    at_least: a JPEG file may come at half, a quarter or an eighth of its size, with no side below so many pixels: its
    decoder gives these in a fraction of the time. Raises UNREADABLE.
    """
    with Image.open(path) as opened:
        if at_least is not None:
            opened.draft(None, (at_least, at_least))
        opened.load()
        picture = ImageOps.exif_transpose(opened)
    if picture.mode.startswith("I;16"):  # Pillow would clip 16-bit grey at 255
        picture = Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8))
    if picture.has_transparency_data:
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture.convert("RGBA"))
    return picture.convert("RGB")


def resize_short_side(picture: Image.Image, length: int) -> Image.Image:
    """Return the picture with its short side at `length` pixels, bilinear with antialiasing.

    The long side is cut to a whole pixel as torchvision's Resize does.
    """
    width, height = picture.size
    short, long = sorted((width, height))
    other = int(length * long / short)
    size = (length, other) if width <= height else (other, length)
    return picture if picture.size == size else picture.resize(size, Image.Resampling.BILINEAR)


def load(path: Path, length: int) -> Pixels:
    """Decode and resize a picture file. Raises UNREADABLE."""
    return np.asarray(resize_short_side(decode(path), length))
