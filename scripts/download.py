"""Download pictures and labels and unpack them where training looks for them; `make data` runs this.

Example: python scripts/download.py kaggle

Example: python scripts/download.py url https://example.org/images.zip --to data/birds

Beside the target folder, data/kenyan13, lies data/kenyan13.download with the archive and what a broken download left.
"""

import errno
import filecmp
import lzma
import os
import re
import shlex
import shutil
import stat
import subprocess
import sys
import time
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path, PureWindowsPath
from typing import Annotated
from urllib.error import HTTPError, URLError
from urllib.parse import quote
from urllib.request import Request, urlopen

import typer
from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from kenyan13.errors import UserError, one_screen, shorten

ROOT = Path("data/kenyan13")  # the default of data.root in conf/ too
SLUG = "opencv-pytorch-project-2-classification-round-3"
TRAIN = "python train.py model=efficientnet_b4 freeze=pt5"
AGAIN = "run the same command again to go on"
PICTURES = {".jpg", ".jpeg", ".png", ".bmp", ".webp"}
TRIES, PAUSE = 4, 1.0  # connections in one call of fetch; seconds before the second one, growing by as much each time
DROPPED = (URLError, HTTPException, ConnectionError, TimeoutError)
DAMAGED = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError, ValueError)  # what zipfile raises


