"""A real browser for tests: pages opened in headless Chromium, which is without network.

`make browser` installs it; where there is none, tests that need it are skipped.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
TIMEOUT = 60  # seconds; a page takes about one
CONSOLE = re.compile(r"^\[[^\]\n]*:CONSOLE[^\]\n]*\] \"(.*?)\", source: [^\n]*$", flags=re.MULTILINE | re.DOTALL)
# Errors of scripts come to the console by themselves; that an image or a style sheet is missing does not.
WATCH = """<script>addEventListener("error", function (event) {
  if (event.target !== window) console.error("not loaded: " + (event.target.src || event.target.href));
}, true);</script>"""


@dataclass(frozen=True)
class Opened:
    """A page as it was in the end.

    dom: its HTML; console: what was written to the console, with the errors of scripts and what could not be loaded;
    requests: the addresses that it asked the network for, in vain. Files beside the page are no requests.
    """

    dom: str
    console: tuple[str, ...]
    requests: tuple[str, ...]


def open_page(html_file: Path, script: str = "") -> Opened:
    """Open a page, run a script in it when it has loaded, and return what has become of it.

    Timers of the page run at once, for five seconds of its time. Skips the test where there is no Chromium.
    """
    with tempfile.TemporaryDirectory() as scratch, with_script(html_file, script) as page:
        log = Path(scratch) / "network.json"
        flags = ["--dump-dom", "--virtual-time-budget=5000", "--enable-logging=stderr", f"--log-net-log={log}"]
        done = chromium(Path(scratch), *flags, page)
        return Opened(done.stdout, tuple(CONSOLE.findall(done.stderr)), requests(log))


def ask_page(html_file: Path, script: str) -> tuple[Any, tuple[str, ...]]:
    """Open a page, run a script in it, an async function's body, and return what it returns, and `requests`.

    The page has as much time as it needs, and may be asked for the WebAssembly that `open_page` does not wait for. The
    answer comes by a local port, `port` in the script, which the page's security policy is made to allow.
    """
    found, done = [], Event()

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            found.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()
            done.set()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}/"
    call = f"""const port = {server.server_port};
(async () => {{ {script} }})().then(value => ({{ value }}), error => ({{ error: String(error.stack) }})).then(body =>
  fetch("{address}", {{ method: "POST", mode: "no-cors", body: JSON.stringify(body) }}))"""
    with tempfile.TemporaryDirectory() as scratch, with_script(html_file, call, address) as page:
        log = Path(scratch) / "network.json"
        flags = ["--remote-debugging-port=0", f"--log-net-log={log}", page]
        process = start_chromium(Path(scratch), *flags, rules="MAP * ~NOTFOUND, EXCLUDE 127.0.0.1")
        try:
            assert done.wait(TIMEOUT), "the page did not answer"
        finally:
            process.terminate()  # rather than kill: the log is completed
            process.communicate()
            server.shutdown()
        assert "error" not in found[0], found[0]["error"]
        return found[0].get("value"), tuple(one for one in requests(log) if not one.startswith(address))


@contextmanager
def with_script(html_file: Path, script: str, connect: str = "") -> Iterator[str]:
    """Give the address of a copy of a page, beside it so that its links hold, that runs a script when it has loaded.

    A page whose security policy forbids scripts that are written in it forbids this one, and the console says so.
    connect: an address that the policy is made to allow connections to.
    """
    before, body, after = html_file.read_text(encoding="utf-8").rpartition("</body>")
    call = f'<script>addEventListener("load", function () {{\n{script}\n}});</script>'
    text = before + call + body + after if body else after + call
    copy = html_file.with_name(f".opened-{os.getpid()}-{html_file.name}")
    text = text.replace("connect-src data:", f"connect-src data: {connect}")
    copy.write_text(re.sub(r"<head(?=[\s>])[^>]*>", lambda head: head[0] + WATCH, text, count=1), encoding="utf-8")
    try:
        yield copy.absolute().as_uri()
    finally:
        copy.unlink()


def chromium(scratch: Path, *flags: str) -> "subprocess.CompletedProcess[str]":
    """Run headless Chromium with a profile of its own in a scratch folder, and end all its processes."""
    process = start_chromium(scratch, *flags)
    try:
        out, said = process.communicate(timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise
    assert process.returncode == 0, said
    return subprocess.CompletedProcess(process.args, process.returncode, out, said)


def start_chromium(scratch: Path, *flags: str, rules: str = "MAP * ~NOTFOUND") -> "subprocess.Popen[str]":
    """Start headless Chromium with a profile of its own in a scratch folder; rules: what names resolve to."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip("there is no Chromium to open pages in: make browser")
    common = [
        "--headless", "--disable-gpu", "--disable-dev-shm-usage", "--disable-extensions", "--no-first-run",
        "--disable-background-networking", f"--host-resolver-rules={rules}",
        f"--user-data-dir={scratch}/profile",
        *(["--no-sandbox"] if os.geteuid() == 0 else []),
    ]  # fmt: skip
    return subprocess.Popen(
        [found, *common, *flags], env=os.environ | {"HOME": str(scratch)}, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


def requests(log: Path) -> tuple[str, ...]:
    """Return the addresses that a page asked for, each once, from Chromium's network log.

    Chromium's own requests, which it makes for itself whatever the page, have no origin as initiator.
    """
    text = log.read_text(encoding="utf-8", errors="replace")
    if not text.endswith("}\n"):  # of a browser that was ended: up to the last event that is whole
        text = text[: text.rindex("},\n") + 1] + "]}"
    events = json.loads(text)["events"]
    parameters = [event.get("params", {}) for event in events]
    asked = [
        one["url"] for one in parameters if "url" in one and one.get("initiator", "not an origin") != "not an origin"
    ]
    return tuple(dict.fromkeys(asked))
