"""A data set as it has been read, with what of its files is not used; the image files below a folder."""

import re
import textwrap
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kenyan13.errors import UserError, shorten
from kenyan13.terminal import WIDTH, fit, print_note

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".heic", ".heif", ".avif"}
SYSTEM = {  # folders and files that systems and programs put beside photos, in lower case
    "@eadir", "__macosx", "#recycle", "#snapshot", "$recycle.bin", "system volume information", "lost+found",
    "thumbs.db", "ehthumbs.db", "desktop.ini", "picasa.ini",
}  # fmt: skip
LINES = 5  # that are printed of a data set at most
# Folder names, and values of a table's column, that mean a part of the data; whatever the case.
PART = re.compile(
    r"(?:seg[\W_]+)?(?:(?P<train>train(?:ing)?)|(?P<val>val(?:id(?:ation|ate)?)?|dev(?:elopment)?)|(?P<test>test(?:ing)?))"
    r"(?:[\W_]*(?:set|data|dataset|images|imgs|split))?"
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
    left_out: Mapping[str, Sequence[str]] = field(default_factory=dict)  # reason -> files that are not used
    notes: Sequence[str] = ()  # what had to be guessed, a line each


@dataclass
class Listing:
    """Images below a folder, in the order of their paths; reason -> what is left out, by paths relative to it."""

    root: Path
    images: list[Path] = field(default_factory=list)
    left_out: dict[str, list[str]] = field(default_factory=dict)

    def leave_out(self, reason: str, *paths: Path) -> None:
        """Note files or folders that are not used."""
        names = [path.relative_to(self.root).as_posix() + "/" * (path.is_dir()) for path in paths]
        self.left_out.setdefault(reason, []).extend(names)


def list_images(root: Path, apart: Collection[str] = ()) -> Listing:
    """Return all images below `root`, through links, too, but those `apart`. Raises OSError for unreadable folders."""
    listing = Listing(root)

    def visit(folder: Path) -> None:
        for path in sorted(folder.iterdir()):
            if reason := "" if path.name in apart else why_left_out(path):
                listing.leave_out(reason, path)
            elif path.is_dir():
                visit(path)
            elif path.name not in apart:
                listing.images.append(path)

    visit(root)
    return listing


def why_left_out(path: Path) -> str:
    """Return why a file or folder is not used; "" for an image, and for a folder that may hold some."""
    name = path.name.casefold()
    if name in SYSTEM:
        return "of the system"
    if name.startswith("."):
        return "hidden"
    if path.is_dir():
        back = path.is_symlink() and path.resolve() in {folder.resolve() for folder in path.parents}
        return "links to a folder above" if back else ""
    if not path.is_file():
        return "no regular files" if path.exists() else "links to nothing"
    return "" if Path(name).suffix in IMAGE_SUFFIXES else "no images by their ending"


def subfolders(folder: Path) -> list[Path]:
    """Return the folders in `folder` that may hold images, sorted by name."""
    return sorted(path for path in folder.iterdir() if path.is_dir() and not why_left_out(path))


def part_of(name: str) -> str | None:
    """Return train, val or test where a name means that part of the data (Training, seg_test, dev); else None."""
    found = PART.fullmatch(name.strip().casefold())
    return found and found.lastgroup


def refuse_look_alikes(names: Iterable[str], place: Path) -> None:
    """Raise UserError for class names that differ in case, blanks, Unicode form or invisible characters only.

    Numbers are alike where their values are: 1, 01 and 1.0.
    """
    alike: dict[str, list[str]] = {}
    for name in names:
        seen = "".join(one for one in unicodedata.normalize("NFKC", name) if unicodedata.category(one) != "Cf")
        plain = unicodedata.normalize("NFKC", " ".join(seen.split()).casefold())
        value = repr(float(plain)) if re.fullmatch(r"[-+]?\d{1,15}(\.\d*)?", plain) else plain
        alike.setdefault(value, []).append(name)
    if pairs := [" and ".join(map(ascii, several)) for several in alike.values() if len(several) > 1]:
        problem = f"{place}: names of classes that look alike: {shorten(pairs, 4)}."
        raise UserError(problem, "give one class one spelling, or two classes different names")


def left_out_lines(left_out: Mapping[str, Sequence[str]], most: int = 3) -> list[str]:
    """Return up to so many lines about files that are not used: their number, the reason, and an example."""
    told = [f"{len(files):,} {reason}: {fit(files[0], 24)}" for reason, files in left_out.items()]
    return textwrap.wrap(f"Left out: {', '.join(told)}", WIDTH, max_lines=most, placeholder=" ...") if told else []


def describe_source(source: Source, train: Catalogue, validation: Catalogue) -> list[str]:
    """Return what a run is going to use of a data set, and what not, in at most five lines of 80 columns."""
    test = "" if source.test is None else f", {len(source.test):,} to test"
    if source.test is not None and (source.test.targets < 0).any():
        test += f" ({(source.test.targets < 0).sum():,} without label)"
    counts = Counter(np.concatenate([train.targets, validation.targets]).tolist()).most_common()
    (most, many), (least, few) = counts[0], counts[-1]
    names = [fit(train.classes[index], 16) for index in (least, most)]
    sizes = f"{few:,} ({names[0]}) to {many:,} ({names[1]}) images each"
    images = f"Images: {len(train):,} to train, {len(validation):,} to validate{test}"
    lines = [images, f"Classes: {len(train.classes)} of {sizes}", *source.notes[: LINES - 3]]
    return lines + left_out_lines(source.left_out, LINES - len(lines))


def find_images(named: Sequence[Path]) -> list[Path]:
    """Return the images named, and those anywhere below the folders named. Raises UserError for what is not there."""
    found: list[Path] = []
    for path in named:
        if path.is_dir():
            listing = list_images(path)
            found += listing.images
            for line in left_out_lines(listing.left_out):
                print_note(line)
        elif path.is_file():
            found.append(path)
        else:
            raise UserError(f"There is no image or folder {path}.", "give the path of a photo or a folder of photos")
    if not found:
        raise UserError(f"There are no images in {shorten(named)}.", "images end in .jpg, .png, .webp and the like")
    return found
