"""Download images and labels and unpack them where training looks for them; `make data` runs this.

Example: python scripts/download.py kaggle

Example: python scripts/download.py url https://example.org/images.zip --to data/birds

Beside the target folder, data/kenyan13, lies data/kenyan13.download with the archive and what a broken download left.
"""

import os
import re
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from typing import Annotated
from urllib.error import HTTPError, URLError
from urllib.parse import quote
from urllib.request import Request, urlopen

import typer
from rich.filesize import decimal

from kenyan13.data.archive import ROOT, lacks, progress_bar, report, unpack
from kenyan13.errors import UserError, one_screen

SLUG = "opencv-pytorch-project-2-classification-round-3"
AGAIN = "run the same command again to go on"
TRIES, PAUSE = 4, 1.0  # connections in one call of fetch; seconds before the second one, growing by as much each time
DROPPED = (URLError, HTTPException, ConnectionError, TimeoutError)


def receive(url: str, part: Path, note: Path, show: Callable[[int, int | None], None]) -> bool:
    """Do one request, adding to `part`; return True when `part` is the whole file, False to ask once more."""
    start = part.stat().st_size if part.exists() else 0
    kept = note.read_text("utf-8").partition("\n")[2] if note.exists() else ""
    headers = {"Range": f"bytes={start}-"} if start else {}
    if start and kept:
        headers["If-Range"] = kept
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


def fetch(url: str, folder: Path) -> Path:
    """Download the http(s) address `url` into `folder` under the last name in its path; return the archive.

    Goes on where an earlier call stopped; a finished archive is not downloaded again, unless it came from another
    address. Raises UserError for a bad address, when there is no connection or it was lost TRIES times, and when the
    server refuses.
    """
    url = quote(url.strip(), safe=":/?#[]@!$&'()*+,;=%")
    name = re.split(r"[?#]", url)[0].rstrip("/").rpartition("/")[2].removesuffix(".zip")
    target, part, note = (folder / f"{name}.zip{ending}" for ending in ("", ".part", ".note"))
    if not re.match(r"https?://([\w.-]+|\[[\da-f:]+\])(:\d{1,5})?([/?#]|$)", url, re.IGNORECASE):
        raise UserError(f"'{url}' is no http or https address.", "give the whole address of a zip file")
    if note.exists() and note.read_text("utf-8").partition("\n")[0] != url:
        part.unlink(missing_ok=True)
    elif target.exists() and not part.exists():  # with a part, `target` is of another address
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
    obtain(to, lambda folder: fetch(address, folder))


if __name__ == "__main__":
    app()
