"""One image file as pixels: every way of storing one gives the RGB that a viewer shows."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torchvision.transforms.functional as F
from numpy.typing import NDArray
from PIL import Image
from torchvision.transforms import InterpolationMode

from kenyan13.data.images import centre_views, decode, load, resize_length, resize_short_side
from kenyan13.data.synthetic import draw

UPRIGHT: NDArray[np.uint8] = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3) * 13
# EXIF orientation -> how the upright image lies in the file (Exif 2.32, tag 0112: where row 0 and column 0 are)
STORED = {
    1: UPRIGHT,
    2: UPRIGHT[:, ::-1],
    3: UPRIGHT[::-1, ::-1],
    4: UPRIGHT[::-1],
    5: UPRIGHT.swapaxes(0, 1),
    6: np.rot90(UPRIGHT, 1),
    7: UPRIGHT[::-1, ::-1].swapaxes(0, 1),
    8: np.rot90(UPRIGHT, -1),
}


def photo(short: int = 0) -> Image.Image:
    return draw("pilau", np.random.default_rng(short))


def decoded(image: Image.Image, tmp_path: Path, kind: str = "PNG", **options: object) -> NDArray[np.uint8]:
    file = tmp_path / "image.jpg"  # the ending says nothing, as in KenyanFood13
    image.save(file, kind, **options)
    read = decode(file)
    assert read.mode == "RGB"
    return np.asarray(read)


def pixels(*values: tuple[int, ...] | int) -> NDArray[np.uint8]:
    """Return one row of pixels."""
    return np.array([values], dtype=np.uint8)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP"])
def test_rgb_is_read_as_it_is(tmp_path: Path, kind: str) -> None:
    assert np.array_equal(decoded(Image.fromarray(UPRIGHT), tmp_path, kind), UPRIGHT)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_turned_upright(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation]))
    assert np.array_equal(decoded(stored, tmp_path, exif=exif), UPRIGHT)


def test_alpha_lies_over_white(tmp_path: Path) -> None:
    stored = pixels((200, 10, 0, 0), (200, 10, 0, 255), (0, 0, 0, 128), (100, 200, 50, 51), (255, 255, 255, 7))
    expected = pixels((255, 255, 255), (200, 10, 0), (127, 127, 127), (224, 244, 214), (255, 255, 255))
    assert np.array_equal(decoded(Image.fromarray(stored, "RGBA"), tmp_path), expected)


def test_every_alpha_is_mixed_to_the_nearest_value(tmp_path: Path) -> None:
    value, alpha = np.meshgrid(np.arange(256), np.arange(256))
    stored = np.stack([value, value, value, alpha], axis=-1).astype(np.uint8)
    mixed = (value * alpha + 255 * (255 - alpha)) / 255
    error = decoded(Image.fromarray(stored, "RGBA"), tmp_path) - mixed[..., None]
    assert np.abs(error).max() <= 0.51


def test_grey_with_alpha(tmp_path: Path) -> None:
    stored = Image.fromarray(pixels((80, 255), (80, 0), (0, 51)), "LA")
    assert np.array_equal(decoded(stored, tmp_path), pixels((80,) * 3, (255,) * 3, (204,) * 3))


@pytest.mark.parametrize("mode", ["L", "1"])
def test_grey(tmp_path: Path, mode: str) -> None:
    stored = Image.fromarray(pixels(0, 255)).convert(mode)
    assert np.array_equal(decoded(stored, tmp_path), pixels((0,) * 3, (255,) * 3))


def test_sixteen_bit_grey_keeps_its_high_byte(tmp_path: Path) -> None:
    stored = Image.fromarray(np.array([[0, 255, 256, 40000, 65535]], dtype=np.uint16))
    assert stored.mode == "I;16"
    assert np.array_equal(decoded(stored, tmp_path), pixels(*((grey,) * 3 for grey in (0, 0, 1, 156, 255))))


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_a_palette_with_a_transparent_colour(tmp_path: Path, kind: str) -> None:
    stored = Image.fromarray(pixels(0, 1, 2), "P")
    stored.putpalette([255, 0, 0, 10, 20, 30, 0, 0, 255])
    expected = pixels((255, 0, 0), (255, 255, 255), (0, 0, 255))
    assert np.array_equal(decoded(stored, tmp_path, kind, transparency=1), expected)


def test_a_palette_with_alpha_for_each_colour(tmp_path: Path) -> None:
    stored = Image.fromarray(pixels(0, 1, 2), "P")
    stored.putpalette([255, 0, 0, 0, 0, 0, 0, 0, 255])
    expected = pixels((255, 0, 0), (127, 127, 127), (255, 255, 255))
    assert np.array_equal(decoded(stored, tmp_path, transparency=bytes([255, 128, 0])), expected)


def test_an_rgb_colour_declared_transparent(tmp_path: Path) -> None:
    stored = Image.fromarray(pixels((1, 2, 3), (4, 5, 6)))
    assert np.array_equal(decoded(stored, tmp_path, transparency=(1, 2, 3)), pixels((255, 255, 255), (4, 5, 6)))


def test_cmyk(tmp_path: Path) -> None:
    stored = Image.fromarray(pixels((0, 255, 255, 0), (255, 0, 0, 0), (0, 0, 0, 255), (0, 0, 0, 0)), "CMYK")
    expected = pixels((255, 0, 0), (0, 255, 255), (0, 0, 0), (255, 255, 255))
    assert np.array_equal(decoded(stored, tmp_path, "TIFF"), expected)


def test_an_animation_gives_its_first_image(tmp_path: Path) -> None:
    red, blue = (Image.new("RGB", (2, 2), colour) for colour in ("red", "blue"))
    read = decoded(red, tmp_path, "GIF", save_all=True, append_images=[blue])
    assert np.array_equal(read, np.full((2, 2, 3), (255, 0, 0)))


def test_what_is_no_whole_image_is_unreadable(tmp_path: Path) -> None:
    file = BytesIO()
    photo().save(file, "JPEG", quality=90)
    jpeg = file.getvalue()
    for number, content in enumerate((jpeg[: len(jpeg) // 2], jpeg[:-300], jpeg[:20], b"", b"<html>", jpeg[400:])):
        (tmp_path / f"{number}.jpg").write_bytes(content)
        with pytest.raises((OSError, SyntaxError, ValueError)):
            load(tmp_path / f"{number}.jpg", 32)
    for path in (tmp_path, tmp_path / "absent.jpg"):
        with pytest.raises((OSError, SyntaxError, ValueError)):
            load(path, 32)


@pytest.mark.parametrize(("crop", "length"), [(224, 256), (380, 434), (300, 342), (600, 685), (64, 73), (8, 9)])
def test_the_short_side_is_the_study_s(crop: int, length: int) -> None:
    assert resize_length(crop) == length


@pytest.mark.parametrize("crop", [224, 380, 32])
@pytest.mark.parametrize("size", [(640, 480), (480, 640), (500, 500), (333, 500), (401, 299), (97, 60), (256, 300)])
def test_resizing_is_torchvision_s(size: tuple[int, int], crop: int) -> None:
    image, length = photo().resize(size), resize_length(crop)
    expected = F.resize(image, length, InterpolationMode.BILINEAR)
    resized = resize_short_side(image, length)
    assert resized.size == expected.size
    assert min(resized.size) == length
    assert np.array_equal(np.asarray(resized), np.asarray(expected))


@pytest.mark.parametrize("size", [(341, 256), (256, 300), (256, 256)])
def test_views_are_middle_squares_resized_as_torchvision_does(size: tuple[int, int]) -> None:
    image = photo().resize(size)
    views = centre_views(np.asarray(image), 224, [1, 0.75, 0.125])
    expected = [F.center_crop(image, [224, 224])]
    for side in (256, 192, 32):
        inner = F.center_crop(F.center_crop(image, [256, 256]), [side, side])
        expected.append(F.resize(inner, [224, 224], InterpolationMode.BILINEAR))
    assert np.array_equal(views, np.stack([np.asarray(view) for view in expected]))


def test_load_decodes_and_resizes_and_leaves_the_file_alone(tmp_path: Path) -> None:
    file = tmp_path / "image.jpg"
    photo().save(file, "JPEG")
    before, status = file.read_bytes(), file.stat()
    loaded = load(file, 73)
    assert loaded.dtype == np.uint8
    assert np.array_equal(loaded, np.asarray(F.resize(Image.open(file), 73, InterpolationMode.BILINEAR)))
    assert file.read_bytes() == before
    assert file.stat().st_mtime_ns == status.st_mtime_ns
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(
    ("at_least", "size"), [(None, (1080, 720)), (361, (1080, 720)), (360, (540, 360)), (90, (135, 90))]
)
def test_a_jpeg_is_decoded_no_larger_than_needed(tmp_path: Path, at_least: int | None, size: tuple[int, int]) -> None:
    photo().resize((1080, 720)).save(tmp_path / "large.jpg", "JPEG")
    assert decode(tmp_path / "large.jpg", at_least).size == size
