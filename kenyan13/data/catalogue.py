"""What images there are, and of what class: reads the data set that the settings name, in whatever layout."""

import os
from pathlib import Path

from kenyan13.config.settings import DataSettings, Layout
from kenyan13.data.files import subfolders
from kenyan13.data.folders import read_folders
from kenyan13.data.source import Catalogue as Catalogue
from kenyan13.data.source import Source as Source
from kenyan13.data.tables import GET_DATA, read_competition, read_path_table
from kenyan13.errors import UserError, shorten

RESERVED = {"id", "target", "predicted"}  # columns of a run's predictions, beside one a class


def read(settings: DataSettings) -> Source:
    """Read the data set that the settings name. Raises UserError for what is missing or wrong."""
    root = Path(os.path.expanduser(settings.root))  # noqa: PTH111 (Path's fails for ~nobody)
    folders, table = settings.layout is Layout.folder, settings.layout is Layout.table
    if not settings.root:
        raise UserError("data.root= names no folder.", "data.root=. is the one where you are")
    if not (root.is_file() if table else root.is_dir()):
        there = f"is a {'folder' if table else 'file'}" if root.exists() else "does not exist"
        steps = GET_DATA if settings.layout in (Layout.competition, Layout.demo) else ("check data.root=",)
        if root.suffix.lower() == ".csv" and root.is_file():
            steps = (f"data=table data.root={root} reads a CSV of paths and labels",)
        raise UserError(f"The data {'file' if table else 'folder'} {root.absolute()} {there}.", *steps)
    if table:
        source = read_path_table(root, settings.columns)
    else:
        source = read_folders(root) if folders else read_competition(root, settings.columns)
    ids, classes = source.labelled.ids, source.labelled.classes
    if len(classes) < 2:
        inner = [folder for folder in subfolders(root) if len(subfolders(folder)) > 1] if folders else []
        raise UserError(
            f"{root} has {len(classes)} class{' folder(s)' if folders else '(es)'}; two or more are needed.",
            *[f"are they in {folder.name}? data.root={folder}" for folder in inner[:1]],
            "data=folder data.root=DIR needs one folder a class, data=kenyan13 data.root=DIR a train.csv and images/",
        )
    if reserved := [name for name in classes if name in RESERVED]:
        problem = f"A class cannot be named {shorten(reserved)}: a run's predictions have columns of that name."
        raise UserError(problem, "rename the class")
    if odd := [ascii(text) for text in (*ids, *classes) if text.encode(errors="replace").decode() != text]:
        raise UserError(f"Names that are not UTF-8: {shorten(odd)}.", "rename these files or folders")
    return source
