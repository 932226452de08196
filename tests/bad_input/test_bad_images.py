"""Image files as people really have them: read with the right values, or named with the reason and what to do."""

import io
import os
import socket
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from kenyan13.config.settings import Settings, StoreKind
from kenyan13.data import images as module
from kenyan13.data.images import MAX_ASPECT, decode, load, stored_size
from kenyan13.data.store import Store, decode_all
from kenyan13.errors import UserError

Compose = Callable[..., Settings]
RAMP = np.arange(64 * 64).reshape(64, 64)  # 0 to 4095


def tiff(values: ArrayLike, path: Path) -> Path:
    Image.fromarray(np.asarray(values)).save(path, "TIFF")
    return path


def reason(path: Path, max_pixels: int = 10**8) -> str:
    """Return why an image cannot be read; "" where it can."""
    ((_, why, _),) = decode_all([path], 32, max_pixels)
    return why


def contents(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


# values of a grey file -> what of 0 to 255 is shown
GREY: dict[str, tuple[ArrayLike, ArrayLike]] = {
    "12 bits in 16": (RAMP.astype(np.uint16), RAMP >> 4),
    "10 bits in 16": ((RAMP >> 2).astype(np.uint16), RAMP >> 4),
    "14 bits in 16": ((RAMP << 2).astype(np.uint16), RAMP >> 4),
    "8 bits in 16": ((RAMP >> 4).astype(np.uint16), RAMP >> 4),
    "16 bits": ((RAMP << 4).astype(np.uint16), RAMP >> 4),
    "int32 of 16 bits": ((RAMP * 16).astype(np.int32), RAMP / 4095 * 255),
    "int32 of 31 bits": ((RAMP * 500_000).astype(np.int32), RAMP / 4095 * 255),
    "int32 of 8 bits": ((RAMP >> 4).astype(np.int32), RAMP >> 4),
    "int32 below zero": ((RAMP - 2000).astype(np.int32), RAMP / 4095 * 255),
    "floats to 1": ((RAMP / 4095).astype(np.float32), RAMP / 4095 * 255),
    "floats to 255": ((RAMP / 4095 * 255).astype(np.float32), RAMP / 4095 * 255),
    "floats to a million": ((RAMP * 250.0).astype(np.float32), RAMP / 4095 * 255),
    "tiny floats": ((RAMP * 1e-9).astype(np.float32), RAMP / 4095 * 255),
    "floats about zero": ((RAMP / 2048 - 1).astype(np.float32), RAMP / 4095 * 255),
}


@pytest.mark.parametrize("kind", GREY)
def test_deep_grey_is_shown_by_its_own_range(tmp_path: Path, kind: str) -> None:
    values, expected = GREY[kind]
    shown = np.asarray(decode(tiff(values, tmp_path / "x.tif")))
    assert shown.shape == (64, 64, 3)
    assert np.abs(shown[..., 0] - np.asarray(expected, dtype=np.float64)).max() <= 1.01


def test_floats_that_are_no_numbers(tmp_path: Path) -> None:
    values = (RAMP / 4095).astype(np.float32)
    values[0, :3] = np.nan, np.inf, -np.inf
    shown = np.asarray(decode(tiff(values, tmp_path / "x.tif")))
    assert shown[0, :3, 0].tolist() == [0, 255, 0]
    assert shown[-1, -1, 0] == 255
    assert reason(tiff(np.full((8, 8), np.nan, np.float32), tmp_path / "y.tif")) == "no pixel is a finite number"


@pytest.mark.parametrize("value", [0, 7, 60_000])
def test_a_deep_image_of_one_value_is_read(tmp_path: Path, value: int) -> None:
    assert reason(tiff(np.full((8, 8), value, np.int32), tmp_path / "x.tif")) == ""


def deep_colours(values: NDArray[Any], path: Path) -> Path:
    """Write a PNG with colours of 16 bits, which Pillow cannot."""
    height, width, _ = values.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    chunks = [struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in parts]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))
    return path


