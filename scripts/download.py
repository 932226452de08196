"""Download images and labels and unpack them where training looks for them; `make data` runs this.

Example: python scripts/download.py kaggle --to data/kenyan13

Example: python scripts/download.py url https://example.org/images.zip --to data/birds

The same command goes on with what broke off, which lies in data/kenyan13.download. Files in --to never change.
"""

import filecmp
import os
import shlex
import shutil
import stat
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path, PureWindowsPath
from typing import Annotated
from urllib.error import HTTPError
from urllib.request import Request, urlopen
from zlib import crc32

import typer
from rich.console import Console
from rich.filesize import decimal
from rich.progress import wrap_file

from kenyan13.cli.app import print_next
from kenyan13.config.settings import DataSettings, Layout
from kenyan13.data.catalogue import read
from kenyan13.data.source import subfolders
from kenyan13.errors import UserError, explain_machine, one_screen, shorten
from kenyan13.terminal import progress

ROOT = Path("data/kenyan13")  # the default of data.root in conf/ too
To = Annotated[Path, typer.Option(help="Folder for the unpacked data: data.root in training.")]
app = typer.Typer(help=__doc__, add_completion=False, no_args_is_help=True)


@app.command()
def kaggle(competition: str = "opencv-pytorch-project-2-classification-round-3", to: To = ROOT) -> None:
    """Get a competition's data from Kaggle, by the last part of its page's address."""

    def download(folder: Path) -> Path:
        try:
            import kagglehub
            from kagglehub.exceptions import KaggleApiHTTPError, UnauthenticatedError
        except ImportError:
            raise UserError("kagglehub is not installed.", "pip install kagglehub") from None

        os.environ |= {"KAGGLEHUB_CACHE": str(folder), "DISABLE_KAGGLE_CACHE": "1", "DISABLE_COLAB_CACHE": "1"}
        try:
            return Path(kagglehub.competition_download(competition))
        except (KaggleApiHTTPError, UnauthenticatedError) as error:
            if isinstance(error, KaggleApiHTTPError) and error.response.status_code >= 500:
                raise  # Kaggle's own trouble
            page = f"https://www.kaggle.com/competitions/{competition}"
            raise UserError(
                f"Kaggle refuses: {str(error).splitlines()[0].rstrip('.')}.",
                "make a token at https://www.kaggle.com/settings/api and save it as\n     ~/.kaggle/access_token",
                f"accept the rules as the owner of the token:\n     {page}/rules",
                f"or press Download All in a browser:\n     {page}/data\n"
                "     and then: python scripts/download.py url FILE.zip",
            ) from None

    obtain(to, download)


@app.command()
def url(address: str, to: To = ROOT) -> None:
    """Get a zip file from a web address, or unpack one that is here."""
    here = Path(address).expanduser()
    step = "check the address: of the zip file itself, not of a page that links to it"
    obtain(to, lambda folder: unpack(here if here.is_file() else fetch(address, folder), folder / "unpacked"), step)


def obtain(to: Path, download: Callable[[Path], Path], *steps: str) -> None:
    """Move what `download` has left in a folder to `to`, unless training finds its data there; print how to train.

    download: given a folder for its files, returns that of the unpacked ones. steps: what helps where it fails.
    """
    root = to.expanduser()
    folder = Path(f"{root.resolve()}.download")
    again = ("run the same command again", f"if it fails once more: rm -r {shlex.quote(str(folder))}")
    with one_screen(lambda error: explain_machine(error) or UserError(f"Download failed: {error}.", *steps, *again)):
        if root.is_dir():
            with suppress(UserError):
                report(root)
                print("The data were here already; to get them anew, move the folder away.")
                return
        folder.mkdir(parents=True, exist_ok=True)
        move(download(folder), root.resolve())
        shutil.rmtree(folder)
        report(root)


