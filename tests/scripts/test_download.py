"""scripts/download.py against a web server on this machine and a false `kaggle` command; nothing leaves the machine."""

import importlib.util
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

REPOSITORY = Path(__file__).parents[2]
SCRIPT = REPOSITORY / "scripts/download.py"
spec = importlib.util.spec_from_file_location("download", SCRIPT)
assert spec is not None
assert spec.loader is not None
download = importlib.util.module_from_spec(spec)
spec.loader.exec_module(download)

DATA = bytes(range(256)) * 2000  # 512,000 bytes: several reads of 64 KiB
LAYOUT = {
    "train.csv": b"id,class\n1,chapati\n2,ugali\n",
    "test.csv": b"id\n3\n",
    **{f"images/images/{number}.jpg": b"picture %d" % number for number in (1, 2, 3)},
}


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
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "127.0.0.1")
    monkeypatch.setattr(download, "PAUSE", 0.0)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "nowhere/python"))
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    monkeypatch.chdir(tmp_path)


PYTHON = sys.executable


def call(*words: object) -> tuple[int, str, str]:
    """Run the script as a user does; return its exit code, stdout and stderr."""
    done = subprocess.run([PYTHON, SCRIPT, *map(str, words)], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def pack(path: Path, members: dict[str, bytes], links: tuple[str, ...] = ()) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = (0o120777 if name in links else 0o100644) << 16
            archive.writestr(info, content)
    return path


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_full_download_equals_the_bytes_and_is_not_repeated(site: Site, tmp_path: Path) -> None:
    target = download.from_web(site.address, tmp_path)
    assert target == tmp_path / "food.zip"
    assert target.read_bytes() == DATA
    assert not (tmp_path / "food.zip.part").exists()
    assert download.from_web(site.address, tmp_path) == target
    assert site.asked == [(None, None)]
    site.data = b"another file of this name"
    assert download.from_web(site.address + "2", tmp_path).read_bytes() == site.data


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
    assert download.fetch(site.address, tmp_path / "a.zip").read_bytes() == DATA
    assert site.asked == [(None, None), ("bytes=200000-", if_range), ("bytes=300000-", if_range)]


def test_a_server_that_always_breaks_off_is_given_up_and_the_next_call_goes_on(site: Site, tmp_path: Path) -> None:
    site.drops = [50_000] * download.TRIES
    with pytest.raises(
        UserError, match=r"attempt 4 failed \(the connection was closed before the end\); kept so far: 200\.0 kB"
    ) as caught:
        download.fetch(site.address, tmp_path / "a.zip")
    assert caught.value.next_steps[0].endswith("run the same command again to go on")
    assert (tmp_path / "a.zip.part").read_bytes() == DATA[:200_000]
    assert download.fetch(site.address, tmp_path / "a.zip").read_bytes() == DATA
    assert site.asked[-1] == ("bytes=200000-", '"one"')


@pytest.mark.parametrize("if_range_works", [True, False])
def test_a_file_that_changed_meanwhile_starts_anew(site: Site, tmp_path: Path, if_range_works: bool) -> None:
    (tmp_path / "a.zip.part").write_bytes(b"old" * 1000)
    (tmp_path / "a.zip.note").write_text(f'{site.address}\n"{"old" if if_range_works else "one"}"')
    if not if_range_works:  # this server takes the old validator for good, but says a new one
        site.validators = {"X": '"one"', "ETag": '"new"'}
    assert download.fetch(site.address, tmp_path / "a.zip").read_bytes() == DATA
    assert site.asked[0][0] == "bytes=3000-"
    assert len(site.asked) == (1 if if_range_works else 2)


def test_a_server_without_ranges_starts_anew(site: Site, tmp_path: Path) -> None:
    site.ranges, site.drops = False, [200_000]
    assert download.fetch(site.address, tmp_path / "a.zip").read_bytes() == DATA
    assert [wanted for wanted, _ in site.asked] == [None, "bytes=200000-"]


@pytest.mark.parametrize(("left", "requests"), [(DATA, 1), (DATA + b"too long", 2)])
def test_416_means_finished_or_another_file(site: Site, tmp_path: Path, left: bytes, requests: int) -> None:
    (tmp_path / "a.zip.part").write_bytes(left)
    assert download.fetch(site.address, tmp_path / "a.zip").read_bytes() == DATA
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
        download.fetch(site.address, tmp_path / "a.zip")
    assert len(site.asked) == requests
    assert tree(tmp_path) == {}


@pytest.mark.parametrize(
    "address", ["file:///etc/passwd", "ftp://host/a.zip", "a.zip", "http://[x/a.zip", "http://", ""]
)
def test_only_web_addresses(tmp_path: Path, address: str) -> None:
    with pytest.raises(UserError, match="no http or https address"):
        download.from_web(address, tmp_path)


@pytest.mark.parametrize(
    "name", ["../evil", "a/../../evil", "a/../in", "/evil", "C:\\x", "..\\evil", "\\\\host\\x", "link", "out/x"]
)
def test_an_unsafe_member_is_refused_with_nothing_written(tmp_path: Path, name: str) -> None:
    archive = pack(tmp_path / "a.zip", LAYOUT | {name: b"/etc/passwd"}, links=("link",))
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "data").mkdir()
    (tmp_path / "data/out").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError) as caught:
        download.unpack(archive, tmp_path / "data")
    assert f"'{name}'" in caught.value.problem
    assert list(tree(tmp_path)) == ["a.zip"]
    assert not (tmp_path / "data.unpacking").exists()


