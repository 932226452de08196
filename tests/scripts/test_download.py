"""scripts/download.py against a web server on this machine and a false `kaggle` command; nothing leaves the machine."""

import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from kenyan13.errors import UserError

sys.path.append(str(Path(__file__).parents[2] / "scripts"))
import download

PYTHON = sys.executable
DATA = bytes(range(256)) * 2000  # 512,000 bytes: several reads of 64 KiB
FOOD = "train.csv 2 rows, test.csv 1 rows, 3 images in images/images"


@dataclass
class Site:
    """What the server has, how it misbehaves, and what it was asked."""

    address: str
    data: bytes = DATA
    validators: dict[str, str] = field(default_factory=lambda: {"ETag": '"one"'})
    drops: list[int] = field(default_factory=list)  # bytes that each coming answer sends before it breaks off
    ranges: bool = True
    status: int = 200
    kind: str = "application/zip"
    asked: list[tuple[str | None, str | None]] = field(default_factory=list)  # Range and If-Range of each request


@pytest.fixture
def site() -> Iterator[Site]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted, same = self.headers["Range"], self.headers["If-Range"]
            here.asked.append((wanted, same))
            start = 0
            if wanted and here.ranges and same in (None, *here.validators.values()):
                start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            past = start >= len(here.data)
            self.send_response(416 if past else 206 if start else here.status)
            for name, value in here.validators.items():
                self.send_header(name, value)
            if start:
                self.send_header("Content-Range", f"bytes {'*' if past else f'{start}-'}/{len(here.data)}")
            body = here.data[start:]
            self.send_header("Content-Type", here.kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: here.drops.pop(0)] if here.drops else body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    here = Site(f"http://127.0.0.1:{server.server_port}/food.zip?token=1")
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield here
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep proxies, waits, a real `kaggle` and the real data folder out of the tests."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(download, "PAUSE", 0.0)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "nowhere/python"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    with zipfile.ZipFile(tmp_path / "made.zip", "w") as made:
        made.writestr("train.csv", "id,class\n1,chapati\n2,ugali\n")
        made.writestr("test.csv", "id\n3\n")
        for number in (1, 2, 3):
            made.writestr(f"images/images/{number}.jpg", "image")
    return tmp_path / "made.zip"


def call(*words: str) -> tuple[int, str, str]:
    """Run the script as a user does; return its exit code, stdout and stderr."""
    done = subprocess.run([PYTHON, download.__file__, *words], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def test_a_full_download_equals_the_bytes_and_is_not_repeated(site: Site, tmp_path: Path) -> None:
    target = download.fetch(site.address, tmp_path)
    assert target == tmp_path / "food.zip"
    assert target.read_bytes() == DATA
    assert not (tmp_path / "food.zip.part").exists()
    assert download.fetch(site.address, tmp_path) == target
    assert site.asked == [(None, None)]


def test_another_address_with_the_same_name_replaces_the_file(site: Site, tmp_path: Path) -> None:
    download.fetch(site.address, tmp_path)
    site.data, site.drops = DATA[::-1], [1000] * download.TRIES
    with pytest.raises(UserError, match="attempt 4 failed"):
        download.fetch(site.address + "2", tmp_path)
    assert download.fetch(site.address + "2", tmp_path).read_bytes() == site.data


@pytest.mark.parametrize(
    ("validators", "if_range"),
    [
        ({"ETag": '"one"'}, '"one"'),
        ({"ETag": 'W/"weak"', "Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT"}, "Mon, 01 Jan 2024 00:00:00 GMT"),
        ({}, None),
    ],
)
def test_dropped_connections_go_on_at_the_right_byte(
    site: Site, tmp_path: Path, validators: dict[str, str], if_range: str | None
) -> None:
    site.validators, site.drops = validators, [200_000, 100_000]
    assert download.fetch(site.address, tmp_path).read_bytes() == DATA
    assert site.asked == [(None, None), ("bytes=200000-", if_range), ("bytes=300000-", if_range)]


def test_a_server_that_always_breaks_off_is_given_up_and_the_next_call_goes_on(site: Site, tmp_path: Path) -> None:
    site.drops = [50_000] * download.TRIES
    with pytest.raises(
        UserError, match=r"attempt 4 failed \(the connection was closed before the end\); kept so far: 200\.0 kB"
    ) as caught:
        download.fetch(site.address, tmp_path)
    assert caught.value.next_steps[0].endswith("run the same command again to go on")
    assert (tmp_path / "food.zip.part").read_bytes() == DATA[:200_000]
    assert download.fetch(site.address, tmp_path).read_bytes() == DATA
    assert site.asked[-1] == ("bytes=200000-", '"one"')


@pytest.mark.parametrize("if_range_works", [True, False])
def test_a_file_that_changed_meanwhile_starts_anew(site: Site, tmp_path: Path, if_range_works: bool) -> None:
    (tmp_path / "food.zip.part").write_bytes(b"old" * 1000)
    (tmp_path / "food.zip.note").write_text(f'{site.address}\n"{"old" if if_range_works else "one"}"')
    if not if_range_works:  # this server takes the old validator for good, but says a new one
        site.validators = {"X": '"one"', "ETag": '"new"'}
    assert download.fetch(site.address, tmp_path).read_bytes() == DATA
    assert site.asked[0][0] == "bytes=3000-"
    assert len(site.asked) == (1 if if_range_works else 2)


def test_a_server_without_ranges_starts_anew(site: Site, tmp_path: Path) -> None:
    site.ranges, site.drops = False, [200_000]
    assert download.fetch(site.address, tmp_path).read_bytes() == DATA
    assert [wanted for wanted, _ in site.asked] == [None, "bytes=200000-"]


@pytest.mark.parametrize(("left", "requests"), [(DATA, 1), (DATA + b"too long", 2)])
def test_416_means_finished_or_another_file(site: Site, tmp_path: Path, left: bytes, requests: int) -> None:
    (tmp_path / "food.zip.part").write_bytes(left)
    assert download.fetch(site.address, tmp_path).read_bytes() == DATA
    assert len(site.asked) == requests


@pytest.mark.parametrize(
    ("status", "kind", "message", "requests"),
    [(404, "", "404 Not Found", 1), (503, "", "attempt 4 failed .*503", 4), (200, "text/html", "is a web page", 1)],
)
def test_what_the_server_refuses(
    site: Site, tmp_path: Path, status: int, kind: str, message: str, requests: int
) -> None:
    site.status, site.kind = status, kind
    with pytest.raises(UserError, match=message):
        download.fetch(site.address, tmp_path)
    assert len(site.asked) == requests
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "address", ["file:///etc/passwd", "ftp://host/a.zip", "a.zip", "http://[x/a.zip", "http://", ""]
)
def test_only_web_addresses(tmp_path: Path, address: str) -> None:
    with pytest.raises(UserError, match="no http or https address"):
        download.fetch(address, tmp_path)


