"""What images there are, and of what class: reads the competition layout and one folder a class."""

import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kenyan13.config.settings import DataSettings, Layout
from kenyan13.errors import UserError, did_you_mean, shorten
from kenyan13.terminal import print_note

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".heic", ".heif", ".avif"}
RESERVED = {"id", "target", "predicted"}  # columns of a run's predictions, beside one a class
GET_DATA = (
    "make data downloads KenyanFood13 from Kaggle; python scripts/download.py --help tells of other ways",
    "data.root=DIR if it lies elsewhere, data=folder data.root=DIR for one folder a class",
    "data=demo trains on synthetic drawings, without any download",
)


@dataclass(frozen=True)
class Catalogue:
    """Images in file order. ids: n texts; paths: n files; targets: int64 [n], positions in `classes`, -1 for none."""

    ids: tuple[str, ...]
    paths: tuple[Path, ...]
    targets: NDArray[np.int64]
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: Sequence[int] | NDArray[np.integer]) -> "Catalogue":
        """Return the given rows, in the given order."""
        at = np.asarray(rows, dtype=np.int64)
        ids, paths = (tuple(values[row] for row in at) for values in (self.ids, self.paths))
        return Catalogue(ids, paths, self.targets[at], self.classes)


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
    root, folders = Path(settings.root).expanduser(), settings.layout is Layout.folder
    if not root.is_dir():
        problem = f"The data folder {root.absolute()} {'is a file' if root.exists() else 'does not exist'}."
        raise UserError(problem, *(("check data.root=",) if folders else GET_DATA))
    source = read_folders(root) if folders else read_competition(root)
    ids, classes = source.labelled.ids, source.labelled.classes
    if len(classes) < 2:
        raise UserError(
            f"{root} has {len(classes)} class{' folder(s)' * folders}; two or more are needed.",
            "data=folder data.root=DIR needs one folder a class, data=kenyan13 data.root=DIR a train.csv and images/",
        )
    reserved = [name for name in classes if name in RESERVED]
    if reserved:
        problem = f"A class cannot be named {shorten(reserved)}: a run's predictions have columns of that name."
        raise UserError(problem, "rename the class")
    odd = [ascii(text) for text in (*ids, *classes) if text.encode(errors="replace").decode() != text]
    if odd:
        raise UserError(f"Names that are not UTF-8: {shorten(odd)}.", "rename these files or folders")
    return source


def read_competition(root: Path) -> Source:
    """Read train.csv (id,class), test.csv (id, optional) and the images images/images/<id>.jpg.

    Ids have 20 digits, more than int64 and float can hold: they stay texts.
    """
    labelled = read_labels(root, *GET_DATA)
    check_images(root, labelled.ids, "train.csv")
    if not (root / "test.csv").is_file():
        return Source(labelled)
    ids = tuple(read_table(root / "test.csv", ["id"])["id"])
    check_images(root, ids, "test.csv")
    return Source(labelled, test=Catalogue(ids, image_paths(root, ids), np.full(len(ids), -1), labelled.classes))


def read_labels(root: Path, *next_steps: str) -> Catalogue:
    """Read the labelled images of train.csv in file order; the images themselves need not be there.

    Raises UserError when there is no train.csv, naming the next steps, or it cannot be used.
    """
    if not (root / "train.csv").is_file():
        raise UserError(f"There is no train.csv in {root}.", *next_steps)
    table = read_table(root / "train.csv", ["id", "class"])
    classes, targets = np.unique(table["class"].to_numpy(str), return_inverse=True)
    ids = tuple(table["id"])
    return Catalogue(ids, image_paths(root, ids), targets.astype(np.int64), tuple(classes.tolist()))


def image_paths(root: Path, ids: Sequence[str]) -> tuple[Path, ...]:
    """Return where the competition's layout has the images of these ids."""
    return tuple(root / "images" / "images" / f"{id_}.jpg" for id_ in ids)


