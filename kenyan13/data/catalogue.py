"""What images there are, and of what class: reads the data set that the settings name, one folder a class here.

And how a stage of a two-stage classifier sees them: groups of classes first, then each group's (study, E. Two stages).
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from kenyan13.config.settings import DataSettings, Layout
from kenyan13.data.source import Catalogue as Catalogue
from kenyan13.data.source import Listing, list_images, part_of, refuse_look_alikes, subfolders
from kenyan13.data.source import Source as Source
from kenyan13.data.tables import GET_DATA, read_competition, read_path_table
from kenyan13.errors import UserError, did_you_mean, shorten

# Folders in test/ whose images have no label, beside those named like test/ itself.
UNLABELLED = {"unknown", "unlabelled", "unlabeled", "images", "all"}
RESERVED = {"id", "target", "predicted"}  # columns of a run's predictions, beside one a class
FIRST = "first"  # the value of data.stage that is no group
# Group names become columns of predictions.csv and parts of file names: confusion_GROUP.csv beside confusion_hard.csv.
NOT_GROUPS = {FIRST, "hard", "soft", "stage1", *RESERVED}
HOW = "name classes that look alike: 'data.groups={greens:[sukumawiki,ugali]}'"
Groups = Mapping[str, Sequence[str]]


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
        tops = sorted(subfolders(root), key=lambda folder: part_of(folder.name) != "train") if folders else []
        below = [one for folder in tops for one in (folder, *subfolders(folder))]
        inner = [folder for folder in below if len(subfolders(folder)) > 1]
        raise UserError(
            f"{root} has {len(classes)} class{' folder(s)' if folders else '(es)'}; two or more are needed.",
            *[f"are they in {folder.relative_to(root)}? data.root={folder}" for folder in inner[:1]],
            "data=folder data.root=DIR needs one folder a class, data=kenyan13 data.root=DIR a train.csv and images/",
        )
    if reserved := [name for name in classes if name in RESERVED]:
        problem = f"A class cannot be named {shorten(reserved)}: a run's predictions have columns of that name."
        raise UserError(problem, "rename the class")
    if odd := [ascii(text) for text in (*ids, *classes) if text.encode(errors="replace").decode() != text]:
        raise UserError(f"Names that are not UTF-8: {shorten(odd)}.", "rename these files or folders")
    return source


def read_folders(root: Path) -> Source:
    """Read one folder a class, below root or folders for training, validation and test; ids are paths below root."""
    listing, notes = list_images(root), list[str]()
    filled = {parent for folder in {path.parent for path in listing.images} for parent in (folder, *folder.parents)}
    parts = find_parts(root, filled, notes) or {"train": root}
    classes = tuple(folder.name for folder in subfolders(parts["train"]))
    below = [inner for name in classes for inner in subfolders(parts["train"] / name) if inner in filled]
    if below:
        example = below[0].relative_to(parts["train"]).as_posix()
        notes.append(f"{len(below):,} folders in class folders, as {example}: read as of class {below[0].parent.name}")
    made = {part: read_part(listing, folder, classes, part == "test") for part, folder in parts.items()}
    used = {path for part in made.values() for path in part.paths}
    if unused := [path for path in listing.images if path not in used]:
        listing.leave_out("images outside of the class folders", *unused)
    return Source(made["train"], made.get("val"), made.get("test"), listing.left_out, notes)


def find_parts(root: Path, filled: set[Path], notes: list[str]) -> dict[str, Path]:
    """Return part (train, val, test) -> its folder; {} where the folders in root are the classes.

    filled: folders with images below. A folder for training holds folders of images; without one, a folder of such a
    name is a class. Raises UserError for folders that can be understood in two ways.
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


def stage_view(catalogue: Catalogue, groups: Groups, stage: str | None) -> Catalogue:
    """Return the same images with the targets of a stage (None, FIRST or a group's name); -1 for those of no class."""
    classes = stage_classes(catalogue.classes, groups, stage)
    index = {name: target for target, name in enumerate(classes)}
    if stage == FIRST:
        index |= {member: index[group] for group, members in groups.items() for member in members}
    new_targets = np.array([*(index.get(name, -1) for name in catalogue.classes), -1], dtype=np.int64)
    return Catalogue(catalogue.ids, catalogue.paths, new_targets[catalogue.targets], classes)  # -1 finds the last, -1


def stage_classes(classes: Sequence[str], groups: Groups, stage: str | None) -> tuple[str, ...]:
    """Return a stage's classes in the data's order, then the groups. Raises UserError for impossible ones."""
    everything = [member for members in groups.values() for member in members]
    if unknown := [member for member in everything if member not in classes]:
        problem = f"data.groups has members that are no classes: {shorten(unknown)}."
        raise UserError(problem + did_you_mean(unknown[0], classes), f"classes: {shorten(classes, 20)}")
    for name, members in groups.items():
        if name in NOT_GROUPS or name in classes or "/" in name or not name:
            raise UserError(f"A group cannot be named '{name}'.", "choose a name that is no class and has no /")
        if len(set(members)) < 2:
            raise UserError(f"data.groups: {name} has fewer than two classes.", "give it two or more, or leave it out")
    if repeated := [member for member in dict.fromkeys(everything) if everything.count(member) > 1]:
        raise UserError(f"data.groups names {shorten(repeated)} more than once.", "a class goes into one group only")
    if stage is None:
        return tuple(classes)
    if stage in groups:
        return tuple(name for name in classes if name in groups[stage])
    if stage != FIRST or not groups:
        known = [FIRST, *groups] if groups else []
        step = f"stages: {shorten(known)}" if known else f"it needs groups; {HOW}"
        raise UserError(f"There is no data.stage={stage}.{did_you_mean(stage, known)}", step)
    first = (*(name for name in classes if name not in everything), *groups)
    if len(first) < 2:
        raise UserError(f"All classes are in {first[0]}: the first stage has nothing to tell apart.", HOW)
    return first