def test_the_url_command_from_download_to_next_step(site: Site, archive: Path, tmp_path: Path) -> None:
    site.data = archive.read_bytes()
    code, out, err = call("url", site.address)
    assert (code, "Traceback" in err) == (0, False)
    assert out.splitlines()[1:] == [f"data/kenyan13: {FOOD}", "Next: python train.py model=efficientnet_b4 freeze=pt5"]
    assert (tmp_path / "data/kenyan13/images/images/3.jpg").read_text() == "image"
    code, out, _ = call("url", site.address)
    assert (code, len(site.asked)) == (0, 1)
    assert out.startswith("data/kenyan13 is complete already")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("url", "SITE"), "404 Not Found"),
        (("url", "http://127.0.0.1:1/a.zip"), "Connection refused"),
        (("url", "SITE", "--to", "file/data"), "Not a directory"),
        (("kaggle", "--competition", "../x"), "'../x' names no competition"),
    ],
)
def test_faults_end_with_code_2_and_no_traceback(
    site: Site, tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    site.status = 404
    (tmp_path / "file").touch()
    code, out, err = call(*(word.replace("SITE", site.address) for word in words))
    assert (code, out, "Traceback" in err) == (2, "", False)
    assert message in err
    assert "  -> " in err


def false_kaggle(folder: Path, monkeypatch: pytest.MonkeyPatch, does: str) -> None:
    """Put first on PATH a `kaggle` that checks how it is called and then runs the shell line `does`."""
    command = folder / "bin/kaggle"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\n[ "$1 $2 $3 $5" = "competitions download -c -p" ] || exit 9\n{does}\n')
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(command.parent), prepend=os.pathsep)


def test_kaggle_success(archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    false_kaggle(tmp_path, monkeypatch, f'cp "{archive}" "$6/$4.zip"')
    code, out, _ = call("kaggle", "--competition", "some-food", "--to", "food")
    assert code == 0
    assert out.endswith(f"food: {FOOD}\nNext: python train.py model=efficientnet_b4 freeze=pt5 data.root=food\n")
    assert (tmp_path / "food.download/some-food.zip").read_bytes() == archive.read_bytes()


@pytest.mark.parametrize(
    ("said", "message", "step"),
    [
        ("403 - Forbidden - You must accept this competition's rules", "accepted the competition's rules", "/rules"),
        ("Authentication required to call the Kaggle API.", "the token is missing", "~/.kaggle/kaggle.json"),
        ("404 Client Error: Not Found for url: x", "There is no https://www.kaggle.com/competitions/opencv-", "check"),
        ("no route", "It said: no route", "run the same command again"),
    ],
)
def test_kaggle_faults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, message: str, step: str) -> None:
    false_kaggle(tmp_path, monkeypatch, f'echo "{said}" >&2; exit 1')
    with pytest.raises(UserError) as caught:
        download.from_kaggle(download.SLUG, tmp_path)
    assert message in caught.value.problem
    assert step in caught.value.next_steps[0]


def test_without_the_kaggle_command(archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="`kaggle` command is not installed") as caught:
        download.from_kaggle("some-food", tmp_path)
    assert caught.value.next_steps[0] == "pip install kaggle"
    saved_by_hand = archive.rename(tmp_path / "some-food.zip")
    assert download.from_kaggle("some-food", tmp_path) == saved_by_hand
