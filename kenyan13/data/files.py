"""The image files below a folder, and for every other file why it is left out."""

import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".heic", ".heif", ".avif"}
SYSTEM = {  # folders and files that systems and programs put beside photos, in lower case
    "@eadir", "__macosx", "#recycle", "#snapshot", "$recycle.bin", "system volume information", "lost+found",
    "thumbs.db", "ehthumbs.db", "desktop.ini", "picasa.ini",
}  # fmt: skip


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

    def visit(folder: Path, above: frozenset[Path]) -> Iterator[Path]:
        with os.scandir(folder) as entries:
            found = sorted((entry for entry in entries if entry.name not in apart), key=lambda entry: entry.name)
        for entry in found:
            path = Path(entry.path)
            reason = why_left_out(entry)
            if not reason and entry.is_dir():
                real = path.resolve()
                if real not in above:
                    yield from visit(path, above | {real})
                    continue
                reason = "links to a folder above"
            if reason:
                listing.leave_out(reason, path)
            else:
                yield path

    listing.images = sorted(visit(root, frozenset([root.resolve()])))
    return listing


def why_left_out(entry: "os.DirEntry[str]") -> str:
    """Return why a file or folder is not used; "" for an image, and for a folder that may hold some."""
    name = entry.name.casefold()
    if name in SYSTEM:
        return "of the system"
    if name.startswith("."):
        return "hidden"
    if entry.is_dir():
        return ""
    if not entry.is_file():
        return "links to nothing" if entry.is_symlink() and not Path(entry.path).exists() else "no regular files"
    return "" if Path(name).suffix in IMAGE_SUFFIXES else "no images by their ending"


def subfolders(folder: Path) -> list[Path]:
    """Return the folders in `folder` that may hold images, sorted by name."""
    with os.scandir(folder) as entries:
        return sorted(Path(entry.path) for entry in entries if entry.is_dir() and not why_left_out(entry))
