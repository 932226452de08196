"""A run as a web page that works offline and from disk: the graph, and onnxruntime-web, which runs it there."""

import base64
import hashlib
import io
import json
import os
import tarfile
import urllib.request
from pathlib import Path

from filelock import FileLock
from jinja2 import Environment
from markupsafe import Markup

from kenyan13.errors import UserError, first_line
from kenyan13.export.session import Graph
from kenyan13.runs.directory import replacing

VERSION = "1.30.0"  # of the npm package onnxruntime-web, and the digest that npm publishes of it
INTEGRITY = "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
REGISTRY = "https://registry.npmjs.org"
PARTS = {"code": "ort.wasm.bundle.min.mjs", "wasm": "ort-wasm-simd-threaded.wasm"}


def write_page(graph: Path, output: Path, cache: Path, single: bool) -> Path:
    """Write the page of a graph into a folder, or one HTML file; return what to open. cache: of onnxruntime-web."""
    meta = Graph(graph).meta
    parts = {"model": graph.read_bytes(), **runtime(cache)}
    texts = {
        name: f'(window.kenyan13 ??= {{}}).{name}="{base64.b64encode(part).decode()}"' for name, part in parts.items()
    }
    index = output if single else output / "index.html"
    index.parent.mkdir(parents=True, exist_ok=True)
    if single:
        scripts = "\n".join(f"<script>{text}</script>" for text in texts.values())
    else:
        scripts = "\n".join(f'<script src="{name}.js"></script>' for name in texts)
        for name, text in texts.items():
            (output / f"{name}.js").write_text(text)
    shown = {key: meta[key] for key in ("classes", "known") if key in meta}
    safe = json.dumps(shown).replace("<", "\\u003c")  # or a class's name could end the script
    template = Environment(autoescape=True).from_string(Path(__file__).with_name("page.html").read_text())
    title = f"{len(meta['classes'])} classes: {', '.join(meta['classes'][:3])} …"
    index.write_text(template.render(title=title, name=meta["name"], meta=Markup(safe), scripts=Markup(scripts)))
    return index


def runtime(cache: Path) -> dict[str, bytes]:
    """Return the parts of onnxruntime-web, from npm at first use. Raises UserError where they are not to be had."""
    file = cache / f"onnxruntime-web-{VERSION}.tgz"
    url = f"{os.environ.get('NPM_CONFIG_REGISTRY', REGISTRY).rstrip('/')}/onnxruntime-web/-/{file.name}"
    cache.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{file}.lock"):
        if not file.is_file():
            try:
                with urllib.request.urlopen(url, timeout=60) as reply, replacing(file) as temporary:
                    temporary.write_bytes(reply.read())
            except OSError as error:
                problem = f"onnxruntime-web cannot be downloaded: {first_line(error)}"
                raise UserError(problem, f"connect to the network once, or put the file of {url} at {file}") from None
    packed = file.read_bytes()
    if base64.b64encode(hashlib.sha512(packed).digest()).decode() != INTEGRITY:
        raise UserError(f"{file} is damaged, or another version.", f"remove {file}, and try again")
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        members = {name: archive.extractfile(f"package/dist/{part}") for name, part in PARTS.items()}
        return {name: member.read() for name, member in members.items() if member is not None}