@pytest.mark.parametrize("wrapper", ["", "Kenyan Food/", "images/"])
def test_one_wrapping_folder_is_stripped(tmp_path: Path, wrapper: str) -> None:
    members = {f"{wrapper}{name}": content for name, content in LAYOUT.items()}
    archive = pack(tmp_path / "a.zip", members | {"__MACOSX/._train.csv": b"junk"})
    download.unpack(archive, tmp_path / "deep/data")
    assert tree(tmp_path / "deep") == {f"data/{name}": content for name, content in LAYOUT.items()}


def test_unpacking_adds_missing_files_and_never_changes_one(tmp_path: Path) -> None:
    archive, root = pack(tmp_path / "a.zip", LAYOUT), tmp_path / "data"
    (tmp_path / "data.unpacking/images").mkdir(parents=True)  # left by a call that was killed
    root.mkdir()
    (root / "mine.txt").write_text("mine")
    (root / "train.csv").write_bytes(LAYOUT["train.csv"])
    download.unpack(archive, root)
    assert tree(root) == LAYOUT | {"mine.txt": b"mine"}
    assert not (tmp_path / "data.unpacking").exists()
    (root / "train.csv").write_text("edited")
    (root / "test.csv").unlink()
    with pytest.raises(UserError, match=r"other content than the archive in train\.csv; nothing"):
        download.unpack(archive, root)
    assert (root / "train.csv").read_text() == "edited"
    assert not (root / "test.csv").exists()


def test_too_little_room_is_said_with_sizes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = pack(tmp_path / "a.zip", {"zeros": bytes(3_000_000)})
    monkeypatch.setattr(download.shutil, "disk_usage", lambda path: download.shutil._ntuple_diskusage(0, 0, 2_000_000))
    with pytest.raises(UserError, match=r"take 3\.0 MB unpacked.*has 2\.0 MB free"):
        download.unpack(archive, tmp_path / "data")
    assert list(tree(tmp_path)) == ["a.zip"]


