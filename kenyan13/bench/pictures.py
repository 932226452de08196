"""The pictures of the comparison: JPEG files as large as a camera's or a web site's."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from kenyan13.data.batches import Pictures
from kenyan13.data.catalogue import Catalogue, read
from kenyan13.data.pictures import decode, resize_length
from kenyan13.data.store import open_store
from kenyan13.data.synthetic import draw_if_missing
from kenyan13.settings import DataSettings

SHORT_SIDE, QUALITY = 1080, 90  # pixels of KenyanFood13's photographs; JPEG quality


def read_paths(settings: DataSettings, number: int) -> tuple[Path, ...]:
    """Return up to `number` labelled pictures, spread over the data set; the demo's are drawn where there are none."""
    draw_if_missing(settings)
    paths = read(settings).labelled.paths
    return tuple(paths[k] for k in np.linspace(0, len(paths) - 1, min(number, len(paths))).astype(int).tolist())


@contextmanager
def large_pictures(paths: Sequence[Path]) -> Iterator[list[Path]]:
    """Write the pictures anew, with short sides of 1080 pixels, as JPEG files that are there for the context's time."""
    with tempfile.TemporaryDirectory(prefix="kenyan13-bench-") as folder:
        files = [Path(folder) / f"{k:04d}.jpg" for k in range(len(paths))]
        for path, file in zip(paths, files, strict=True):
            picture = decode(path)
            scale = SHORT_SIDE / min(picture.size)
            size = (round(picture.width * scale), round(picture.height * scale))
            picture.resize(size, Image.Resampling.BICUBIC).save(file, quality=QUALITY)
        yield files


def stored(files: Sequence[Path], crop: int, cache: Path) -> Pictures:
    """Return the files' pictures in a store, for views of this crop. Raises OSError for one that cannot be read."""
    store = open_store(files, resize_length(crop), cache)
    if store.bad:
        raise OSError(f"{files[min(store.bad)]}: {store.bad[min(store.bad)]}")
    catalogue = Catalogue(
        tuple(file.stem for file in files), tuple(files), np.zeros(len(files), dtype=np.int64), ("any",)
    )
    return Pictures(catalogue, store, np.arange(len(files)))
