"""scripts/download.py with a web server on this machine, which also plays Kaggle; nothing leaves the machine."""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import SimpleNamespace

import download
import pytest
from archives import LAYOUT, TRAIN, pack, tree


@dataclass
class Site:
    """What the server has, how it misbehaves, and the ranges and tokens that it was sent."""

    port: int
    data: bytes = field(default_factory=lambda: pack(LAYOUT))
    drops: list[int] = field(default_factory=list)  # bytes that each coming response sends before it breaks off
    ranges: bool = True
    status: int = 200
    asked: list[str | None] = field(default_factory=list)
    tokens: list[str | None] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/food.zip?token=1"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            here.asked.append(self.headers["Range"])
            wanted = self.headers["Range"] if here.ranges else None
            start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0
            self.send_response(416 if start >= len(here.data) else here.status if wanted is None else 206)
            body = here.data[start:]
            self.send_header("Accept-Ranges", "bytes")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: here.drops.pop(0)] if here.drops else body)

        def do_POST(self) -> None:  # kagglehub asks so for a competition's archive, and is sent on to it
            self.rfile.read(int(self.headers["Content-Length"]))
            here.tokens.append(self.headers["Authorization"])
            self.send_response(302 if here.status == 200 else here.status)
            self.send_header("Location", "http://localhost/archive")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    here = Site(server.server_port)
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield here
    server.shutdown()
    server.server_close()


def test_a_download_is_unpacked_and_not_repeated(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    download.url(site.address)
    expected = f"data/kenyan13: train.csv, 2 images of 2 classes, 1 test images\n{TRAIN}\n"
    assert capsys.readouterr().out == expected
    assert tree(Path("data")) == {f"kenyan13/{name}": content for name, content in LAYOUT.items()}
    download.url(site.address)
    assert capsys.readouterr().out.startswith(f"{expected}The data were here already")
    assert len(site.asked) == 1


@pytest.mark.parametrize("ranges", [True, False])
def test_a_broken_download_goes_on_with_the_next_call(site: Site, fails: Callable[..., str], ranges: bool) -> None:
    site.ranges, site.drops = ranges, [500]
    assert "the connection was closed before the end" in fails(download.url, site.address)
    assert [file.stat().st_size for file in Path("data/kenyan13.download").iterdir()] == [500]
    download.url(site.address)
    assert site.asked == ["bytes=0-", "bytes=500-"]
    assert tree(Path("data/kenyan13")) == LAYOUT


def test_what_came_from_another_address_is_not_gone_on_with(site: Site, fails: Callable[..., str]) -> None:
    site.drops = [500]
    fails(download.url, site.address)
    download.url(site.address + "2")
    assert site.asked == ["bytes=0-", "bytes=0-"]


def test_a_download_that_could_not_be_unpacked_is_there_for_the_next_call(
    site: Site, fails: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    site.data = pack({"zeros": bytes(3_000_000)})
    with monkeypatch.context() as small:
        small.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=2_000_000))
        message = fails(download.url, site.address)
        assert "take 3.0 MB unpacked" in message
        assert "has 2.0 MB free" in message
    assert "0 class folder(s)" in fails(download.url, site.address)  # as zeros are no data set
    assert site.asked == ["bytes=0-", f"bytes={len(site.data)}-"]


@pytest.mark.parametrize(
    ("address", "to", "message"),
    [
        ("SITE", "food", "404: Not Found"),
        ("http://127.0.0.1:1/a.zip", "food", "Connection refused"),
        ("http://[x/a.zip", "food", "IPv6"),
        ("a.zip", "food", "unknown url type"),
        ("SITE", "file/food", "Not a directory"),
    ],
)
def test_what_cannot_be_downloaded(site: Site, fails: Callable[..., str], address: str, to: str, message: str) -> None:
    Path("file").touch()
    site.status, site.ranges = 404, False
    assert message in fails(download.url, address.replace("SITE", site.address), Path(to))


def token(monkeypatch: pytest.MonkeyPatch, site: Site, value: str) -> None:
    """Have kagglehub ask `site` instead of Kaggle, with this token; credentials of the user stay out of it."""
    monkeypatch.setenv("KAGGLE_API_ENVIRONMENT", "LOCALHOST")
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{site.port}")
    monkeypatch.setenv("HOME", str(Path.cwd()))
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(Path.cwd()))
    monkeypatch.setenv("KAGGLE_API_TOKEN", value)
    for name in ("KAGGLE_USERNAME", "KAGGLE_KEY", "KAGGLEHUB_CACHE", "DISABLE_KAGGLE_CACHE", "DISABLE_COLAB_CACHE"):
        monkeypatch.setenv(name, "")  # so that it is restored


def test_kagglehub_goes_on_after_a_break(
    site: Site, fails: Callable[..., str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    token(monkeypatch, site, "secret")
    content = LAYOUT | {"images/images/1.jpg": os.urandom(3 << 20)}
    site.data, site.drops = pack(content), [5 << 19]  # it writes whole MiB
    assert "Connection broken" in fails(download.kaggle, "some-food", Path("food"))
    download.kaggle("some-food", Path("food"))
    assert site.asked[-1] == "bytes=2097152-"
    assert set(site.tokens) == {"Bearer secret"}
    assert tree(Path("food")) == content
    assert not Path("food.download").exists()
    assert capsys.readouterr().out.endswith(f"{TRAIN} data.root=food\n")


@pytest.mark.parametrize(
    ("value", "status", "message"),
    [("", 200, "not authenticated"), ("old", 401, "401"), ("secret", 403, "403")],
)
def test_what_kaggle_needs_is_said(
    site: Site, fails: Callable[..., str], monkeypatch: pytest.MonkeyPatch, value: str, status: int, message: str
) -> None:
    token(monkeypatch, site, value)
    site.status = status
    screen = fails(download.kaggle, "some-food", Path("food"))
    assert message in screen
    assert "-> make a token at https://www.kaggle.com/settings/api" in screen
    assert "https://www.kaggle.com/competitions/some-food/rules" in screen
    assert "pip install" not in screen
    assert "same command" not in screen, "it would fail again"
