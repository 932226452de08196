"""The image files below a folder, and for every other file why it is left out."""

from collections.abc import Collection
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
