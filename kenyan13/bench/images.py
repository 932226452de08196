"""The images of the comparison: JPEG files as large as a camera's or a web site's."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from kenyan13.config.settings import DataSettings
from kenyan13.data.batches import Images
from kenyan13.data.catalogue import Catalogue, read
from kenyan13.data.images import decode, resize_length
from kenyan13.data.store import open_store
from kenyan13.data.synthetic import draw_if_missing

SHORT_SIDE, QUALITY = 1080, 90  # pixels of KenyanFood13's photographs; JPEG quality


def read_paths(settings: DataSettings, number: int) -> tuple[Path, ...]:
    """Return up to `number` labelled images, spread over the data set; the demo's are drawn where there are none."""
    draw_if_missing(settings)
    paths = read(settings).labelled.paths
    return tuple(paths[k] for k in np.linspace(0, len(paths) - 1, min(number, len(paths))).astype(int).tolist())


@contextmanager
def large_images(paths: Sequence[Path]) -> Iterator[list[Path]]:
    """Write the images anew, with short sides of 1080 pixels, as JPEG files that are there for the context's time."""
    with tempfile.TemporaryDirectory(prefix="kenyan13-bench-") as folder:
        files = [Path(folder) / f"{k:04d}.jpg" for k in range(len(paths))]
        for path, file in zip(paths, files, strict=True):
            image = decode(path)
            scale = SHORT_SIDE / min(image.size)
            size = (round(image.width * scale), round(image.height * scale))
            image.resize(size, Image.Resampling.BICUBIC).save(file, quality=QUALITY)
        yield files


def stored(files: Sequence[Path], crop: int, cache: Path) -> Images:
    """Return the files' images in a store, for views of this crop. Raises OSError for one that cannot be read."""
    store = open_store(files, resize_length(crop), cache)
    if store.bad:
        raise OSError(f"{files[min(store.bad)]}: {store.bad[min(store.bad)]}")
    catalogue = Catalogue(
        tuple(file.stem for file in files), tuple(files), np.zeros(len(files), dtype=np.int64), ("any",)
    )
    return Images(catalogue, store, np.arange(len(files)))
