"""The web page of a run, opened in Chromium: the same answers as Python's, and nothing leaves it."""

import base64
import json
import re
from pathlib import Path

import numpy as np
import pytest
from browser import ask_page
from test_commands import Command, assert_one_screen

from kenyan13.errors import UserError
from kenyan13.export import web
from kenyan13.export.session import GRAPH, Graph, Outputs
from kenyan13.export.web import VERSION, write_page
from kenyan13.export.write import Check

HOME_CACHE = Path.home() / ".cache" / "kenyan13"


@pytest.fixture(scope="module")
def web_cache() -> Path:
    """Where onnxruntime-web lies; `kenyan13 export --to web` puts it there, which needs the network once."""
    if not (HOME_CACHE / f"onnxruntime-web-{VERSION}.tgz").is_file():
        pytest.skip("onnxruntime-web is not at hand")
    return HOME_CACHE


@pytest.fixture(scope="module", params=["a folder", "one file"])
def page(
    request: pytest.FixtureRequest,
    exported: tuple[Path, Check],
    web_cache: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """The page of the exported run."""
    place = tmp_path_factory.mktemp("page")
    if request.param == "one file":
        return write_page(exported[0] / GRAPH, place / "page.html", web_cache, single=True)
    return write_page(exported[0] / GRAPH, place / "web", web_cache, single=False)


def asked(files: list[Path]) -> str:
    """A script's blobs of images."""
    uris = [f"data:image/any;base64,{base64.b64encode(file.read_bytes()).decode()}" for file in files]
    return f"const blobs = await Promise.all({json.dumps(uris)}.map(async one => (await fetch(one)).blob()));"


def test_the_browser_s_answers_are_python_s(
    page: Path, exported: tuple[Path, Check], demo_root: Path, photos: list[Path]
) -> None:
    files = [*sorted((demo_root / "images" / "images").iterdir())[:50], *photos]
    script = f"""{asked(files)}
const all = [];
for (const blob of blobs) {{ const one = await predict(blob); all.push([...one.probabilities, one.likeness]) }}
let blocked = false; try {{ await fetch("http://127.0.0.1:" + (port ^ 1)) }} catch {{ blocked = true }}
return {{ all, blocked }}"""
    found, requests = ask_page(page, script)
    made = [one for one in Graph(exported[0] / GRAPH).run_files(files) if isinstance(one, Outputs)]
    want = np.array([[*one.probabilities, one.likeness] for one in made])
    got = np.array(found["all"])
    assert (got[:, :-1].argmax(axis=1) == want[:, :-1].argmax(axis=1)).all()
    np.testing.assert_allclose(got, want, atol=1e-3)
    assert requests == ()
    assert found["blocked"]  # by the page's own policy


def test_a_photo_is_answered_on_the_page(page: Path, exported: tuple[Path, Check], photos: list[Path]) -> None:
    graph, photo = Graph(exported[0] / GRAPH), photos[-1]
    script = f"""{asked([photo])}
const before = state.textContent, files = new DataTransfer();
files.items.add(new File(blobs, "photo.jpg", {{ type: "image/jpeg" }}));
file.files = files.files; file.dispatchEvent(new Event("change"));
while (answer.hidden) await new Promise(done => setTimeout(done, 50));
const texts = row => [row.cells[0].textContent, row.cells[2].textContent, row.querySelector("div").style.width];
const rows = [...bars.rows].map(texts);
const [w, h] = [map.width, map.height], colours = new Set(map.getContext("2d").getImageData(0, 0, w, h).data).size;
return {{ rows, unknown: !unknown.hidden, heat: !heat.hidden, colours, text: document.body.innerText, before }}"""
    found, requests = ask_page(page, script)
    (want,) = graph.run_files([photo])
    assert isinstance(want, Outputs)
    best = (-want.probabilities).argsort(kind="stable")[:5]
    assert [row[0] for row in found["rows"]] == [graph.classes[k] for k in best]
    shown = [float(row[1].rstrip("% ")) for row in found["rows"]]
    np.testing.assert_allclose(shown, 100 * want.probabilities[best], atol=0.11)
    for row in found["rows"]:
        assert float(row[2].rstrip("%")) == pytest.approx(float(row[1].rstrip("% ")), abs=0.1)
    assert found["unknown"] == graph.unknown(want)
    assert found["heat"]
    assert found["colours"] > 10
    assert "Nothing leaves this device" in found["text"]
    assert requests == ()


def test_a_file_that_is_no_image_is_said_to_be_none(page: Path) -> None:
    script = """const files = new DataTransfer();
files.items.add(new File(["no image"], "a.jpg", { type: "image/jpeg" }));
file.files = files.files; file.dispatchEvent(new Event("change"));
while (!/cannot/.test(state.textContent)) await new Promise(done => setTimeout(done, 50));
return [state.textContent, answer.hidden]"""
    found, _ = ask_page(page, script)
    assert found[0].startswith("This cannot be read as an image")
    assert found[1]


HOSTILE = [
    "</script><script>document.title='x'</script>",
    "<img src=x onerror=alert(1)>",
    "{{ 7*7 }}",
    'a\u2028b & "c"',
]


def test_markup_in_names_is_text(run: Path, web_cache: Path, tmp_path: Path, photos: list[Path]) -> None:
    import onnx

    from kenyan13.export.session import META

    graph = Graph(run / GRAPH)
    classes = [*HOSTILE, *graph.classes[len(HOSTILE) :]]
    proto = onnx.load(run / GRAPH)
    meta = graph.meta | {"classes": classes, "name": "</title><b>run"}
    onnx.helper.set_model_props(proto, {META: json.dumps(meta)})
    onnx.save(proto, tmp_path / "odd.onnx")
    index = write_page(tmp_path / "odd.onnx", tmp_path / "odd", web_cache, single=False)
    script = f"""{asked(photos[:1])}
await show(blobs[0]);
return [document.title, document.querySelectorAll("b").length, JSON.parse(meta.textContent).classes,
        document.querySelectorAll("img").length, document.querySelector("footer code").textContent]"""
    index.write_text(
        index.read_text().replace("window.predict = predict", "window.predict = predict; window.show = show")
    )
    found, _ = ask_page(index, script)
    assert found[0] == f"13 classes: {', '.join(classes[:3])} …"
    assert found[1] == 2  # the page's own
    assert (found[2], found[3], found[4]) == (classes, 0, "</title><b>run")


def test_the_page_tells_nothing_of_the_machine(page: Path) -> None:
    text = re.sub(r'"[A-Za-z0-9+/=]{200,}"', "", page.read_text())
    assert "/tmp" not in text
    assert not re.search(r"https?://", text)
    assert {file.name for file in page.parent.iterdir()} <= {
        "index.html",
        "model.js",
        "code.js",
        "wasm.js",
        "page.html",
    }


@pytest.mark.usefixtures("not_made_again")
def test_the_command_writes_the_page(run: Path, web_cache: Path, kenyan13: Command) -> None:
    done = kenyan13("export", str(run), "--to", "web", "--single-file")
    assert done.returncode == 0, done.stderr
    assert "Open it with any browser, online or not" in done.stdout
    assert (run / "web.html").stat().st_size > 10e6


def test_a_damaged_runtime_is_named(run: Path, tmp_path: Path) -> None:
    (tmp_path / f"onnxruntime-web-{VERSION}.tgz").write_bytes(b"not it")
    with pytest.raises(UserError, match="is damaged, or another version"):
        write_page(run / GRAPH, run / "web", tmp_path, single=False)
    assert not (run / "web").exists()


@pytest.mark.usefixtures("not_made_again")
def test_without_network_the_runtime_is_asked_for(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kenyan13: Command
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NPM_CONFIG_REGISTRY", "http://127.0.0.1:9")
    done = kenyan13("export", str(run), "--to", "web")
    assert_one_screen(done, "onnxruntime-web cannot be downloaded", "connect to the network once", web.VERSION)
    assert not (run / "web").exists()