def progress_bar() -> Progress:
    """Return a bar with size, speed and time left; on stderr, so that stdout holds the report only."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    return Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True))


def receive(url: str, part: Path, note: Path, show: Callable[[int, int | None], None]) -> bool:
    """Do one request, adding to `part`; return True when `part` is the whole file, False to ask once more."""
    start = part.stat().st_size if part.exists() else 0
    kept = note.read_text("utf-8").partition("\n")[2] if note.exists() else ""
    headers = ({"Range": f"bytes={start}-"} if start else {}) | ({"If-Range": kept} if start and kept else {})
    try:
        answer = urlopen(Request(url, headers=headers), timeout=60)
    except HTTPError as error:
        if error.code != 416 or not start:
            raise
        if error.headers.get("Content-Range") == f"bytes */{start}":
            return True  # all had come, only the renaming was missing
        part.unlink()
        return False
    with answer:
        if answer.headers.get_content_type() == "text/html":
            raise UserError(
                f"{url} is a web page, not a zip file.", "give the address of the zip that the page links to"
            )
        etag, length = answer.headers.get("ETag", ""), answer.headers.get("Content-Length", "")
        # a weak ETag does not promise equal bytes, and If-Range may not be sent with one
        validator = etag if etag.startswith('"') else answer.headers.get("Last-Modified", "")
        done = start if answer.status == 206 else 0
        total = done + int(length) if length.isdigit() else None
        asked_for = answer.headers.get("Content-Range", "").startswith(f"bytes {start}-")
        if done and not (asked_for and validator in (kept or validator, "")):  # never join halves of two files
            part.unlink()
            return False
        with part.open("ab" if done else "wb") as file:
            if not done:  # after the older part was emptied, so that the note never speaks of its bytes
                note.write_text(f"{url}\n{validator}", "utf-8")
            while chunk := answer.read(1 << 16):
                done += file.write(chunk)
                show(done, total)
        return total is None or done == total


def fetch(url: str, target: Path) -> Path:
    """Download the http(s) address `url` to `target`, going on from `target`.part where an earlier call stopped.

    A finished `target` is not downloaded again, unless it came from another address. Raises UserError for a bad
    address, when there is no connection or it was lost TRIES times, and when the server refuses.
    """
    url = quote(url.strip(), safe=":/?#[]@!$&'()*+,;=%")
    part, note = Path(f"{target}.part"), Path(f"{target}.note")
    if not re.match(r"https?://([\w.-]+|\[[\da-f:]+\])(:\d{1,5})?([/?#]|$)", url, re.IGNORECASE):
        raise UserError(f"'{url}' is no http or https address.", "give the whole address of a zip file")
    if note.exists() and note.read_text("utf-8").partition("\n")[0] != url:
        part.unlink(missing_ok=True)
    elif target.exists():
        return target
    trouble: object = "the connection was closed before the end"
    with progress_bar() as bar:
        task = bar.add_task(target.name, total=None)
        for attempt in range(TRIES):
            time.sleep(PAUSE * attempt)
            try:
                if receive(url, part, note, lambda done, total: bar.update(task, completed=done, total=total)):
                    return part.replace(target)
            except HTTPError as error:
                trouble = f"the server answers {error.code} {error.reason}"
                if error.code < 500 and error.code not in (408, 429):
                    raise UserError(f"{url}: {trouble}.", "open the address in a browser to check it") from None
            except DROPPED as error:
                trouble = getattr(error, "reason", None) or repr(error)
                if attempt == 0 and isinstance(error, URLError):
                    break  # not even a first connection: a wrong host or no network, which waiting does not mend
    kept = decimal(part.stat().st_size) if part.exists() else "nothing"
    problem = f"{url}: attempt {attempt + 1} failed ({trouble}); kept so far: {kept}."
    raise UserError(problem, f"check the network, then {AGAIN}")


def from_web(url: str, folder: Path) -> Path:
    """Download `url` into `folder` under the last name in its path; return the archive."""
    name = re.split(r"[?#]", url.strip())[0].rstrip("/").rpartition("/")[2]
    return fetch(url, folder / f"{name.removesuffix('.zip')}.zip")


def from_kaggle(slug: str, folder: Path) -> Path:
    """Let the `kaggle` command download a competition into `folder`; return the archive, `folder`/SLUG.zip."""
    if not re.fullmatch(r"\w[\w-]*", slug):
        raise UserError(f"'{slug}' names no competition.", "give the part of its address after /competitions/")
    archive, log = folder / f"{slug}.zip", folder / "kaggle.log"
    if zipfile.is_zipfile(archive):  # a broken download is not
        return archive
    page = f"https://www.kaggle.com/competitions/{slug}"
    by_hand = f"or press Download All at {page}/data, save it as {archive} and run the same command again"
    # beside this Python too: a virtual environment works without being activated
    command = shutil.which("kaggle", path=f"{os.environ.get('PATH', '')}{os.pathsep}{Path(sys.executable).parent}")
    if command is None:
        raise UserError("The `kaggle` command is not installed.", "pip install kaggle", by_hand)
    call = [command, "competitions", "download", "-c", slug, "-p", str(folder)]
    with log.open("wb") as output, progress_bar() as bar:
        task = bar.add_task(archive.name, total=None)
        with subprocess.Popen(call, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT) as process:
            while process.poll() is None:
                time.sleep(0.1)
                bar.update(task, completed=archive.stat().st_size if archive.exists() else 0)
    if process.returncode == 0 and archive.exists():
        return archive
    raise explain_kaggle(log.read_text("utf-8", errors="replace").strip(), page, by_hand)


def explain_kaggle(said: str, page: str, by_hand: str) -> UserError:
    """Turn what the `kaggle` command said when it failed into the next step."""
    if re.search(r"\b403\b|ccept th\w+ competition", said) and "proxy" not in said.lower():
        rules = f"accept them at {page}/rules, logged in as the owner of the token, then run the same command again"
        closed = "if it takes no new participants: python scripts/download.py url ADDRESS, with a zip from elsewhere"
        return UserError("Kaggle answers 403: you have not accepted the competition's rules.", rules, closed)
    if re.search(r"\b401\b|[Aa]uthentication required|[Uu]nauth|kaggle\.json|[Cc]redentials", said):
        token = "make a token at https://www.kaggle.com/settings/api and save it as ~/.kaggle/kaggle.json"
        variables = "or set KAGGLE_API_TOKEN, or both KAGGLE_USERNAME and KAGGLE_KEY"
        return UserError("Kaggle does not know you: the token is missing or not valid.", token, variables, by_hand)
    if re.search(r"\b404\b", said):
        return UserError(f"There is no {page} (Kaggle answers 404).", "check --competition in a browser")
    return UserError(f"`kaggle` brought no archive. It said: {said[-500:] or 'nothing'}", AGAIN, by_hand)


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
    """Return the tables, and the ids without a picture, that the competition's layout lacks in `root`."""
    pictures = {path.stem for path in root.glob("images/images/*")}
    tables = [root / "train.csv", root / "test.csv"]
    absent = [table.name for table in tables if not table.is_file()]
    return absent + [name for table in tables for name in ids(table) if name not in pictures]


