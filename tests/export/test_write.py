"""Exported runs give what torch gives: of one network, of several, of two stages, for other programs, and smaller."""

import json
import re
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import timm
import torch
from PIL import Image
from test_commands import Command, assert_one_screen
from timm.data.config import resolve_data_config
from timm.data.transforms_factory import create_transform

from kenyan13.data.images import centre_crop, decode, load
from kenyan13.errors import UserError
from kenyan13.export.session import GRAPH, META, Graph, Outputs, answer, explain
from kenyan13.export.write import Check, export_onnx, shrink, write_timm, write_torch
from kenyan13.runs.config_file import read_settings
from kenyan13.runs.predictions import labelled, probabilities_of, read_predictions, targets_of
from kenyan13.training.composed import open_any
from kenyan13.training.inference import TrainedRun, open_run


def found(graph: Graph, photos: list[Path]) -> list[Outputs]:
    made = graph.run_files(photos)
    assert not any(isinstance(one, str) for one in made), made
    return [one for one in made if isinstance(one, Outputs)]


def test_the_graph_is_compared_with_torch_when_it_is_written(exported: tuple[Path, Check]) -> None:
    checked = exported[1]
    assert (checked.images, checked.same) == (26, 26)
    assert checked.difference < 1e-5


def test_images_of_any_size_have_torch_s_probabilities(run: Path, photos: list[Path]) -> None:
    want, bad = open_any(run).predict(photos)
    assert not bad
    got = np.stack([one.probabilities for one in found(Graph(run / GRAPH), photos)])
    np.testing.assert_allclose(got, want, atol=1e-5)


def test_a_batch_of_any_length_gives_what_each_image_gives(run: Path) -> None:
    graph = Graph(run / GRAPH)
    images = np.random.default_rng(0).integers(0, 256, (5, 50, 60, 3), dtype=np.uint8)
    for length in (1, 2, 5):
        together = graph.session.run(["probabilities"], {"images": images[:length]})[0]
        np.testing.assert_allclose(together, [graph.run(one).probabilities for one in images[:length]], atol=1e-6)
    np.testing.assert_allclose(together.sum(axis=1), 1, atol=1e-6)


def test_a_graph_says_what_it_is(run: Path) -> None:
    graph, proto = Graph(run / GRAPH), onnx.load(run / GRAPH)
    onnx.checker.check_model(proto, full_check=True)
    assert graph.meta["name"] == "one"
    assert graph.classes == open_run(run).classes
    assert len(graph.classes) == 13
    assert (graph.meta["crop"], graph.meta["torch"]) == (64, torch.__version__)
    (opset,) = [one.version for one in proto.opset_import if one.domain in ("", "ai.onnx")]
    assert graph.meta["opset"] == opset
    (images,) = graph.session.get_inputs()
    assert (images.name, images.type, images.shape[3]) == ("images", "tensor(uint8)", 3)
    assert all(isinstance(size, str) for size in images.shape[:3])  # free
    assert set(graph.meta["left_out"]) <= {str(k) for k in range(13)}
    texts = json.dumps(graph.meta) + str([(one.key, one.value) for one in proto.metadata_props])
    assert str(run.parent) not in texts
    assert "/tmp" not in texts.replace(str(graph.meta["name"]), "")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["both", "whole"])
def test_other_runs_agree_with_torch(name: str, trained: Path, photos: list[Path], tmp_path: Path) -> None:
    run = open_any(trained / name)
    checked = export_onnx(run, tmp_path / GRAPH)
    assert checked is not None
    assert (checked.same, checked.images > 10) == (checked.images, True)
    graph = Graph(tmp_path / GRAPH)
    got = np.stack([one.probabilities for one in found(graph, photos)])
    np.testing.assert_allclose(got, run.predict(photos)[0], atol=1e-5)
    assert graph.classes == run.classes
    assert graph.names == ["probabilities"]
    known = labelled(read_predictions(run.folder))
    inside = graph.sets(probabilities_of(known).astype(np.float32), 0.9)
    held = inside[np.arange(len(known)), targets_of(known)].mean()
    assert held >= 0.85, "sets of runs that are put together, too, hold the right class"
    assert answer(graph, found(graph, photos[:1])[0], 3, 0.9)["unknown"] is False


@pytest.mark.slow
def test_without_its_images_a_run_is_exported_but_not_compared(run: Path, photos: list[Path]) -> None:
    config = (run / "config.yaml").read_text()
    root = open_run(run).settings.data.root
    (run / "config.yaml").write_text(config.replace(str(root), "gone"))
    assert export_onnx(open_any(run), run / "alone.onnx") is None
    alone, whole = found(Graph(run / "alone.onnx"), photos), found(Graph(run / GRAPH), photos)
    assert Graph(run / "alone.onnx").meta["set_scores"] == Graph(run / GRAPH).meta["set_scores"]
    for one, other in zip(alone, whole, strict=True):
        np.testing.assert_allclose(one.probabilities, other.probabilities, atol=1e-6)
        assert (one.likeness, Graph(run / "alone.onnx").unknown(one)) == (None, False)


