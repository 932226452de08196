"""The layout of one folder a class, with or without folders for training, validation and test above."""

from pathlib import Path

import numpy as np

from kenyan13.data.files import Listing, list_images, subfolders
from kenyan13.data.source import Catalogue, Source, part_of, refuse_look_alikes
from kenyan13.errors import UserError, did_you_mean, shorten

# Folders in test/ whose images have no label, beside those named like test/ itself.
UNLABELLED = {"unknown", "unlabelled", "unlabeled", "images", "all"}


def read_folders(root: Path) -> Source:
    """Read one folder a class, below root or below folders for training, validation and test, in any spelling.

    Ids are paths relative to root. Raises UserError for ambiguous folders, and for classes without images.
    """
    listing, notes = list_images(root), list[str]()
    filled = {parent for folder in {path.parent for path in listing.images} for parent in (folder, *folder.parents)}
    parts = find_parts(root, filled, notes) or {"train": root}
    classes = tuple(folder.name for folder in subfolders(parts["train"]))
    made = {part: read_part(listing, folder, classes, part == "test") for part, folder in parts.items()}
    used = {path for part in made.values() for path in part.paths}
    if unused := [path for path in listing.images if path not in used]:
        listing.leave_out("images outside of the class folders", *unused)
    return Source(made["train"], made.get("val"), made.get("test"), listing.left_out, notes)


def find_parts(root: Path, filled: set[Path], notes: list[str]) -> dict[str, Path]:
    """Return part (train, val, test) -> its folder; {} where the folders in root are the classes.

    filled: the folders with images anywhere below. A folder for training holds folders of images; without one, a folder
    of such a name is a class beside others. Raises UserError for folders that can be understood in two ways.
    """
    named: dict[str, list[Path]] = {}
    for folder in subfolders(root):
        if part := part_of(folder.name):
            named.setdefault(part, []).append(unwrap(folder, filled))
    others = [folder.name for folder in subfolders(root) if folder in filled and part_of(folder.name) is None]
    flat = [folder for several in named.values() for folder in several]
    there = shorten([f"{folder.relative_to(root)}/" for folder in flat])
    beside = shorten([f"{name}/" for name in others])
    if not any(class_names(folder, filled) for folder in named.get("train", [])):
        if named and (not others or {name for folder in flat for name in class_names(folder, filled)} & {*others}):
            step = f"put {beside or 'the class folders'} into train/, or rename what is a class"
            raise UserError(f"{root} has {there} but no train/ with class folders.", step)
        notes += [f"{there} beside {beside}: read as a class of that name"] * bool(named)
        return {}
    if others and len(named) == 1:
        problem = f"{root}: {there} holds folders of images, and beside it are {beside}: is it a class?"
        raise UserError(problem, f"if not: data.root={flat[0]}", "if it is one, give it another name")
    for part, several in named.items():
        if len(several) > 1:
            both = " and ".join(f"{folder.name}/" for folder in several)
            raise UserError(f"{root} has two folders for {part}: {both}.", "keep one of them, or put them together")
    return {part: several[0] for part, several in named.items()}


def class_names(folder: Path, filled: set[Path]) -> list[str]:
    """Return the names of the folders in a folder that hold images."""
    return [child.name for child in subfolders(folder) if child in filled]


def unwrap(folder: Path, filled: set[Path]) -> Path:
    """Return the folder itself, or the one of the same part in it, as zip files have it: seg_train/seg_train/CLASS."""
    inner = subfolders(folder)
    alone = len(inner) == 1 and part_of(inner[0].name) == part_of(folder.name)
    return unwrap(inner[0], filled) if alone and class_names(inner[0], filled) else folder


def read_part(listing: Listing, folder: Path, classes: tuple[str, ...], test: bool) -> Catalogue:
    """Return images in class folders; other test ones have no label. Raises UserError for unknown or empty classes."""
    below = [path for path in listing.images if path.is_relative_to(folder)]
    tops = [path.relative_to(folder).parts[0] if path.parent != folder else "" for path in below]
    bare = {name for name in tops if test and (not name or name.casefold() in UNLABELLED or part_of(name) == "test")}
    refuse_look_alikes(dict.fromkeys([*classes, *(child.name for child in subfolders(folder))]), folder)
    if unknown := [child.name for child in subfolders(folder) if child.name not in {*classes, *bare}]:
        problem = f"{folder} has folders of no class of the training images: {shorten(unknown)}."
        more = ["test/unknown/ may hold test images of no known class"] if test else []
        raise UserError(problem, f"classes: {shorten(classes, 20)}{did_you_mean(unknown[0], classes)}", *more)
    index = {name: target for target, name in enumerate(classes)} | dict.fromkeys(bare - {*classes}, -1)
    kept = [(path, index[name]) for path, name in zip(below, tops, strict=True) if name in index]
    if not test and (empty := [name for name in classes if name not in tops]):
        step = f"add images to {folder / empty[0]}, or take the class out"
        raise UserError(f"There are no images of the class {empty[0]} in {folder}.", step)
    ids = tuple(path.relative_to(listing.root).as_posix() for path, _ in kept)
    return Catalogue(ids, tuple(path for path, _ in kept), np.array([at for _, at in kept], dtype=np.int64), classes)
