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
from pathlib import Path

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


@contextmanager
def with_script(html_file: Path, script: str) -> Iterator[str]:
    """Give the address of a copy of a page, beside it so that its links hold, that runs a script when it has loaded.

    A page whose security policy forbids scripts that are written in it forbids this one, and the console says so.
    """
    before, body, after = html_file.read_text(encoding="utf-8").rpartition("</body>")
    call = f'<script>addEventListener("load", function () {{\n{script}\n}});</script>'
    text = before + call + body + after if body else after + call
    copy = html_file.with_name(f".opened-{os.getpid()}-{html_file.name}")
    copy.write_text(re.sub(r"<head(?=[\s>])[^>]*>", lambda head: head[0] + WATCH, text, count=1), encoding="utf-8")
    try:
        yield copy.absolute().as_uri()
    finally:
        copy.unlink()


def chromium(scratch: Path, *flags: str) -> "subprocess.CompletedProcess[str]":
    """Run headless Chromium with a profile of its own in a scratch folder, and end all its processes."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip("there is no Chromium to open pages in: make browser")
    common = [
        "--headless", "--disable-gpu", "--disable-dev-shm-usage", "--disable-extensions", "--no-first-run",
        "--disable-background-networking", "--host-resolver-rules=MAP * ~NOTFOUND",
        f"--user-data-dir={scratch}/profile",
        *(["--no-sandbox"] if os.geteuid() == 0 else []),
    ]  # fmt: skip
    process = subprocess.Popen(
        [found, *common, *flags], env=os.environ | {"HOME": str(scratch)}, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        out, said = process.communicate(timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise
    assert process.returncode == 0, said
    return subprocess.CompletedProcess(process.args, process.returncode, out, said)


def requests(log: Path) -> tuple[str, ...]:
    """Return the addresses that a page asked for, each once, from Chromium's network log.

    Chromium's own requests, which it makes for itself whatever the page, have no origin as initiator.
    """
    events = json.loads(log.read_text(encoding="utf-8", errors="replace"))["events"]
    parameters = [event.get("params", {}) for event in events]
    asked = [
        one["url"] for one in parameters if "url" in one and one.get("initiator", "not an origin") != "not an origin"
    ]
    return tuple(dict.fromkeys(asked))
