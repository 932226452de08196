"""Photographs of a run: its most confident mistakes, and the classes that it confuses most."""

from collections import Counter
from functools import cache, lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from kenyan13.config.settings import DataSettings, Layout
from kenyan13.data.catalogue import read
from kenyan13.data.images import UNREADABLE, thumbnail
from kenyan13.errors import UserError
from kenyan13.report.parts import Grid, jpeg
from kenyan13.report.runs import Predictions
from kenyan13.report.tables import Column, Table
from kenyan13.runs import directory
from kenyan13.runs.run import Run

SIDE, SHOWN = 224, 112  # pixels of a photograph in the page, and as it is shown before it is enlarged
PRESETS, CLASSES = "The same images under each preset", "Contact sheets of the classes"
MISTAKES, PAIRS, SHOWN_PAIRS, EACH = 12, 10, 4, 3  # images; pairs in the table, with photographs, and of each


def mistakes(saved: Predictions) -> pd.DataFrame:
    """Return a row a wrong prediction, the most confident first: id, target, prediction, confidence (0..1), pair.

    target and prediction are classes' names; pair: both, in the order of the classes.
    """
    names, predicted = np.array(saved.classes), saved.probabilities.argmax(axis=1)
    low, high = np.minimum(saved.targets, predicted), np.maximum(saved.targets, predicted)
    table = pd.DataFrame({
        "id": saved.ids, "target": names[saved.targets], "prediction": names[predicted],
        "confidence": saved.probabilities.max(axis=1).astype(float),
        "pair": list(zip(names[low].tolist(), names[high].tolist(), strict=True)),
    })  # fmt: skip
    wrong: pd.DataFrame = table[saved.targets != predicted].sort_values("confidence", ascending=False, kind="stable")
    return wrong


def mistake_table(wrong: pd.DataFrame) -> Table:
    """Return the most confident mistakes."""
    columns = [
        Column("id", "image"), Column("target", "class"), Column("prediction", "named"),
        Column("confidence", "probability %", 1),
    ]  # fmt: skip
    shown = wrong[: 3 * MISTAKES].assign(confidence=100 * wrong["confidence"])
    return Table("", "Most confident mistakes", columns, shown[[column.key for column in columns]].to_numpy().tolist())


def pair_table(saved: Predictions, wrong: pd.DataFrame) -> Table:
    """Return the most confused pairs of classes, with how many images are taken which way."""
    columns = [
        Column("class", "class"), Column("other", "other class"), Column("there", "first named as second", 0),
        Column("back", "second named as first", 0), Column("share", "% of both classes' images", 1),
    ]  # fmt: skip
    table = Table("", "Most confused pairs of classes", columns)
    images = np.bincount(saved.targets, minlength=len(saved.classes))
    for (one, other), together in most_confused(wrong)[:PAIRS]:
        there = int((wrong["target"][[pair == (one, other) for pair in wrong["pair"]]] == one).sum())
        share = 100 * together / int(images[saved.classes.index(one)] + images[saved.classes.index(other)])
        table.rows.append([one, other, float(there), float(together - there), share])
    return table


def most_confused(wrong: pd.DataFrame) -> list[tuple[tuple[str, str], int]]:
    """Return pairs of classes with the number of images that are taken for each other, most images first."""
    return Counter[tuple[str, str]](wrong["pair"].tolist()).most_common()


def of_pairs(wrong: pd.DataFrame) -> pd.DataFrame:
    """Return the most confident mistakes of the most confused pairs, pair by pair."""
    chosen = [wrong[[one == pair for one in wrong["pair"]]][:EACH] for pair, _ in most_confused(wrong)[:SHOWN_PAIRS]]
    return pd.concat([wrong[:0], *chosen])


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


def grid_of(title: str, chosen: pd.DataFrame, files: dict[str, Path]) -> Grid:
    """Return the images of mistakes that are still there, with captions."""
    grid = Grid(title, [], SHOWN)
    for id_, target, prediction, confidence in chosen[["id", "target", "prediction", "confidence"]].to_numpy().tolist():
        if id_ in files and (photo := small(files[id_])) is not None:
            grid.photos.append((photo, f"{target}, named {prediction} ({confidence:.0%})"))
    return grid


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