def report(root: Path) -> None:
    """Print what lies below `root` and the training command that fits. Raises UserError when none does."""
    pictures = [path for path in root.rglob("*") if path.suffix.lower() in PICTURES]
    found = root
    if tables := sorted(root.rglob("train.csv"), key=lambda path: len(path.parts)):
        found, command = tables[0].parent, TRAIN
        rows = [f"{name} {len(ids(found / name)):,} rows" for name in ("train.csv", "test.csv")]
        typer.echo(
            f"{found}: {', '.join(rows)}, {len(list(found.glob('images/images/*'))):,} pictures in images/images"
        )
        if lacking := lacks(found):
            typer.echo(f"Missing: {shorten(lacking)}")
    else:
        # the folder with the most pictures two levels below it; with train/ and val/ that is train/
        above = Counter(path.parent.parent for path in pictures if path.parent != root)
        found = max(above, key=above.__getitem__, default=root)
        classes = {path.parent for path in pictures if path.parent.parent == found}
        if len(classes) < 2:
            there = shorten(sorted(path.name for path in root.iterdir()))
            needed = "train.csv, test.csv and images/images/ID.jpg, or (data=folder) one folder of pictures per class"
            raise UserError(
                f"{root} has no layout that training can read. It holds: {there}", f"arrange it as {needed}"
            )
        command = f"{TRAIN} data=folder"
        typer.echo(f"{found}: no train.csv, but {len(classes)} folders of pictures: one folder per class")
    setting = f"data.root={found}"
    if re.search(r"[^\w./=-]", setting):
        setting = shlex.quote(f'data.root="{found}"')  # the inner quotes are for Hydra, the outer for the shell
    usual = tables and found.resolve() == ROOT.resolve()
    typer.echo(f"Next: {command}" if usual else f"Next: {command} {setting}")


def obtain(to: Path, download: Callable[[Path], Path]) -> None:
    """Download into the folder beside `to` and unpack, unless all is there; print what was found and the next step."""
    root = to.expanduser()
    disk = f"check the disk and the rights to write {root}, then {AGAIN}"
    with one_screen(lambda error: UserError(f"{error}.", disk) if isinstance(error, OSError) else None):
        if lacks(root):
            folder = Path(f"{root.resolve()}.download")
            folder.mkdir(parents=True, exist_ok=True)
            archive = download(folder)
            unpack(archive, root.resolve())
            typer.echo(f"Unpacked; {archive} ({decimal(archive.stat().st_size)}) is not needed any more.")
        else:
            typer.echo(f"{root} is complete already; to get it anew, move it away first.")
        report(root)


app = typer.Typer(help=__doc__, add_completion=False, no_args_is_help=True)
To = Annotated[Path, typer.Option(help="Folder for the unpacked data: data.root in training.")]
Slug = Annotated[str, typer.Option(help="The part of the competition's address after /competitions/.")]
Address = Annotated[str, typer.Argument(help="http or https address of a zip file.")]


@app.command()
def kaggle(competition: Slug = SLUG, to: To = ROOT) -> None:
    """Get a competition's data with Kaggle's own command: pip install kaggle, a token, and the rules accepted.

    Example: python scripts/download.py kaggle --to data/kenyan13
    """
    obtain(to, lambda folder: from_kaggle(competition, folder))


@app.command()
def url(address: Address, to: To = ROOT) -> None:
    """Get a zip file from a web address; a broken download goes on when the same command is run again.

    Example: python scripts/download.py url https://example.org/images.zip --to data/birds
    """
    obtain(to, lambda folder: from_web(address, folder))


if __name__ == "__main__":
    app()
