"""One image file as pixels: decoded to RGB, upright, resized. A user's file is never changed."""

import importlib
import io
import stat
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from kenyan13.config.settings import MAX_PIXELS
from kenyan13.machine import available_cores, give_memory_back

Pixels = NDArray[np.uint8]  # [height, width, 3], red green blue
MAX_ASPECT = 10  # long to short side; of longer images the middle is used
LARGE = max(8e6, 64e6 / available_cores())  # pixels: such images are decoded one at a time, to bound the memory
REDUCED = 90e6  # pixels: larger JPEG files are decoded at a half, quarter or eighth of their size
KINDS = ((stat.S_ISFIFO, "a named pipe"), (stat.S_ISSOCK, "a socket"), (stat.S_ISDIR, "a folder"))
one_at_a_time = Lock()

Image.MAX_IMAGE_PIXELS = None  # `decode` has a limit of its own, which can be set
with suppress(ImportError):
    importlib.import_module("pillow_heif").register_heif_opener()


def resize_length(crop: int) -> int:
    """Return the length in pixels that the short side is resized to before cropping (study: int(crop x 16/14))."""
    return int(crop * 16 / 14)


def read_file(path: Path) -> bytes:
    """Return a file's contents. Raises OSError for what is no file, and for one that has gone or is being written."""
    try:
        before = path.stat()
        if not stat.S_ISREG(before.st_mode):  # to open a named pipe might wait for ever
            raise OSError(f"is {next((name for test, name in KINDS if test(before.st_mode)), 'a device')}, not a file")
        contents, after = path.read_bytes(), path.stat()
    except FileNotFoundError:
        raise OSError("the file has gone") from None
    if (len(contents), before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise OSError("the file changed while it was read")
    return contents


def opened(contents: bytes) -> Image.Image:
    """Return an image of which only the header has been read. Raises what Pillow raises for a file that is no image."""
    try:
        return Image.open(io.BytesIO(contents))
    except UnidentifiedImageError:
        what = "cannot identify the image file" if contents else "the file is empty"
        if contents[4:8] == b"ftyp":  # ISO base media: https://mp4ra.org lists the brands
            avif = contents[8:12] in (b"avif", b"avis")
            what = "AVIF needs pip install -U pillow" if avif else "HEIC needs pip install 'kenyan13[heif]'"
        raise UnidentifiedImageError(what) from None


def decode(source: Path | bytes, at_least: int | None = None, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Return a file or its contents as RGB: turned as its EXIF orientation says, transparent parts over white.

    at_least: a JPEG may come at 1/2, 1/4 or 1/8 of its size, no side below so many pixels, much faster. Raises what
    Pillow and `read_file` raise, ValueError for more than max_pixels, or pixels that cannot be shown with 8 bits.
    """
    image = opened(source if isinstance(source, bytes) else read_file(source))
    if (pixels := image.width * image.height) > max_pixels:
        size = f"{image.width:,} x {image.height:,} pixels are {pixels / 1e6:,.0f} million"
        raise ValueError(f"{size}: more than data.max_pixels={max_pixels}")
    if at_least is not None or pixels > REDUCED:
        image.draft(None, (at_least or 2048, at_least or 2048))
    deep = any(";16" in str(part) for tile in getattr(image, "tile", ()) for part in tile)
    image.load()
    ImageOps.exif_transpose(image, in_place=True)
    if image.mode.startswith("I") or image.mode == "F":
        image = Image.fromarray(to_bytes(np.asarray(image)))
    elif deep and np.asarray(image.convert("RGB")).max() < 16:  # of each 16 bits, Pillow keeps the upper eight
        raise ValueError("colours of 16 bits of which at most 12 are used: save it with 8 bits")
    if image.has_transparency_data:
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    image = image if image.mode == "RGB" else image.convert("RGB")
    image.info = {}  # positions, owners and comments, which Pillow would write into what is made of it
    return image


def to_bytes(grey: NDArray[Any]) -> NDArray[np.uint8]:
    """Return grey values of 16 or 32 bits, or floats, as uint8. Raises ValueError where no value is finite.

    Of 16 bits the upper ones in use count (cameras fill 10, 12 or 14); values of 0 to 255 stay; others are scaled.
    """
    finite = grey[np.isfinite(grey)]
    if not finite.size:
        raise ValueError("no pixel is a finite number")
    low, high = float(finite.min()), float(finite.max())
    if grey.dtype == np.uint16:
        grey = grey >> next(bits - 8 for bits in (8, 10, 12, 14, 16) if high < 2**bits)
    elif low < 0 or high <= 1 or high > 255:
        with np.errstate(invalid="ignore"):
            grey = 255 * (grey.astype(np.float64) - low) / ((high - low) or 1)
    return np.nan_to_num(grey, nan=0, posinf=255, neginf=0).clip(0, 255).astype(np.uint8)  # type: ignore[no-any-return]


def stored_size(width: int, height: int, length: int) -> tuple[int, int]:
    """Return width and height after `resize_short_side` of an image of that size."""
    short, long = sorted((width, height))
    other = int(length * min(long, MAX_ASPECT * short) / short)
    return (length, other) if width <= height else (other, length)


def resize_short_side(image: Image.Image, length: int) -> Image.Image:
    """Return the image with its short side at `length`, as torchvision's Resize; of very long ones, the middle."""
    width, height = image.size
    most = MAX_ASPECT * min(width, height)
    if max(width, height) > most:
        left, top = max(0, width - most) // 2, max(0, height - most) // 2
        image = image.crop((left, top, left + min(width, most), top + min(height, most)))
    size = stored_size(width, height, length)
    return image if image.size == size else image.resize(size, Image.Resampling.BILINEAR)


def load(source: Path | bytes, length: int, max_pixels: int = MAX_PIXELS) -> Pixels:
    """Decode and resize an image file or its contents; raises as `decode`."""
    contents = source if isinstance(source, bytes) else read_file(source)
    large = np.prod(opened(contents).size) > LARGE
    with one_at_a_time if large else nullcontext():
        pixels = np.asarray(resize_short_side(decode(contents, max_pixels=max_pixels), length))
        if large:
            give_memory_back()  # or each thread would keep as much for its next image
    return pixels


def list_unreadable(lines: Sequence[str], total: int) -> str:
    """Return a message about images that cannot be read, of `total`: a line each, up to fifteen."""
    more = [f"and {len(lines) - 15:,} more"] if len(lines) > 15 else []
    return "\n    ".join([f"{len(lines):,} of {total:,} images cannot be read:", *lines[:15], *more])


def centre_crop(image: Pixels, crop: int) -> Pixels:
    """Return the middle uint8 [crop, crop, 3], as torchvision's CenterCrop takes it."""
    top, left = (round((side - crop) / 2) for side in image.shape[:2])
    return image[top : top + crop, left : left + crop]


def centre_views(image: Pixels, crop: int, shares: Sequence[float] = ()) -> Pixels:
    """Return the centre crop of a stored image, and middle squares resized alike: uint8 [1 + views, crop, crop, 3].

    shares: the squares' sides as shares of the image's short side, above 0, at most 1.
    """
    views, square = [centre_crop(image, crop)], centre_crop(image, min(image.shape[:2]))
    for side in view_sides(len(square), shares):
        first = (len(square) - side) // 2
        part = Image.fromarray(square[first : first + side, first : first + side])
        views.append(np.asarray(part.resize((crop, crop), Image.Resampling.BILINEAR)))
    return np.stack(views)


def view_sides(length: int, shares: Sequence[float]) -> list[int]:
    """Return the sides in pixels of middle squares, by their shares of a short side of `length` pixels."""
    return [max(1, round(share * length)) for share in shares]