@pytest.mark.slow
def test_eight_bits_leave_narrow_convolutions_as_they_are(trained: Path, tmp_path: Path) -> None:
    """The first layer and depthwise ones have few weights, and lose the most (test_efficientnet has both)."""
    export_onnx(open_any(trained / "two"), tmp_path / GRAPH)
    shrink(read_settings(trained / "two"), tmp_path / GRAPH, tmp_path / "small.onnx", "int8")
    graph = onnx.load(tmp_path / "small.onnx").graph
    weights = {one.name: one for one in graph.initializer}
    exact = [weights[node.input[1]] for node in graph.node if node.op_type == "Conv" and node.input[1] in weights]
    assert {one.dims[1] for one in exact} == {1, 3}  # channels in, of a filter
    whole = [one for one in weights.values() if one.data_type == onnx.TensorProto.INT8 and len(one.dims) == 4]
    assert min(one.dims[1] for one in whole) > 3


@pytest.mark.usefixtures("not_made_again")
def test_a_graph_that_differs_is_not_written(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (run / GRAPH).unlink()
    theirs = TrainedRun.predict
    monkeypatch.setattr(TrainedRun, "predict", lambda *given: (theirs(*given)[0] + np.float32(2e-4), {}))
    with pytest.raises(UserError, match=r"by up to 2\.0e-04, and 0 of 26 classes"):
        export_onnx(open_any(run), run / GRAPH)
    assert [file.name for file in run.glob("*.onnx*")] == []


@pytest.mark.parametrize("contents", [b"", b"no graph", "cut", "foreign"])
def test_a_damaged_graph_is_named(contents: bytes | str, run: Path, kenyan13: Command, photos: list[Path]) -> None:
    file, whole = run / GRAPH, (run / GRAPH).read_bytes()
    if contents == "foreign":
        proto = onnx.load(file)
        del proto.metadata_props[:]
        onnx.save(proto, file)
    else:
        file.write_bytes(whole[: len(whole) // 2] if contents == "cut" else contents)  # type: ignore[arg-type]
    done = kenyan13("predict", str(run), str(photos[0]))
    assert_one_screen(done, "model.onnx", "damaged, or no graph of kenyan13", "kenyan13 export")


def test_likeness_is_one_for_training_images_and_less_for_others(run: Path, demo_root: Path) -> None:
    graph, ids = Graph(run / GRAPH), set((run / "predictions.csv").read_text().split())
    files = sorted((demo_root / "images" / "images").iterdir())
    validation = {line.split(",")[0] for line in ids}
    likeness = {file.stem: graph.run(np.asarray(decode(file))).likeness for file in files}
    assert all(value is not None and value <= 1 + 1e-5 for value in likeness.values())
    exact = [name for name, value in likeness.items() if value is not None and value > 1 - 1e-5]
    assert len(exact) >= 104  # all training images
    assert sum(name in validation for name in exact) <= 5
    known = [graph.unknown(one) for one in found(graph, [file for file in files if file.stem in validation])]
    assert sum(known) <= 2  # 5 % of 26


def test_heat_maps_lie_over_what_the_network_sees(run: Path, photos: list[Path]) -> None:
    graph = Graph(run / GRAPH)
    of, against = graph.classes[0], graph.classes[3]
    for photo in photos:
        made = [explain(graph, photo), explain(graph, photo, of), explain(graph, photo, of, against)]
        assert {one.size for one in made} == {(64, 64)}
        assert np.asarray(made[1]).tolist() != np.asarray(made[2]).tolist()


def test_timm_loads_the_folder(run: Path, photos: list[Path]) -> None:
    opened = open_run(run)
    folder = write_timm(opened, run / "timm")
    network = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    assert json.loads((folder / "config.json").read_text())["label_names"] == list(opened.classes)
    data = resolve_data_config({}, model=network)  # type: ignore[no-untyped-call]
    crops = torch.rand(4, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(network(crops), opened.network.eval()(crops))
        photo = Image.open(photos[0]).convert("RGB")
        ours = opened.predict([photos[0]])[0]
        theirs = network(create_transform(**data, is_training=False)(photo)[None]).softmax(dim=1)
    np.testing.assert_allclose(theirs.numpy(), ours, atol=1e-5)


def test_timm_s_folder_holds_one_network(trained: Path, tmp_path: Path, kenyan13: Command) -> None:
    done = kenyan13("export", str(trained / "both"), "--to", "timm", "-o", str(tmp_path / "timm"))
    assert_one_screen(done, "several networks", "export a member")
    done = kenyan13("export", str(trained / "first"), "--to", "timm", "-o", str(tmp_path / "timm"))
    assert_one_screen(done, "small_cnn is no network of timm's own", "--to torch")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["one", "both"])
def test_torch_loads_the_program(name: str, trained: Path, photos: list[Path], tmp_path: Path) -> None:
    run = open_any(trained / name)
    program = torch.export.load(write_torch(run, tmp_path)).module()
    want = run.predict(photos)[0]
    for photo, row in zip(photos[:3], want, strict=False):
        image = torch.from_numpy(np.asarray(decode(photo)).copy())[None]
        with torch.no_grad():
            np.testing.assert_allclose(program(image)[0][0].numpy(), row, atol=1e-5)


@pytest.mark.parametrize("to", ["float16", "int8"])
def test_smaller_graphs_say_what_they_cost(to: str, run: Path, photos: list[Path]) -> None:
    small = run / f"model_{to}.onnx"
    header, whole, smaller = shrink(read_settings(run), run / GRAPH, small, to)
    assert header == ("", "accuracy", "same class", "MB", "ms an image")
    assert (whole[0], whole[2], smaller[0]) == ("float32", "100.0%", to)
    accuracy = [float(row[1].rstrip("%")) for row in (whole, smaller)]
    assert accuracy[0] == pytest.approx(100 * json.loads((run / "result.json").read_text())["accuracy"], abs=0.01)
    assert abs(accuracy[0] - accuracy[1]) <= 12  # three images of 26
    got = np.stack([one.probabilities for one in found(Graph(small), photos)])
    want = np.stack([one.probabilities for one in found(Graph(run / GRAPH), photos)])
    np.testing.assert_allclose(got, want, atol={"float16": 0.01, "int8": 0.2}[to])
    assert Graph(small).meta == Graph(run / GRAPH).meta


@pytest.mark.usefixtures("not_made_again")
def test_the_command_exports(run: Path, kenyan13: Command) -> None:
    (run / GRAPH).unlink()
    done = kenyan13("export", str(run), "--float16")
    assert done.returncode == 0, done.stderr
    assert "on 26 validation images, the same class as torch on each" in done.stdout
    assert re.findall(r"^float\d\d +[\d.]+% +[\d.]+%", done.stdout, flags=re.MULTILINE)[1].startswith("float16")
    assert (run / "model_float16.onnx").stat().st_size < (run / GRAPH).stat().st_size
    assert_one_screen(kenyan13("export", str(run), "--float16", "--int8"), "do not go together")
    assert_one_screen(kenyan13("export", str(run), "--to", "torch", "--int8"), "goes with --to onnx")
    assert_one_screen(kenyan13("export", "nowhere"), "nowhere")


def test_what_the_network_sees_is_the_training_s_crop(run: Path, photos: list[Path]) -> None:
    from kenyan13.export.session import seen

    for photo in photos:
        np.testing.assert_array_equal(np.asarray(seen(decode(photo), 64)), centre_crop(load(photo, 73), 64))


def test_predict_tells_sets_and_writes_heat_maps(run: Path, photos: list[Path], kenyan13: Command) -> None:
    why = run.parent / "why"
    done = kenyan13("predict", str(run), *map(str, photos), "--json", "--coverage", "0.9", "--explain", str(why))
    assert done.returncode == 0, done.stderr
    graph = Graph(run / GRAPH)
    for told, one in zip(json.loads(done.stdout), found(graph, photos), strict=True):
        assert told["classes"][0]["class"] == graph.classes[int(one.probabilities.argmax())]
        inside = graph.sets(one.probabilities[None], 0.9)[0]
        assert set(told["set"]) == {name for name, held in zip(graph.classes, inside, strict=True) if held}
        assert told["unknown"] == graph.unknown(one)
    assert len([*why.glob("*.jpg")]) == 2 * len(photos)


def test_a_stage_says_that_it_is_one_and_large_images_are_named(
    run: Path, photos: list[Path], kenyan13: Command
) -> None:
    proto = onnx.load(run / GRAPH)
    (text,) = [one.value for one in proto.metadata_props if one.key == META]
    meta = json.loads(text) | {"stage": "first", "max_pixels": 100_000}
    onnx.helper.set_model_props(proto, {META: json.dumps(meta)})
    onnx.save(proto, run / GRAPH)
    done = kenyan13("predict", str(run), *map(str, photos))
    assert "This run only tells groups apart" in done.stderr
    assert (done.returncode, "1 of 8 images could not be read" in done.stderr) == (1, True)
    assert "not read: 600 x 500" in done.stdout


def test_no_library_leaves_its_folder_on_the_path() -> None:
    assert not [path for path in sys.path if path.endswith("transformers")]


def test_large_images_are_resized_before_the_graph_to_the_same_bits(run: Path, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (1300, 1700, 3), dtype=np.uint8)
    file = tmp_path / "large.png"
    Image.fromarray(noise).save(file)
    graph = Graph(run / GRAPH)
    small = graph.read(file)
    assert min(small.shape[:2]) == 73
    np.testing.assert_array_equal(graph.run(small).probabilities, graph.run(noise).probabilities)


def test_a_graph_of_another_run_is_refused(run: Path, photos: list[Path], kenyan13: Command) -> None:
    config = (run / "config.yaml").read_text()
    name = Graph(run / GRAPH).classes[0]
    (run / "config.yaml").write_text(config.replace(f"- {name}\n", "- pizza\n", 1))
    assert_one_screen(kenyan13("predict", str(run), str(photos[0])), "is of another run", "kenyan13 export")
    (run / "config.yaml").write_text(config)
    assert_one_screen(kenyan13("predict", str(run), ""), "The name of an image is empty")
