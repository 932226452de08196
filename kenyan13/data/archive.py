"""Check and unpack a downloaded archive, and say what layout of images and labels it held."""

import errno
import filecmp
import lzma
import re
import shlex
import shutil
import stat
import zipfile
import zlib
from collections import Counter
from pathlib import Path, PureWindowsPath

from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from kenyan13.data.catalogue import IMAGE_SUFFIXES
from kenyan13.errors import UserError, shorten

ROOT = Path("data/kenyan13")  # the default of data.root in conf/ too
TRAIN = "python train.py model=efficientnet_b4 freeze=pt5"
JPG = "images/images/*.jpg"
DAMAGED = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError, ValueError)  # what zipfile raises


def progress_bar() -> Progress:
    """Return a bar with size, speed and time left; on stderr, so that stdout holds the report only."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    return Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True))


def safe_path(member: zipfile.ZipInfo, root: Path) -> Path:
    """Return where a member belongs below `root`. Raises UserError for a link and for a path that leads elsewhere."""
    path = PureWindowsPath(member.filename)  # knows both slashes, and drive letters
    plain = stat.S_IFMT(member.external_attr >> 16) in (0, stat.S_IFREG, stat.S_IFDIR)
    inside = path.parts and not path.anchor and ".." not in path.parts
    if not (plain and inside and root.joinpath(*path.parts).resolve().is_relative_to(root.resolve())):
        problem = f"Unsafe archive: its member '{member.filename}' is a link or leads out of {root}."
        raise UserError(problem, "nothing was unpacked; get the archive from a source that you trust")
    return Path(*path.parts)


def extract(archive: zipfile.ZipFile, folder: Path, root: Path) -> None:
    """Write an archive meant for `root` into `folder`, after checking all its members and the room on the disk."""
    paths = {member: safe_path(member, root) for member in archive.infolist()}
    size, free = sum(member.file_size for member in paths), shutil.disk_usage(root.parent).free
    if size > free:
        problem = f"The data take {decimal(size)} unpacked, and {root.parent} has {decimal(free)} free."
        raise UserError(problem, "make room, or give a folder on another disk with --to")
    folder.mkdir()
    with progress_bar() as bar:
        task = bar.add_task("unpacking", total=size)
        for member, path in paths.items():
            if member.filename.endswith(("/", "\\")) or path.parts[0] == "__MACOSX":
                continue
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            with archive.open(member) as source, (folder / path).open("wb") as copy:
                shutil.copyfileobj(source, copy)
            bar.advance(task, member.file_size)


def move_in(source: Path, root: Path) -> None:
    """Move `source` to `root`, or its files among those there. Raises UserError when one there has other content."""
    if not root.exists():
        source.replace(root)
        return
    files = sorted(path.relative_to(source) for path in source.rglob("*") if path.is_file())
    old = [name for name in files if (root / name).exists()]
    if other := [name for name in old if not filecmp.cmp(source / name, root / name, shallow=False)]:
        problem = f"{root} holds other content than the archive in {shorten(other)}; nothing was changed."
        raise UserError(problem, "move these files away, or give another folder with --to")
    for name in files:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).replace(root / name)


def unpack(archive: Path, root: Path) -> None:
    """Unpack a zip file into `root` without the one folder that may wrap everything; on errors `root` stays as it was.

    Other files in `root` stay. Raises UserError for an unsafe, damaged or empty archive, too little room on the disk,
    and a file in `root` with other content than the archive's.
    """
    folder = Path(f"{root}.unpacking")  # beside root, thus on the same disk, where moving is renaming
    root.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    try:
        with zipfile.ZipFile(archive) as opened:
            extract(opened, folder, root)
        if not (entries := list(folder.iterdir())):
            raise zipfile.BadZipFile("it holds no files")
        top = entries[0]
        wraps = (top / "train.csv").is_file() or (top.name != "images" and (top / "images").is_dir())
        move_in(top if wraps and len(entries) == 1 else folder, root)
    except (*DAMAGED, OSError) as error:
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):  # these two come from damage too
            raise
        delete = f"rm {shlex.quote(str(archive))}"
        raise UserError(
            f"{archive} is damaged or no zip file: {error}.", delete, "run the same command again"
        ) from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def ids(table: Path) -> list[str]:
    """Return the first column of a CSV file without its header; nothing when there is no file."""
    lines = table.read_text("utf-8-sig", errors="replace").split("\n")[1:] if table.is_file() else []
    return [line.split(",")[0].strip('" \r') for line in lines if line.strip()]


def lacks(root: Path) -> list[str]:
    """Return the tables, and the ids without an image, that the competition's layout lacks in `root`."""
    images = {path.stem for path in root.glob(JPG)}
    tables = [root / "train.csv", root / "test.csv"]
    absent = [table.name for table in tables if not table.is_file()]
    return absent + [name for table in tables for name in ids(table) if name not in images]


def report(root: Path) -> None:
    """Print what lies below `root` and the training command that fits. Raises UserError when none does."""
    if tables := sorted(root.rglob("train.csv"), key=lambda path: len(path.parts)):
        found, command = tables[0].parent, TRAIN
        rows = [f"{name} {len(ids(found / name)):,} rows" for name in ("train.csv", "test.csv")]
        print(f"{found}: {', '.join(rows)}, {len(list(found.glob(JPG))):,} images in images/images")
        if lacking := lacks(found):
            print(f"Missing: {shorten(lacking)}")
    else:
        found, classes = class_folders(root)
        command = f"{TRAIN} data=folder"
        print(f"{found}: no train.csv, but {classes} folders of images: one folder per class")
    if not tables or found.resolve() != ROOT.resolve():
        setting = f"data.root={found}"
        if re.search(r"[^\w./=-]", setting):
            setting = shlex.quote(f'data.root="{found}"')  # the inner quotes are for Hydra, the outer for the shell
        command += f" {setting}"
    print(f"Next: {command}")


def class_folders(root: Path) -> tuple[Path, int]:
    """Return the folder with one folder of images per class, and how many. Raises UserError for less than two."""
    images = [path for path in root.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES and path.parent != root]
    # the folder with the most images two levels below it; with train/ and val/ that is train/
    above = Counter(path.parent.parent for path in images)
    found = max(above, key=above.__getitem__, default=root)
    classes = {path.parent for path in images if path.parent.parent == found}
    if len(classes) < 2:
        there = shorten(sorted(path.name for path in root.iterdir()))
        needed = "train.csv, test.csv and images/images/ID.jpg, or (data=folder) one folder of images per class"
        raise UserError(f"{root} has no layout that training can read. It holds: {there}", f"arrange it as {needed}")
    return found, len(classes)
