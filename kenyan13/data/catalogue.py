"""What images there are, and of what class: reads the competition layout and one folder a class."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kenyan13.config.settings import DataSettings, Layout
from kenyan13.data.folders import class_names, images_below, print_passed_over, subfolders
from kenyan13.errors import UserError, did_you_mean, shorten

RESERVED = {"id", "target", "predicted"}  # columns of a run's predictions, beside one a class
GET_DATA = (
    "make data downloads KenyanFood13 from Kaggle; python scripts/download.py --help tells of other ways",
    "data.root=DIR if it lies elsewhere, data=folder data.root=DIR for one folder a class",
    "data=demo trains on synthetic drawings, without any download",
)


@dataclass(frozen=True)
class Catalogue:
    """Images in file order.

    ids: n texts; paths: n files; targets: int64 [n], positions in `classes`, or None without labels.
    """

    ids: tuple[str, ...]
    paths: tuple[Path, ...]
    targets: NDArray[np.int64] | None
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: Sequence[int] | NDArray[np.integer]) -> "Catalogue":
        """Return the given rows, in the given order."""
        return Catalogue(
            tuple(self.ids[row] for row in rows),
            tuple(self.paths[row] for row in rows),
            None if self.targets is None else self.targets[np.asarray(rows, dtype=np.int64)],
            self.classes,
        )

    def labels(self) -> NDArray[np.int64]:
        """Return the targets; raises UserError where the images have none."""
        if self.targets is None:
            raise UserError("These images have no labels.", "kenyan13 predict gives them some")
        return self.targets


@dataclass(frozen=True)
class Source:
    """All images of a data set: labelled ones, and validation and test ones where they are given apart."""

    labelled: Catalogue
    validation: Catalogue | None = None
    test: Catalogue | None = None


def read(settings: DataSettings) -> Source:
    """Read the data set that the settings name.

    Raises UserError naming the folder, file, column, row or class that is missing or wrong.
    """
    root = Path(settings.root).expanduser()
    if not root.is_dir():
        above = (
            (f"its parent folder has a train.csv: data.root={root.parent}",)
            if (root.parent / "train.csv").is_file()
            else ()
        )
        problem = "is a file, not a folder" if root.is_file() else "does not exist"
        steps = ("check data.root=",) if settings.layout is Layout.folder else GET_DATA
        raise UserError(f"The data folder {root.absolute()} {problem}.", *above, *steps)
    source = read_folders(root) if settings.layout is Layout.folder else read_competition(root)
    check_names(source.labelled)
    return source


def check_names(labelled: Catalogue) -> None:
    """Raise UserError for a single class, and for names that would make the files of a run ambiguous or unwritable."""
    if len(labelled.classes) < 2:
        raise UserError(f"All images are of one class, {shorten(labelled.classes)}.", "two or more are needed")
    reserved = RESERVED & set(labelled.classes)
    if reserved:
        raise UserError(
            f"A class cannot be named {shorten(sorted(reserved))}: a run's predictions have columns of that name.",
            "rename the class",
        )
    odd = [ascii(text) for text in (*labelled.ids, *labelled.classes) if any("\ud800" <= c <= "\udfff" for c in text)]
    if odd:
        raise UserError(f"Names that are not UTF-8: {shorten(odd)}.", "rename these files or folders")


def read_competition(root: Path) -> Source:
    """Read train.csv (id,class), test.csv (id, optional) and the images images/images/<id>.jpg.

    Ids have 20 digits, more than int64 and float can hold: they stay texts.
    """
    if not (root / "train.csv").is_file():
        raise UserError(f"There is no train.csv in {root}.", *GET_DATA)
    train = read_table(root / "train.csv", ["id", "class"])
    classes = tuple(sorted(train["class"].unique()))
    targets = train["class"].map({name: k for k, name in enumerate(classes)}).to_numpy(np.int64)
    labelled = Catalogue(tuple(train["id"]), image_paths(root, train["id"], "train.csv"), targets, classes)
    if not (root / "test.csv").is_file():
        return Source(labelled)
    ids = read_table(root / "test.csv", ["id"])["id"]
    return Source(labelled, test=Catalogue(tuple(ids), image_paths(root, ids, "test.csv"), None, classes))


def read_table(file: Path, columns: Sequence[str]) -> pd.DataFrame:
    """Read a CSV's columns as texts without blanks around them, under their line numbers; empty lines are left out.

    Raises UserError for missing columns, empty cells and repeated ids.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # given where cells would be lost
            table: pd.DataFrame = pd.read_csv(
                file, dtype=str, keep_default_na=False, skipinitialspace=True, index_col=False, skip_blank_lines=False
            )
    except (pd.errors.ParserError, pd.errors.ParserWarning, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise UserError(
            f"{file} cannot be read as CSV: {error}".strip(),
            "it needs a header row, commas, and in each row as many cells as in the header",
        ) from None
    table = table.set_axis(table.columns.str.strip(), axis=1).set_axis(table.index + 2)
    table = table.apply(lambda column: column.str.strip())
    table = table[(table != "").any(axis=1)]
    missing = [name for name in columns if name not in table.columns]
    if missing:
        raise UserError(
            f"{file} has no column {' and no column '.join(missing)}; it has {shorten(list(table.columns))}.",
            f"its first line should be: {','.join(columns)}",
        )
    if table.empty:
        raise UserError(f"{file} has no rows below its header.", f"it needs a row per image: {','.join(columns)}")
    empty = table.index[(table[list(columns)] == "").any(axis=1)]
    if len(empty):
        raise UserError(f"{file}: empty cells in line {shorten(list(empty))}.", "fill them in or delete the lines")
    repeated = table["id"][table["id"].duplicated()]
    if len(repeated):
        raise UserError(f"{file}: repeated id {shorten(list(repeated), 4)}.", "keep one line an id")
    return table[list(columns)]


def image_paths(root: Path, ids: pd.Series, table: str) -> tuple[Path, ...]:
    """Return the image of each id. Raises UserError for ids without an image and for ids that are no file name.

    ids: texts under their line numbers in `table`.
    """
    folder = root / "images" / "images"
    if not folder.is_dir():
        raise UserError(f"There is no image folder {folder}.", *GET_DATA)
    present = {file.name for file in folder.iterdir()}
    absent = [(line, id_) for line, id_ in ids.items() if f"{id_}.jpg" not in present]
    if absent:
        rows = shorten([f"line {line}: {id_}" for line, id_ in absent], 5)
        raise UserError(
            f"{len(absent):,} of {len(ids):,} ids in {root / table} have no image in {folder} ({rows}).",
            f"each id needs {folder}/<id>.jpg: complete the images, or delete these lines",
        )
    return tuple(folder / f"{id_}.jpg" for id_ in ids)


def read_folders(root: Path) -> Source:
    """Read one folder a class, below root or below root/train, root/val and root/test.

    Ids are paths relative to root. Images straight in test/ have no labels; in class folders they have.
    """
    names = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
    parts = {part: root / name for name, part in names.items() if (root / name).is_dir()}
    if parts and "train" not in parts:
        there = shorten([folder.name for folder in parts.values()])
        raise UserError(
            f"{root} has a folder {there} but no train/.",
            "put the class folders into train/, or rename what is a class",
        )
    print_passed_over(root)
    classes = class_names(parts.get("train", root))
    if not parts:
        return Source(read_classes(root, root, classes))
    labelled = {part: read_classes(root, parts[part], classes) for part in ("train", "val") if part in parts}
    test = None
    if "test" in parts:
        unlabelled = not subfolders(parts["test"])
        files = images_below(parts["test"])
        test = of_files(root, files, None, classes) if unlabelled else read_classes(root, parts["test"], classes)
    return Source(labelled["train"], labelled.get("val"), test)


def read_classes(root: Path, folder: Path, classes: tuple[str, ...]) -> Catalogue:
    """Read the images in the class folders below `folder`; folders of other names are refused with UserError."""
    unknown = [child.name for child in subfolders(folder) if child.name not in classes]
    if unknown:
        raise UserError(
            f"{folder} has folders of no class of the training images: {shorten(unknown)}.",
            f"classes: {shorten(classes, 20)}{did_you_mean(unknown[0], classes)}",
        )
    images = [images_below(folder / name) for name in classes]
    empty = [name for name, paths in zip(classes, images, strict=True) if not paths]
    if empty and folder.name != "test":
        raise UserError(
            f"There are no images of the class {empty[0]} in {folder}.",
            f"add images to {folder / empty[0]}, or take the class out",
        )
    targets = np.repeat(np.arange(len(classes)), [len(paths) for paths in images])
    return of_files(root, [path for paths in images for path in paths], targets, classes)


def of_files(root: Path, paths: list[Path], targets: NDArray[np.int64] | None, classes: tuple[str, ...]) -> Catalogue:
    """Return the catalogue of files below root; an image's id is its path relative to root."""
    return Catalogue(tuple(path.relative_to(root).as_posix() for path in paths), tuple(paths), targets, classes)
