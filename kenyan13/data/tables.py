"""The layouts with tables: the competition's train.csv and test.csv, and one CSV of any paths and labels."""

import csv
import io
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kenyan13.config.settings import ColumnSettings
from kenyan13.data.source import IMAGE_SUFFIXES, Catalogue, Source, list_images, part_of, refuse_look_alikes
from kenyan13.errors import UserError, did_you_mean, shorten

GET_DATA = (
    "make data downloads KenyanFood13 from Kaggle; python scripts/download.py --help tells of other ways",
    "data.root=DIR (study: --data DIR) if it lies elsewhere, data=folder data.root=DIR for one folder a class",
    "data=demo trains on synthetic drawings, without any download",
)
# What columns are usually called: the first name is taken without a word, of the others a single one with a note.
NAMES = {
    "id": "id image_id img_id photo_id file filename file_name image img path filepath file_path image_path image_name",
    "label": "class label category target class_name label_name category_name species breed",
    "split": "split set subset partition part",
}
MISSING = {"nan", "null", "na", "n/a", "#n/a", "<na>"}  # what programs write for a label that is not there
PLACES = ("images/images/", "images/", "")  # where the images of the ids in train.csv may lie


def read_competition(root: Path, columns: ColumnSettings | None = None) -> Source:
    """Read train.csv (id,class), test.csv (id; class may be there) and the images images/images/<id>.jpg.

    Ids have 20 digits, more than int64 and float can hold: they stay texts. They may have a suffix, or a path.
    """
    chosen, notes = columns or ColumnSettings(), list[str]()
    rows = read_rows(root / "train.csv", chosen, notes)
    listing = list_images(root, {"train.csv", "test.csv"})
    found: dict[str, Path] = {}  # by path, with and without suffix; of two images of one name the .jpg is meant
    for path in sorted(listing.images, key=lambda path: path.suffix != ".jpg"):
        name = path.relative_to(root).as_posix()
        found[name] = path
        found.setdefault(name.removesuffix(path.suffix), path)

    def locate(id_: str) -> Path | None:
        return next((found[place + id_] for place in PLACES if place + id_ in found), None)

    how, test = f"each id needs {root}/images/images/<id>.jpg", None
    labelled = to_catalogue(rows, locate, how)
    used = {*labelled.paths}
    if (root / "test.csv").is_file():
        rows = read_rows(root / "test.csv", chosen, notes, needed=("id",), also="label")
        test = to_catalogue(rows, locate, how, labelled.classes)
        if both := sorted(used & {*test.paths}):
            notes.append(f"{len(both):,} images are in train.csv and test.csv: {shorten([p.stem for p in both], 2)}")
        used |= {*test.paths}
    if unused := [path for path in listing.images if path not in used]:
        listing.leave_out("images of no row of a table", *unused)
    return Source(labelled, test=test, left_out=listing.left_out, notes=notes)


def read_labels(root: Path) -> Catalogue:
    """Read the labelled images of train.csv in file order; the images themselves need not be there."""
    rows = read_rows(root / "train.csv", ColumnSettings(), [])
    return to_catalogue(rows, lambda id_: root / "images" / "images" / f"{id_}.jpg", "")


def read_path_table(file: Path, columns: ColumnSettings) -> Source:
    """Read a CSV of images and labels; paths, relative to its folder, are the ids; `split` may divide them."""
    notes = list[str]()
    table = read_rows(file, columns, notes, also="split")
    parts = table["split"].map(part_of) if "split" in table else pd.Series("train", table.index)
    if len(strange := table.index[parts.isna()]):
        words = shorten([f"line {line}: {table['split'][line]}" for line in strange], 4)
        raise UserError(f"{file}: no part of the data ({words}).", "write train, val or test into the column split")

    def locate(text: str) -> Path | None:
        path = file.parent / Path(text.replace("\\", "/")).expanduser()
        return path if path.suffix.lower() in IMAGE_SUFFIXES | {""} and path.is_file() else None

    classes = np.unique(table["label"][parts == "train"].to_numpy(str)).tolist()
    whole = to_catalogue(table, locate, f"paths are relative to {file.parent}", classes)
    made = {part: whole.take(np.flatnonzero(parts == part)) for part in {"train", *parts}}
    return Source(made["train"], made.get("val"), made.get("test"), notes=notes)


def to_catalogue(
    rows: pd.DataFrame, locate: Callable[[str], Path | None], how: str, classes: Sequence[str] | None = None
) -> Catalogue:
    """Return rows as images of classes, by default theirs. Raises UserError for ids without image, unknown labels."""
    paths = [locate(id_) for id_ in rows["id"]]
    absent = [f"line {line}: {id_}" for line, id_, path in zip(rows.index, rows["id"], paths, strict=True) if not path]
    if absent:
        problem = f"{len(absent):,} of {len(rows):,} ids in {rows.index.name} have no image ({shorten(absent, 5)})."
        raise UserError(problem, f"{how}: complete the images, or delete these lines")
    labels = rows["label"] if "label" in rows else pd.Series("", rows.index)
    names = np.unique(labels.to_numpy(str)).tolist() if classes is None else classes
    targets = pd.Index(names).get_indexer(pd.Index(labels))
    if strange := sorted({*labels[targets < 0]} - {""}):
        problem = f"Labels that no training image has: {shorten(strange)}."
        raise UserError(problem, f"classes: {shorten(names, 20)}{did_you_mean(strange[0], names)}")
    found = tuple(path for path in paths if path)
    return Catalogue(tuple(rows["id"]), found, targets.astype(np.int64), tuple(names))


