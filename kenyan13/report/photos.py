"""Photographs of a run: its most confident mistakes, and the classes that it confuses most."""

import io
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import ImageOps

from kenyan13.config.settings import ColumnSettings, DataSettings, Layout
from kenyan13.data.catalogue import read
from kenyan13.data.images import decode
from kenyan13.errors import UserError
from kenyan13.export.session import GRAPH, Graph, explain
from kenyan13.report.tables import Column, Grid, Table
from kenyan13.runs.predictions import predicted_of, probabilities_of
from kenyan13.runs.run import Run

QUALITY = 82  # of JPEG; as PNG photographs are ten times as large
SIDE, SHOWN = 224, 112  # pixels of a photograph in the page, and as it is shown before it is enlarged
SHEET = 320  # pixels of a contact sheet as it is shown
MISTAKES, PAIRS, SHOWN_PAIRS, EACH = 12, 10, 4, 3  # images; pairs in the table, with photographs, and of each


def mistakes(known: pd.DataFrame) -> pd.DataFrame:
    """Return the wrong ones of a run's predictions by image id, the most confident first.

    Columns: target and prediction (classes' names), confidence (0..1).
    """
    table = known[["target"]].assign(prediction=predicted_of(known), confidence=probabilities_of(known).max(axis=1))
    wrong = table[table["target"] != table["prediction"]]
    return wrong.sort_values("confidence", ascending=False, kind="stable")


def mistake_table(wrong: pd.DataFrame) -> Table:
    """Return the most confident mistakes."""
    columns = [
        Column("id", "image"), Column("target", "class"), Column("prediction", "named"),
        Column("confidence", "probability %", 1),
    ]  # fmt: skip
    shown = wrong[: 3 * MISTAKES].assign(confidence=100 * wrong["confidence"])
    return Table("", "Most confident mistakes", columns, shown.reset_index().to_dict("records"))


def pair_table(counts: NDArray[np.int64], classes: Sequence[str]) -> Table:
    """Return the most confused pairs of classes, with how many images are taken which way, from a confusion matrix."""
    columns = [
        Column("class", "class"), Column("other", "other class"), Column("there", "first named as second", 0),
        Column("back", "second named as first", 0), Column("share", "% of both classes' images", 1),
    ]  # fmt: skip
    table = Table("", "Most confused pairs of classes", columns)
    together, images = np.triu(counts + counts.T, 1), counts.sum(axis=1)
    for place in np.argsort(-together, axis=None, kind="stable")[:PAIRS].tolist():
        i, j = divmod(place, len(classes))
        if together[i, j]:
            share = 100 * float(together[i, j] / (images[i] + images[j]))
            table.add(classes[i], classes[j], int(counts[i, j]), int(counts[j, i]), share)
    return table


def files_by_id(run: Run) -> dict[str, Path]:
    """Return the files of the labelled images of a run's data by id; nothing where the data has gone."""
    roles = {role: run.setting(f"data.columns.{role}") for role in ("id", "label", "split")}
    return listed(str(run.setting("data.layout")), str(run.setting("data.root")), **roles)


@cache
def listed(layout: str, root: str, **columns: str | None) -> dict[str, Path]:
    """Return `files_by_id` of a data set: many runs have the same."""
    try:
        source = read(DataSettings(layout=Layout[layout], root=root, columns=ColumnSettings(**columns)))
    except (UserError, KeyError):
        return {}
    parts = [part for part in (source.labelled, source.validation) if part is not None]
    return {id_: path for part in parts for id_, path in zip(part.ids, part.paths, strict=True)}


def smaller(path: Path, width: int, square: bool) -> bytes | None:
    """Return an image as JPEG, no wider than so many pixels, or its middle square; None for an unreadable one."""
    buffer = io.BytesIO()
    try:
        image = decode(path, at_least=width)
        if square:
            image = ImageOps.fit(image, (width, width))
        image.thumbnail((width, image.height))
        image.save(buffer, "JPEG", quality=QUALITY)
    except Exception:  # Pillow's formats raise nearly everything
        return None
    return buffer.getvalue()


def grid_of(title: str, captions: Sequence[tuple[Path, str]]) -> Grid:
    """Return the square middles of image files with captions, as far as the images can be read."""
    photos = [(photo, caption) for path, caption in captions if (photo := smaller(path, SIDE, square=True))]
    return Grid(title, photos, SHOWN)


def graph_of(run: Run) -> Graph | None:
    """Return a run's graph; None where there is none, or a damaged one, or another run's."""
    with suppress(UserError):
        graph = Graph(run.folder / GRAPH)
        return graph if list(graph.classes) == run.data.get("classes") else None
    return None


def mistake_grids(run: Run, wrong: pd.DataFrame, pairs: Table) -> list[Grid]:
    """Return the most confident mistakes, those of the most confused pairs, and heat maps of the first.

    Images that are no longer there are left out. Heat maps show what speaks for the named class rather than the right.
    """
    files = files_by_id(run)
    both = [(row["class"], row["other"]) for row in pairs.rows[:SHOWN_PAIRS]]
    of_pairs = [wrong[wrong[["target", "prediction"]].isin(pair).all(axis=1)][:EACH] for pair in both]
    titled = {"Most confident mistakes": wrong[:MISTAKES]}
    titled["Most confused pairs of classes"] = pd.concat([wrong[:0], *of_pairs])
    grids = []
    for title, chosen in titled.items():
        rows = [row for row in chosen.reset_index().to_numpy().tolist() if row[0] in files]
        captions = [(files[id_], f"{target}, named {named} ({share:.0%})") for id_, target, named, share in rows]
        grids.append(grid_of(title, captions))
    heat = Grid("Why: what speaks for the named class rather than the right one", [], SHOWN)
    graph = graph_of(run)
    for id_, target, named, _ in wrong[:MISTAKES].reset_index().to_numpy().tolist():
        with suppress(Exception):  # Pillow's formats raise nearly everything
            if graph and "maps" in graph.names:
                buffer = io.BytesIO()
                explain(graph, files[id_], named, target).save(buffer, "JPEG", quality=QUALITY)
                heat.photos.append((buffer.getvalue(), f"{named} rather than {target}"))
    return [grid for grid in (*grids, heat) if grid.photos]


def sheets(run: Run) -> list[Grid]:
    """Return a run's contact sheets, made smaller, class by class, if it has any."""
    files = sorted(run.folder.glob("sheets/**/*.png"), key=lambda file: (file.stem, file.parent.name != "original"))
    names = [file.relative_to(run.folder / "sheets").with_suffix("").as_posix() for file in files]
    photos = [smaller(file, 2 * SHEET, square=False) for file in files]
    shown = [(photo, name) for photo, name in zip(photos, names, strict=True) if photo]
    return [Grid("Contact sheets; presets: none, default, enhanced", shown, SHEET)] if shown else []