def test_colours_of_16_bits_keep_the_upper_eight_and_12_bits_in_16_are_named(tmp_path: Path) -> None:
    colours = np.stack([RAMP, RAMP[::-1], RAMP.T], axis=-1).astype(np.uint16)
    assert np.array_equal(np.asarray(decode(deep_colours(colours << 4, tmp_path / "16.png"))), colours >> 4)
    assert "at most 12 are used" in reason(deep_colours(colours, tmp_path / "12.png"))


@pytest.mark.parametrize("kind", ["named pipe", "socket", "folder", "device"])
def test_what_is_no_file_is_named_and_not_opened(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x.jpg"
    if kind == "named pipe":
        os.mkfifo(path)
    elif kind == "socket":
        socket.socket(socket.AF_UNIX).bind(str(path))
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("/dev/null")
    assert reason(path) == f"is a {kind}, not a file"
    store = Store([path], 16, tmp_path / "cache")
    assert store.bad == {0: f"is a {kind}, not a file"}


UNREADABLE = {
    "empty": (b"", "the file is empty"),
    "text": (b"no image at all", "cannot identify"),
    "half": (contents(Image.effect_noise((64, 64), 50))[:2000], "truncated"),
    "HEIC": (b"\0\0\0\x18ftypheic" + bytes(60), "pip install 'kenyan13[heif]'"),
    "iPhone": (b"\0\0\0\x18ftypmif1" + bytes(60), "pip install 'kenyan13[heif]'"),
    "AVIF": (b"\0\0\0\x18ftypavif" + bytes(60), "pip install -U pillow"),
    "a web page": (b"<!DOCTYPE html><html>Not found</html>", "cannot identify"),
}


@pytest.mark.parametrize("kind", UNREADABLE)
def test_what_cannot_be_read_says_why(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    written, expected = UNREADABLE[kind]
    Image.init()
    monkeypatch.setattr(Image, "ID", [kind for kind in Image.ID if kind not in ("HEIF", "AVIF")])
    (tmp_path / "x.jpg").write_bytes(written)
    assert expected in reason(tmp_path / "x.jpg")


@pytest.mark.parametrize("kind", ["HEIF", "AVIF"])
def test_phones_photographs_are_read(tmp_path: Path, kind: str) -> None:
    pytest.importorskip("pillow_heif")
    if kind not in Image.SAVE:
        pytest.skip(f"this Pillow writes no {kind}")
    photo = Image.linear_gradient("L").convert("RGB")
    (tmp_path / "x.heic").write_bytes(contents(photo, kind, quality=95))
    shown = np.asarray(decode(tmp_path / "x.heic"), dtype=np.float64)
    assert np.abs(shown - np.asarray(photo)).max() < 12


@pytest.mark.parametrize(("width", "height"), [(6000, 1), (1, 6000), (2048, 16), (400, 30), (170, 17), (170, 16)])
def test_of_very_long_images_the_middle_is_kept(tmp_path: Path, width: int, height: int) -> None:
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[..., 0] = np.linspace(0, 255, width).astype(np.uint8) if width > height else 0
    Image.fromarray(pixels).save(tmp_path / "x.png")
    shown = load(tmp_path / "x.png", 32)
    assert shown.shape[:2] == stored_size(width, height, 32)[::-1]
    assert min(shown.shape[:2]) == 32
    assert max(shown.shape[:2]) == int(32 * min(MAX_ASPECT, max(width, height) / min(width, height)))
    if width > height:
        assert abs(float(shown[..., 0].mean()) - 127.5) < 2, "from the middle"


def test_a_store_s_size_is_announced_truly_and_cuts_are_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [tmp_path / f"{k}.png" for k in range(3)]
    for path, size in zip(paths, [(6000, 1), (2000, 500), (300, 300)], strict=True):
        Image.new("RGB", size, "red").save(path)
    store = Store(paths, 256, tmp_path / "cache")
    said = capsys.readouterr().err
    assert "about 3 MB" in said
    assert (store.folder / "images.bin").stat().st_size == 3 * 256 * 256 * (10 + 4 + 1)
    assert "longer than 10 times their short side: 1 images" in said


def test_large_images_are_named_with_the_setting(compose: Compose, tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    Image.new("L", (40, 30)).save(path)
    told = "40 x 30 pixels are 0 million: more than data.max_pixels=1000"
    assert reason(path, 1000) == told
    cache = tmp_path / "cache"
    assert Store([path], 16, cache, max_pixels=1000).bad == {0: told}
    assert Store([path], 16, cache, max_pixels=1200).bad == {}, "the store is made anew"
    with pytest.raises(UserError, match="out of range"):
        compose("data.max_pixels=0")


def test_a_photograph_of_196_megapixels_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.jpg").write_bytes(contents(Image.new("L", (14_000, 14_000)), "JPEG"))
    assert reason(tmp_path / "x.jpg", 178_956_970).startswith("14,000 x 14,000 pixels are 196 million")


def test_a_file_that_changes_while_it_is_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.png"
    Image.new("L", (40, 30)).save(path)
    read = Path.read_bytes

    def slow(self: Path) -> bytes:
        found = read(self)
        path.write_bytes(found + b"more")
        return found

    monkeypatch.setattr(Path, "read_bytes", slow)
    assert reason(path) == "the file changed while it was read"


@pytest.mark.parametrize(("change", "told"), [("gone", "the file has gone"), ("other", "has changed since")])
def test_files_that_are_decoded_anew_must_stay(tmp_path: Path, change: str, told: str) -> None:
    path = tmp_path / "x.png"
    Image.new("L", (40, 30)).save(path)
    store = Store([path], 16, tmp_path / "cache", StoreKind.off)
    if change == "gone":
        path.unlink()
    else:
        Image.new("L", (40, 30), 200).save(path)
    with pytest.raises(UserError, match=told) as error:
        store[0]
    assert "put it back" in error.value.next_steps[0]


def test_what_a_loader_process_raises_is_one_screen() -> None:
    handed = 'Caught UserError in DataLoader worker process 0.\nOriginal Traceback:\n  File "x", line 1\n'
    handed += "kenyan13.errors.UserError: x.png has gone.\n  -> put it back\n"
    assert str(UserError(handed)) == "x.png has gone.\n  -> put it back"


def test_large_jpeg_files_are_decoded_at_a_part_of_their_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photo = Image.linear_gradient("L").resize((9000, 8000))
    (tmp_path / "x.jpg").write_bytes(contents(photo, "JPEG", quality=95))
    assert decode(tmp_path / "x.jpg").size == (9000, 8000)
    monkeypatch.setattr(module, "REDUCED", 1e6)
    reduced = decode(tmp_path / "x.jpg")
    assert reduced.size == (4500, 4000), "half is the least that has 2,048 pixels a side"
    small, expected = (np.asarray(one.convert("L").resize((90, 80)), np.float64) for one in (reduced, photo))
    assert np.abs(small - expected).max() < 3


@pytest.mark.slow
def test_memory_stays_below_a_gigabyte_whatever_the_images(tmp_path: Path) -> None:
    """Eight of 85 megapixels, and two hundred very long ones, at the size of a crop of 600."""
    large, long = contents(Image.new("RGB", (9220, 9220)), "PNG"), contents(Image.new("RGB", (8000, 20)), "PNG")
    paths = [tmp_path / f"{k}.png" for k in range(208)]
    for k, path in enumerate(paths):
        path.write_bytes(large if k < 8 else long)
    program = (
        "import re, sys; from pathlib import Path; from kenyan13.data.store import Store\n"
        "Store([*map(Path, sys.argv[2:])], 685, Path(sys.argv[1]))\n"
        "print(re.search(r'VmHWM:\\s+(\\d+)', Path('/proc/self/status').read_text())[1])\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "cache"), *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(done.stdout) * 1024 < 1e9