def read_rows(
    file: Path, columns: ColumnSettings, notes: list[str], needed: Sequence[str] = ("id", "label"), also: str = ""
) -> pd.DataFrame:
    """Read a CSV's columns as texts, `also` only if it is there; under their line numbers, whose name is the file.

    What had to be guessed goes into notes. Raises UserError for no file or column, empty cells, repeated ids.
    """
    if not file.is_file():
        raise UserError(f"There is no {file.name} in {file.parent}.", *GET_DATA)
    table = load_table(file, notes)
    named = find_columns(file, list(table.columns), columns, needed, also, notes)
    table = table[list(named.values())].set_axis(list(named), axis=1)
    tested = table["split"].map(part_of) == "test" if "split" in table else pd.Series(False, table.index)
    filled = table[[role for role in named if role in needed or role == "split"]]
    if len(empty := table.index[(filled == "").any(axis=1) & ~(tested & (table["id"] != ""))]):
        raise UserError(f"{file}: empty cells in line {shorten(list(empty))}.", "fill them in or delete the lines")
    repeated = table[table["id"].duplicated(keep=False)].groupby("id", sort=False)
    if len(repeated):
        listed = [f"{id_} (lines {shorten(list(rows.index), 3)})" for id_, rows in repeated]
        raise UserError(f"{file}: repeated ids: {shorten(listed, 4)}.", "keep one line an id")
    if "label" in table:
        if len(strange := table.index[table["label"].str.casefold().isin(MISSING)]):
            problem = f"{file}: the class {table['label'][strange[0]]} in line {shorten(list(strange))}."
            raise UserError(problem, "fill in the labels that are missing; if it is a class, give it another name")
        refuse_look_alikes(dict.fromkeys(table["label"]), file)
    return table


def load_table(file: Path, notes: list[str]) -> pd.DataFrame:
    """Return a CSV's cells as texts without blanks around them, under line numbers. Raises UserError if it is none.

    A header without commas may have semicolons or tabs, as some spreadsheets write them: a note tells.
    """
    content = file.read_bytes()
    text = content.decode("utf-8-sig", errors="replace")
    if "\0" in text or "\ufffd" in text:
        coded = f"it is written in {'UTF-16' if chr(0) in text else 'Latin-1 or the like'}, not in UTF-8"
        problem = "it is a spreadsheet or a zip file" if content[:2] == b"PK" else coded
        raise UserError(f"{file} cannot be read as CSV: {problem}.", "save it as UTF-8; in Excel: Save as, CSV UTF-8")
    header = next(filter(None, text.splitlines()), "")
    separator = max(",;\t", key=lambda one: len(next(csv.reader([header], delimiter=one), "")))  # cells may hold others
    if separator != ",":
        notes.append(f"{file.name}: cells are separated by {'tabs' if separator == chr(9) else 'semicolons'}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # given where cells would be lost
            options: dict[str, Any] = {"skipinitialspace": True, "index_col": False, "skip_blank_lines": False}
            table: pd.DataFrame = pd.read_csv(
                io.StringIO(text), sep=separator, dtype=str, keep_default_na=False, **options
            )
    except (pd.errors.ParserError, pd.errors.ParserWarning, pd.errors.EmptyDataError) as error:
        step = "it needs a header row, commas, and in each row as many cells as in the header"
        raise UserError(f"{file} cannot be read as CSV: {error}".strip(), step) from None
    cells = next(csv.reader(text.splitlines(), delimiter=separator))
    names = [name.strip() for name in cells]  # pandas renames a second one
    if twice := sorted({name for name in names if name and names.count(name) > 1}):
        raise UserError(f"{file} has two columns {shorten(twice)}.", "delete or rename one of them")
    table.index = pd.RangeIndex(2, len(table) + 2, name=str(file))
    table.columns = table.columns.str.strip()
    table = table.apply(lambda column: column.str.strip())
    table = table[(table != "").any(axis=1)]
    if table.empty:
        raise UserError(f"{file} has no rows below its header.", "each image needs a row")
    return table


def find_columns(
    file: Path, there: list[str], columns: ColumnSettings, needed: Sequence[str], also: str, notes: list[str]
) -> dict[str, str]:
    """Return role -> its column: of data.columns, or of a usual name. Raises UserError for none, or several."""
    found = {}
    for role in filter(None, (*needed, also)):
        chosen, usual = getattr(columns, role), NAMES[role].split()
        close = [name for name in there if name.casefold().replace(" ", "_") in usual]
        if sure := chosen or (usual[0] if usual[0] in there else None):
            close = [name for name in there if name == sure]
        if len(close) == 1:
            found[role] = close[0]
            notes += [f"{file.name}: the column {close[0]} is read as the {role}"] * (not sure)
        elif role in needed:
            what = f"several columns for the {role}: {shorten(close)}" if close else f"no column {chosen or usual[0]}"
            steps = [f"name it, as in data.columns.{role}={(close or there)[0]}"]
            if not (found or close):  # no column is known: the header may be missing
                header = ",".join(NAMES[one].split()[0] for one in needed)
                steps.insert(0, f"if its first line is an image's: put a header above it, as {header}")
            raise UserError(f"{file} has {what}; its columns are {shorten(there)}.", *steps)
    return found
