"""The service: answers, limits, hostile files, many requests at once."""

import io
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kenyan13.export.session import GRAPH, Graph
from kenyan13.export.write import Check

pytest.importorskip("fastapi")
from fastapi.testclient import TestClient

from kenyan13.export.serve import make_app


@pytest.fixture(scope="module")
def graph(exported: tuple[Path, Check]) -> Graph:
    return Graph(exported[0] / GRAPH)


@pytest.fixture
def client(graph: Graph) -> TestClient:
    return TestClient(make_app(graph, most_megabytes=1))


def test_an_image_is_answered_as_the_graph_answers(client: TestClient, graph: Graph, photos: list[Path]) -> None:
    for photo in photos:
        reply = client.post("/predict?top=13", content=photo.read_bytes())
        assert reply.status_code == 200, reply.text
        (found,) = graph.run_files([photo])
        assert not isinstance(found, str)
        got = {one["class"]: one["probability"] for one in reply.json()["classes"]}
        np.testing.assert_allclose([got[name] for name in graph.classes], found.probabilities, atol=1e-6)
        assert [*got.values()] == sorted(got.values(), reverse=True)
        assert reply.json()["unknown"] == graph.unknown(found)
        inside = graph.sets(found.probabilities[None], 0.9)[0]
        assert set(reply.json()["set"]) == {name for name, one in zip(graph.classes, inside, strict=True) if one}


def test_more_coverage_never_gives_fewer_classes(client: TestClient, photos: list[Path]) -> None:
    image = photos[0].read_bytes()
    sets = [client.post(f"/predict?coverage={share}", content=image).json()["set"] for share in (0.5, 0.8, 0.99)]
    assert set(sets[0]) <= set(sets[1]) <= set(sets[2])


def png(width: int, height: int) -> bytes:
    written = io.BytesIO()
    Image.new("L", (width, height)).save(written, "PNG")
    return written.getvalue()


HOSTILE = {
    "empty": b"", "text": b"no image", "zeros": bytes(1000), "html": b"<svg onload=alert(1)>", "cut": png(50, 50)[:60],
    "header": b"\x89PNG\r\n\x1a\n", "bomb": png(20000, 20000), "zip": b"PK\x03\x04" + bytes(100),
}  # fmt: skip


@pytest.mark.parametrize("kind", HOSTILE)
def test_files_that_are_no_images_are_refused(kind: str, client: TestClient) -> None:
    reply = client.post("/predict", content=HOSTILE[kind])
    assert reply.status_code == 422
    assert "no image that can be read" in reply.json()["detail"]
    assert "/" not in reply.json()["detail"]  # no path of this machine
    assert client.get("/").status_code == 200  # it goes on


def test_too_large_a_body_is_refused(client: TestClient) -> None:
    assert client.post("/predict", content=bytes(2**20 + 1)).status_code == 413
    assert client.post("/predict", content=bytes(2**20)).status_code == 422
    parts = (bytes(2**16) for _ in range(1000))  # without a content-length, as of a pipe that does not end
    reply = client.post("/predict", content=parts)
    assert (reply.status_code, reply.json()["detail"]) == (413, "An image may have 1 MB.")


@pytest.mark.parametrize("query", ["top=0", "top=x", "coverage=0", "coverage=1", "coverage=nan", "tpo=3"])
def test_bad_parameters_are_refused(query: str, client: TestClient, photos: list[Path]) -> None:
    assert client.post(f"/predict?{query}", content=photos[0].read_bytes()).status_code == 422


def test_requests_at_once_are_answered_each_with_its_own(client: TestClient, photos: list[Path]) -> None:
    alone = [client.post("/predict", content=photo.read_bytes()).json() for photo in photos]
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda k: client.post("/predict", content=photos[k % 8].read_bytes()), range(64)))
    assert len(photos) == 8
    for k, reply in enumerate(replies):
        assert reply.json() == alone[k % 8]


def test_it_describes_itself(client: TestClient, graph: Graph) -> None:
    assert client.get("/").json() == {"run": "one", "classes": [*graph.classes], "most_megabytes": 1}
    api = client.get("/openapi.json").json()
    assert api["paths"]["/predict"]["post"]["requestBody"]["content"] == {"image/*": {}}
    assert "/docs" in {route.path for route in client.app.routes}  # type: ignore[attr-defined]
    assert json.dumps(api).count("/tmp") == 0
