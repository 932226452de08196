"""Thumbnails: the same squares as the slow way gives, whatever the file."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kenyan13.data.augmentation import centre_crop
from kenyan13.data.images import Pixels, decode, load
from kenyan13.data.synthetic import draw
from kenyan13.data.thumbnails import thumbnail

SIDE = 96


def photo(width: int = 1080, height: int = 720) -> Image.Image:
    return draw("pilau", np.random.default_rng(0)).resize((width, height), Image.Resampling.BICUBIC)


def off(one: Pixels | None, other: Pixels) -> float:
    """Return the mean difference in grey levels."""
    assert one is not None
    assert one.dtype == np.uint8
    assert one.shape == other.shape
    return float(np.abs(one.astype(int) - other).mean())


@pytest.mark.parametrize("size", [(1080, 720), (720, 1080), (97, 96), (3000, 200), (60, 40)])
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_thumbnail_is_the_middle_of_the_resized_image(tmp_path: Path, kind: str, size: tuple[int, int]) -> None:
    path = tmp_path / "image"
    photo(*size).save(path, kind)
    assert off(thumbnail(path, SIDE), centre_crop(load(path, SIDE), SIDE)) < 2


def test_what_cannot_be_read_has_none(tmp_path: Path) -> None:
    (tmp_path / "page.jpg").write_bytes(b"<html>")
    photo().save(tmp_path / "cut.jpg", "JPEG")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "cut.jpg").read_bytes()[:3000])
    assert all(thumbnail(path, 8) is None for path in (*tmp_path.iterdir(), tmp_path, tmp_path / "absent.jpg"))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_large_jpeg_is_turned_upright(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "turned.jpg"
    photo().save(path, "JPEG", exif=exif)
    assert off(thumbnail(path, SIDE), centre_crop(load(path, SIDE), SIDE)) < 2


def test_transparent_parts_are_white(tmp_path: Path) -> None:
    path = tmp_path / "clear.png"
    Image.new("RGBA", (200, 100), (200, 10, 0, 0)).save(path)
    made = thumbnail(path, 16)
    assert made is not None
    assert (made == 255).all()


@pytest.mark.parametrize(
    ("at_least", "size"), [(None, (1080, 720)), (361, (1080, 720)), (360, (540, 360)), (90, (135, 90))]
)
def test_a_jpeg_is_decoded_no_larger_than_needed(tmp_path: Path, at_least: int | None, size: tuple[int, int]) -> None:
    path = tmp_path / "large.jpg"
    photo().save(path, "JPEG")
    assert decode(path, at_least).size == size