@pytest.mark.parametrize("damage", ["cut", "flipped", "text", "empty"])
def test_a_damaged_archive_leaves_nothing(tmp_path: Path, damage: str) -> None:
    archive = pack(tmp_path / "a.zip", {} if damage == "empty" else {"train.csv": os.urandom(1000)})
    content = archive.read_bytes()
    flipped = bytes([*content[:500], 255 - content[500], *content[501:]]) if len(content) > 500 else b""
    broken = {"cut": content[:700], "flipped": flipped, "text": b"hello"}
    archive.write_bytes(broken.get(damage, content))
    with pytest.raises(UserError, match=r"a\.zip is damaged or no zip file") as caught:
        download.unpack(archive, tmp_path / "data")
    assert caught.value.next_steps[0] == f"rm {archive}"
    assert list(tree(tmp_path)) == ["a.zip"]


FOOD = "train.csv 2 rows, test.csv 1 rows, 3 pictures in images/images"
BIRDS = {"set/robin/1.jpg": b"1", "set/robin/2.jpg": b"2", "set/wren/3.png": b"3", "readme.txt": b"x"}


@pytest.mark.parametrize(
    ("members", "to", "said"),
    [
        (LAYOUT, "data/kenyan13", [f"data/kenyan13: {FOOD}", "Next: python train.py model=efficientnet_b4 freeze=pt5"]),
        (LAYOUT, "my food", [f"my food: {FOOD}", """freeze=pt5 'data.root="my food"'"""]),
        ({f"a/b/{name}": content for name, content in LAYOUT.items()}, "food", ["freeze=pt5 data.root=food/a/b"]),
        (LAYOUT | {"test.csv": b"id\n3\n44\n"}, "food", ["test.csv 2 rows", "Missing: 44"]),
        (BIRDS, "birds", ["2 folders of pictures", "freeze=pt5 data=folder data.root=birds/set"]),
    ],
)
def test_the_report_ends_with_the_command_that_fits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], members: dict[str, bytes], to: str, said: list[str]
) -> None:
    download.unpack(pack(tmp_path / "a.zip", members), tmp_path / to)
    download.report(Path(to))
    out = capsys.readouterr().out
    assert [part for part in said if part not in out] == []
    assert out.splitlines()[-1].startswith("Next: python train.py")
    assert "Missing" in said[-1] or out.rstrip().endswith(said[-1])


def test_pictures_without_labels_are_no_layout(tmp_path: Path) -> None:
    download.unpack(pack(tmp_path / "a.zip", {"images/images/1.jpg": b"1"}), tmp_path / "data")
    with pytest.raises(UserError, match=r"no layout that training can read\. It holds: images"):
        download.report(tmp_path / "data")
    assert list(tree(tmp_path / "data")) == ["images/images/1.jpg"]  # images/ is no wrapping folder


def test_the_url_command_from_download_to_next_step(site: Site, tmp_path: Path) -> None:
    site.data = pack(tmp_path / "a.zip", LAYOUT).read_bytes()
    code, out, err = call("url", site.address)
    assert (code, "Traceback" in err) == (0, False)
    assert out.splitlines()[1:] == [f"data/kenyan13: {FOOD}", "Next: python train.py model=efficientnet_b4 freeze=pt5"]
    assert tree(tmp_path / "data/kenyan13") == LAYOUT
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
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], message: str
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


def test_kaggle_success(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = pack(tmp_path / "a.zip", LAYOUT)
    false_kaggle(tmp_path, monkeypatch, f'cp "{archive}" "$6/$4.zip"')
    code, out, _ = call("kaggle", "--competition", "some-food", "--to", "food")
    assert code == 0
    assert out.endswith(f"food: {FOOD}\nNext: python train.py model=efficientnet_b4 freeze=pt5 data.root=food\n")
    assert tree(tmp_path / "food") == LAYOUT
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


def test_without_the_kaggle_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="`kaggle` command is not installed") as caught:
        download.from_kaggle("some-food", tmp_path)
    assert caught.value.next_steps[0] == "pip install kaggle"
    archive = pack(tmp_path / "some-food.zip", LAYOUT)  # saved by hand
    assert download.from_kaggle("some-food", tmp_path) == archive
