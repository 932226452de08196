"""Positions and other personal tags of photographs stay in the photographs."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

from kenyan13.data.images import decode
from kenyan13.export.session import heat_map, seen
from kenyan13.report.photos import smaller

PLACE = b"Nyeri, house 7"


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A photograph with a position, an owner and a comment."""
    image, exif = Image.fromarray(np.random.default_rng(0).integers(0, 255, (80, 120, 3), np.uint8)), Image.Exif()
    exif[ExifTags.Base.Artist] = PLACE.decode()
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitude] = (0.0, 25.0, 11.0)
    image.save(tmp_path / "photo.jpg", exif=exif, comment=PLACE)
    return tmp_path / "photo.jpg"


def test_a_reports_photographs_have_no_tags(photo: Path) -> None:
    assert PLACE in photo.read_bytes()
    made = smaller(photo, 64, square=True)
    assert made is not None
    assert PLACE not in made
    with Image.open(io.BytesIO(made)) as image:
        assert not image.getexif()
        assert "comment" not in image.info


def test_heat_maps_have_no_tags(photo: Path) -> None:
    image = seen(decode(photo), 32)
    heat_map(image, np.random.default_rng(0).random((2, 3, 3), np.float32), 0, 1).save(photo.with_name("map.jpg"))
    with Image.open(photo.with_name("map.jpg")) as made:
        assert not made.getexif()
    assert PLACE not in photo.with_name("map.jpg").read_bytes()
