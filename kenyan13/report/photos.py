"""Photographs of a run: its most confident mistakes, and the classes that it confuses most."""

from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kenyan13.config.settings import DataSettings, Layout
from kenyan13.data.catalogue import read
from kenyan13.data.images import UNREADABLE
from kenyan13.data.thumbnails import thumbnail
from kenyan13.errors import UserError
from kenyan13.metrics.classification import confusion_counts
from kenyan13.report.parts import Grid, jpeg
from kenyan13.report.runs import Run
from kenyan13.report.tables import Column, Table
from kenyan13.runs import directory
from kenyan13.runs.predictions import Saved

SIDE, SHOWN = 224, 112  # pixels of a photograph in the page, and as it is shown before it is enlarged
PRESETS, CLASSES = "The same images under each preset", "Contact sheets of the classes"
MISTAKES, PAIRS, EACH = 12, 4, 3  # images; pairs of classes, images of each


@dataclass(frozen=True)
class Mistake:
    """An image that a run names wrongly: its id, its class, the predicted class, and its probability (0..1)."""

    id: str
    target: str
    prediction: str
    confidence: float

    def caption(self) -> str:
        """Return what stands below the image."""
        return f"{self.target}, named {self.prediction} ({self.confidence:.0%})"


def mistakes(saved: Saved) -> list[Mistake]:
    """Return all wrong predictions, the most confident first."""
    predicted = saved.probabilities.argmax(axis=1)
    wrong = np.flatnonzero(predicted != saved.targets)
    ranked = wrong[np.argsort(-saved.probabilities[wrong, predicted[wrong]], kind="stable")]
    return [
        Mistake(
            saved.ids[row],
            saved.classes[saved.targets[row]],
            saved.classes[predicted[row]],
            float(saved.probabilities[row, predicted[row]]),
        )
        for row in ranked
    ]


def confused_pairs(counts: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Return pairs of classes (k < m) that are taken for each other, most images first.

    counts: int64 [classes, classes], rows are targets.
    """
    both = counts + counts.T
    one, other = np.triu_indices(len(counts), 1)
    order = np.argsort(-both[one, other], kind="stable")
    return [(int(one[k]), int(other[k])) for k in order if both[one[k], other[k]]]


def pair_table(saved: Saved, most: int = 10) -> Table:
    """Return the most confused pairs of classes, with how many images are taken which way."""
    counts = confusion_counts(saved.targets, saved.probabilities.argmax(axis=1), len(saved.classes))
    columns = [
        Column("class", "class"), Column("other", "other class"), Column("there", "first named as second", 0),
        Column("back", "second named as first", 0), Column("share", "% of both classes' images", 1),
    ]  # fmt: skip
    table = Table("", "Most confused pairs of classes", columns)
    images = counts.sum(axis=1)
    for k, m in confused_pairs(counts)[:most]:
        share = 100 * float(counts[k, m] + counts[m, k]) / float(images[k] + images[m])
        table.rows.append([saved.classes[k], saved.classes[m], float(counts[k, m]), float(counts[m, k]), share])
    return table


def of_pairs(saved: Saved, wrong: list[Mistake]) -> list[Mistake]:
    """Return the most confident mistakes of the most confused pairs, pair by pair."""
    counts = confusion_counts(saved.targets, saved.probabilities.argmax(axis=1), len(saved.classes))
    chosen: list[Mistake] = []
    for k, m in confused_pairs(counts)[:PAIRS]:
        pair = {saved.classes[k], saved.classes[m]}
        chosen += [one for one in wrong if {one.target, one.prediction} == pair][:EACH]
    return chosen


def find_files(run: Run) -> dict[str, Path]:
    """Return the files of a run's labelled images by id, or nothing where its data has gone."""
    try:
        return files_by_id(Layout[str(run.setting("data.layout"))], str(run.setting("data.root")))
    except (UserError, KeyError):
        return {}


@cache
def files_by_id(layout: Layout, root: str) -> dict[str, Path]:
    """Return the files of a data set's labelled images by id. Raises UserError where the data cannot be read."""
    source = read(DataSettings(layout=layout, root=root))
    parts = [part for part in (source.labelled, source.validation) if part is not None]
    return {id_: path for part in parts for id_, path in zip(part.ids, part.paths, strict=True)}


@lru_cache(maxsize=4096)
def small(path: Path) -> bytes | None:
    """Return an image's thumbnail as JPEG, None for an unreadable one; runs often fail at the same images."""
    pixels = thumbnail(path, SIDE)
    return None if pixels is None else jpeg(pixels)


def grid_of(title: str, chosen: list[Mistake], files: dict[str, Path]) -> Grid:
    """Return the images of mistakes that are still there, with captions."""
    found = [(one, small(files[one.id])) for one in chosen if one.id in files]
    return Grid(title, [(photo, one.caption()) for one, photo in found if photo is not None], SHOWN)


def sheets(run: Run) -> list[Grid]:
    """Return a run's contact sheets, made smaller: those of the presets, then two a class."""
    grids = []
    for title, pattern, width in ((PRESETS, directory.PRESETS, 640), (CLASSES, "sheets/*/*.png", 320)):
        files = sorted(run.folder.glob(pattern), key=lambda file: (file.stem, file.parent.name != "original"))
        smaller = [(shrunk(file, 2 * width), caption(file)) for file in files]
        grids.append(Grid(title, [(photo, text) for photo, text in smaller if photo is not None], width))
    return [grid for grid in grids if grid.photos]


def caption(file: Path) -> str:
    """Return what a contact sheet shows."""
    kinds = {"original": "as they are", "augmented": "augmented"}
    return f"{file.stem}, {kinds[file.parent.name]}" if file.parent.name in kinds else "none, default, enhanced"


def shrunk(file: Path, width: int) -> bytes | None:
    """Return an image file as JPEG, no wider than `width` pixels; None for one that cannot be read."""
    try:
        with Image.open(file) as opened:
            wide = min(width, opened.width)
            size = (wide, round(opened.height * wide / opened.width))
            return jpeg(np.asarray(opened.convert("RGB").resize(size, reducing_gap=2)))
    except UNREADABLE:
        return None