def fetch(address: str, folder: Path) -> Path:
    """Download a file into `folder`, going on after what an earlier call left there; return it.

    Raises OSError, HTTPException and ValueError for what is no address, a refusal, and a connection that breaks.
    """
    file = folder / f"{crc32(address.encode()):08x}.zip"  # one an address, so that parts of two are never joined
    done = file.stat().st_size if file.exists() else 0
    try:
        response = urlopen(Request(address, headers={"Range": f"bytes={done}-"}), timeout=60)
    except HTTPError as error:
        if error.code == 416:  # there is nothing after what is here
            return file
        raise
    with response, file.open("ab" if response.status == 206 else "wb") as target:  # else, all of it is sent again
        end = target.tell() + (size := int(response.headers["Content-Length"] or 0))
        with wrap_file(response, size, description="Downloading", console=Console(stderr=True)) as source:
            shutil.copyfileobj(source, target)
        if target.tell() < end:
            raise ConnectionError("the connection was closed before the end")
    return file


def unpack(archive: Path, folder: Path) -> Path:
    """Unpack a zip file into the folder `folder`; return it, or the one folder in it that wraps everything.

    Raises UserError for an unsafe archive and too little room, and what zipfile raises for a damaged one.
    """
    shutil.rmtree(folder, ignore_errors=True)  # what is left of a call that was killed
    folder.mkdir()
    with zipfile.ZipFile(archive) as opened:
        members = [member for member in opened.infolist() if not member.filename.startswith("__MACOSX/")]
        for member in members:
            path = PureWindowsPath(member.filename)  # knows both slashes, and drive letters
            if stat.S_ISLNK(member.external_attr >> 16) or path.anchor or ".." in path.parts:
                problem = f"Unsafe archive: its member '{member.filename}' is a link or leads out of the folder."
                raise UserError(problem, "nothing was unpacked; get the archive from a source that you trust")
        size, free = sum(member.file_size for member in members), shutil.disk_usage(folder).free
        if size > free:
            problem = f"The data take {decimal(size)} unpacked, and {folder.parent} has {decimal(free)} free."
            raise UserError(problem, "make room, or give a folder on another disk with --to")
        for member in progress(members, "Unpacking"):
            opened.extract(member, folder)
    entries = list(folder.iterdir())
    top = entries[0] if len(entries) == 1 and entries[0].is_dir() else folder
    return folder if top.name == "images" and not (top / "train.csv").is_file() else top


def move(source: Path, root: Path) -> None:
    """Move the files below `source` to `root`. Raises UserError when one there has other content."""
    files = sorted(path.relative_to(source) for path in source.rglob("*") if path.is_file())
    there = [file for file in files if (root / file).exists()]
    if other := [file for file in there if not filecmp.cmp(source / file, root / file, shallow=False)]:
        problem = f"{root} holds other content than the download in {shorten(other)}; nothing was changed."
        raise UserError(problem, "move these files away, or give another folder with --to")
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (source / file).replace(root / file)


def report(root: Path) -> None:
    """Print what training finds below `root` and the command that fits. Raises UserError where it finds no data."""
    tables = sorted(root.rglob("train.csv"), key=lambda path: len(path.parts))
    found, layout = (tables[0].parent, Layout.competition) if tables else (root, Layout.folder)
    while not tables and len(folders := subfolders(found)) == 1:
        found = folders[0]
    source = read(DataSettings(layout=layout, root=str(found)))
    held = [f"{len(source.labelled):,} images of {len(source.labelled.classes)} classes"]
    held += [f"{len(source.test):,} test images"] if source.test else []
    print(f"{found}: {'train.csv' if tables else 'one folder a class'}, {', '.join(held)}")
    words = [] if tables else ["data=folder"]
    words += [] if found.resolve() == ROOT.resolve() else [f"data.root={found}"]
    print_next(["kenyan13", "train", "model=efficientnet_b4", "freeze=pt5", *words])


if __name__ == "__main__":
    app()
