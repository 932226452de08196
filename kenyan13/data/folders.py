"""Image files in folders: which are images, which folders are classes."""

from collections import Counter
from pathlib import Path

from rich.console import Console

from kenyan13.errors import UserError, shorten

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"}


def class_names(folder: Path) -> tuple[str, ...]:
    """Return the class folders below `folder`, sorted. Raises UserError when there are fewer than two."""
    names = tuple(child.name for child in subfolders(folder))
    if len(names) < 2:
        flat = len(images_below(folder)) - sum(len(images_below(folder / name)) for name in names)
        raise UserError(
            f"{folder} has {len(names)} class folder(s), and {flat:,} images outside them; two or more are needed.",
            "put the images of each class into a folder named as the class",
            "for train.csv and images/ (the competition's layout): data=kenyan13 data.root=DIR",
        )
    return names


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
        console = Console(stderr=True, markup=False, highlight=False, soft_wrap=True)
        console.print(f"Passed over, by ending, as no images: {listed}")
