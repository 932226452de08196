"""The browser that other tests open pages in notices what they look for."""

from pathlib import Path

import browser
import pytest
from browser import open_page

PAGE = """<!doctype html><html><head><title>A page</title></head><body>
<p id="said">before</p><button onclick="document.getElementById('said').textContent = 'after'">Say</button>
{more}</body></html>"""


def page(folder: Path, more: str = "") -> Path:
    file = folder / "page.html"
    file.write_text(PAGE.replace("{more}", more))
    return file


def test_a_page_is_returned_as_scripts_and_clicks_have_left_it(tmp_path: Path) -> None:
    late = "<script>addEventListener('load', () => { window.ready = 'yes'; });</script>"
    script = """document.querySelector("button").click();
setTimeout(() => { document.title = `${window.ready} </b> & more`; }, 3000);"""
    opened = open_page(page(tmp_path, late), script)
    assert '<p id="said">after</p>' in opened.dom
    assert "<title>yes &lt;/b&gt; &amp; more</title>" in opened.dom
    assert (opened.console, opened.requests) == ((), ())
    assert [file.name for file in tmp_path.iterdir()] == ["page.html"]


def test_errors_of_scripts_are_noticed(tmp_path: Path) -> None:
    wrong = """<script>console.log('a "word"\\nand a line'); undefinedFunction();</script>"""
    opened = open_page(page(tmp_path, wrong), "Promise.reject(new Error('late')); null.x")
    said = ['a "word"\nand a line', "Uncaught ReferenceError: undefinedFunction is not defined"]
    assert list(opened.console[:2]) == said
    assert {message.split(":")[0] for message in opened.console[2:]} == {
        "Uncaught TypeError", "Uncaught (in promise) Error",
    }  # fmt: skip


def test_requests_are_noticed_and_come_to_nothing(tmp_path: Path) -> None:
    style = '<link rel="stylesheet" href="https://fonts.example.com/a.css"><style>p {background: url(http://example.org/b.png)}</style>'
    call = "fetch('https://api.example.net/c').catch(error => { document.title = 'refused'; });"
    opened = open_page(page(tmp_path, style), call)
    assert set(opened.requests) == {
        "https://fonts.example.com/a.css", "http://example.org/b.png", "https://api.example.net/c",
    }  # fmt: skip
    assert "<title>refused</title>" in opened.dom
    assert "not loaded: https://fonts.example.com/a.css" in opened.console


def test_files_beside_the_page_are_no_requests_but_must_be_there(tmp_path: Path) -> None:
    (tmp_path / "near.css").write_text("p {color: red}")
    dot = "data:image/gif;base64,R0lGODlhAQABAAAAACw="
    opened = open_page(page(tmp_path, f'<link rel="stylesheet" href="near.css"><img src="{dot}"><img src="gone.png">'))
    assert opened.requests == ()
    assert [said.rpartition("/")[2] for said in opened.console if "near" in said or "gone" in said] == ["gone.png"]


def test_without_chromium_tests_are_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browser, "NAMES", ("no-such-browser",))
    with pytest.raises(pytest.skip.Exception, match="make browser"):
        open_page(page(tmp_path))