def check_images(root: Path, ids: Sequence[str], table: str) -> None:
    """Raise UserError for ids of a table without an image, and for ids that are no file name."""
    folder = root / "images" / "images"
    present = {file.name for file in folder.glob("*.jpg")}
    absent = {id_ for id_ in ids if f"{id_}.jpg" not in present}
    if absent:
        lines = read_table(root / table, ["id"])["id"].items()
        rows = shorten([f"line {line}: {id_}" for line, id_ in lines if id_ in absent], 5)
        raise UserError(
            f"{len(absent):,} of {len(ids):,} ids in {root / table} have no image in {folder} ({rows}).",
            f"each id needs {folder}/<id>.jpg: complete the images, or delete these lines",
        )


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
    if missing or table.empty:
        problem = f"no column {' and no column '.join(missing)}" if missing else "no rows below its header"
        raise UserError(
            f"{file} has {problem}; its columns are {shorten(list(table.columns))}.",
            f"its first line should be {','.join(columns)}, and each image needs a row",
        )
    empty = table.index[(table[list(columns)] == "").any(axis=1)]
    if len(empty):
        raise UserError(f"{file}: empty cells in line {shorten(list(empty))}.", "fill them in or delete the lines")
    repeated = table["id"][table["id"].duplicated()]
    if len(repeated):
        raise UserError(f"{file}: repeated id {shorten(list(repeated), 4)}.", "keep one line an id")
    return table[list(columns)]


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
    parts = parts or {"train": root}
    classes = tuple(folder.name for folder in subfolders(parts["train"]))
    read_parts = {part: read_classes(root, folder, classes) for part, folder in parts.items()}
    return Source(read_parts["train"], read_parts.get("val"), read_parts.get("test"))


def read_classes(root: Path, folder: Path, classes: tuple[str, ...]) -> Catalogue:
    """Read the images in the class folders below `folder`; in test/ they may lie outside of any, without labels.

    Raises UserError for folders of other names, and for classes without images, which only test/ may have.
    """
    children = subfolders(folder)
    unknown = [child.name for child in children if child.name not in classes]
    if unknown:
        raise UserError(
            f"{folder} has folders of no class of the training images: {shorten(unknown)}.",
            f"classes: {shorten(classes, 20)}{did_you_mean(unknown[0], classes)}",
        )
    images = [images_below(folder / name) for name in classes]
    targets = np.repeat(np.arange(len(classes)), [len(paths) for paths in images])
    if folder == root / "test" and not children:
        images = [images_below(folder)]
        targets = np.full(len(images[0]), -1)
    empty = [name for name, paths in zip(classes, images, strict=False) if not paths]
    if empty and folder != root / "test":
        raise UserError(
            f"There are no images of the class {empty[0]} in {folder}.",
            f"add images to {folder / empty[0]}, or take the class out",
        )
    paths = tuple(path for part in images for path in part)
    return Catalogue(tuple(path.relative_to(root).as_posix() for path in paths), paths, targets, classes)


def images_below(folder: Path) -> list[Path]:
    """Return the image files anywhere below `folder`, sorted; other files and hidden ones are passed over."""
    return [
        path
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in IMAGE_SUFFIXES
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]


def subfolders(folder: Path) -> list[Path]:
    """Return the folders in `folder`, sorted by name; hidden ones are left out."""
    return sorted(child for child in folder.iterdir() if child.is_dir() and not child.name.startswith("."))


def print_passed_over(root: Path) -> None:
    """Print how many files below `root` are left out as no images, and their endings."""
    files = [path for path in root.rglob("*") if path.is_file() and not path.name.startswith(".")]
    endings = Counter(path.suffix.lower() or "none" for path in files if path.suffix.lower() not in IMAGE_SUFFIXES)
    if endings:
        listed = shorten([f"{ending} ({count:,})" for ending, count in endings.most_common()], 5)
        print_note(f"Passed over, by ending, as no images: {listed}")
