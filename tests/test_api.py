"""kenyan13 from Python, as a notebook uses it: train, load, predict, evaluate, list runs."""

import io
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from test_commands import TINY

import kenyan13
from kenyan13.errors import UserError
from kenyan13.export.session import GRAPH
from kenyan13.runs.predictions import classes_of
from kenyan13.training import inference

SMALL = [*TINY, "trainer.max_epochs=1", "data.workers=0", "logger=[]", "predict.mirror=false", "predict.views=[]"]
SMALL += ["predict.temperature=false"]


@pytest.fixture(scope="module")
def birds(demo_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of images a class, whose name no setting could take as it is."""
    root = tmp_path_factory.mktemp("mine") / "birds, 2026 (best)"
    for k, image in enumerate(sorted((demo_root / "images" / "images").iterdir())[:40]):
        place = root / ("robin", "wren")[k % 2]
        place.mkdir(parents=True, exist_ok=True)
        shutil.copy(image, place)
    return root


@pytest.fixture(scope="module")
def run(birds: Path, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> kenyan13.Run:
    runs = tmp_path_factory.mktemp("runs")
    return kenyan13.train(birds, *SMALL, f"data.cache={cache}", runs=runs, name="first", seed=7)


def test_a_run_is_trained_as_the_command_trains(run: kenyan13.Run, birds: Path) -> None:
    assert run.folder.name == "first"
    assert run.classes == ("robin", "wren")
    settings = inference.open_run(run.folder).settings
    assert (settings.seed, settings.data.root) == (7, str(birds))
    assert len(run.predictions) == 8
    assert classes_of(run.predictions) == ("robin", "wren")
    found = run.evaluate()
    assert set(found) >= {"loss", "accuracy", "macro_f1"}
    right = run.predictions[["robin", "wren"]].to_numpy().argmax(axis=1) == run.predictions["target"].map(
        {"robin": 0, "wren": 1}
    )
    assert found["accuracy"] == pytest.approx(right.mean())


def test_paths_arrays_and_pillow_s_images_are_predicted_alike(run: kenyan13.Run, birds: Path) -> None:
    paths = sorted(birds.rglob("*.jpg"))[:3] or sorted(birds.rglob("*.*"))[:3]
    images = [Image.open(path) for path in paths]
    by_path = run.predict(paths)
    assert [*by_path.columns] == ["prediction", "unknown", "set", "robin", "wren"]
    assert [*by_path.index] == [str(path) for path in paths]
    torch_s = inference.open_run(run.folder).predict(paths)[0]
    np.testing.assert_allclose(by_path[["robin", "wren"]].to_numpy(float), torch_s, atol=1e-5)
    assert by_path["prediction"].tolist() == by_path[["robin", "wren"]].astype(float).idxmax(axis=1).tolist()
    arrays = [np.asarray(one.convert("RGB")) for one in images]
    for given in (images, arrays, [str(path) for path in paths]):
        pd.testing.assert_frame_equal(run.predict(given).reset_index(drop=True), by_path.reset_index(drop=True))
    assert [*run.predict(images[0]).index] == [0]
    assert len(run.predict(paths[0])) == 1
    assert len(run.predict([])) == 0
    batch = np.stack([arrays[0], arrays[0]])  # [n, height, width, 3]
    pd.testing.assert_frame_equal(run.predict(batch).loc[[1]], run.predict(arrays[0]).set_axis([1]))
    assert all(len(one) == 2 for one in run.predict(paths, coverage=0.999)["set"])


def test_pillow_s_images_are_read_as_files_are(run: kenyan13.Run, tmp_path: Path) -> None:
    turned = Image.Exif()
    turned[0x0112] = 6
    noise = np.random.default_rng(0).integers(0, 256, (60, 40, 4), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "transparent.png")
    Image.fromarray(noise[..., :3]).save(tmp_path / "turned.png", exif=turned)
    Image.fromarray(noise[..., 0].astype(np.uint16) * 200).save(tmp_path / "deep.png")
    Image.fromarray(noise[..., :3]).quantize(7).save(tmp_path / "palette.gif")
    for file in tmp_path.iterdir():
        opened, path = run.predict(Image.open(file)), run.predict(file)
        np.testing.assert_allclose(opened["wren"].to_numpy(float), path["wren"].to_numpy(float), atol=1e-6)


@pytest.mark.parametrize(
    "image", [np.zeros((5, 5)), np.zeros((5, 5, 4), np.uint8), np.zeros((5, 5, 3)), np.zeros((0, 5, 3), np.uint8)]
)
def test_arrays_of_another_kind_are_named(image: np.ndarray, run: kenyan13.Run) -> None:
    with pytest.raises(UserError, match="uint8"):
        run.predict(image)


def test_the_network_takes_what_its_transform_gives(run: kenyan13.Run, birds: Path) -> None:
    paths = sorted(path for path in birds.rglob("*") if path.is_file())[:2]
    network = run.network
    assert not network.training
    with torch.inference_mode():
        logits = network(torch.stack([network.transform(Image.open(path)) for path in paths]))  # type: ignore[operator]
    want = run.predict(paths)[["robin", "wren"]].to_numpy(float)
    np.testing.assert_allclose(logits.softmax(dim=1).numpy(), want, atol=1e-5)


def test_runs_are_listed_as_a_table(run: kenyan13.Run) -> None:
    table = kenyan13.runs(run.folder.parent)  # type: ignore[operator]
    assert [*table.index] == ["first"]
    assert table.loc["first", "state"] == "finished"
    assert table.loc["first", "accuracy"] == pytest.approx(run.evaluate()["accuracy"])
    with pytest.raises(UserError, match="no run directories"):
        kenyan13.runs(run.folder / "checkpoints")  # type: ignore[operator]


def test_a_run_that_is_loaded_is_the_run(run: kenyan13.Run, tmp_path: Path, birds: Path) -> None:
    moved = Path(shutil.copytree(run.folder, tmp_path / "moved"))
    (moved / GRAPH).unlink(missing_ok=True)
    loaded = kenyan13.load(str(moved))
    pd.testing.assert_frame_equal(loaded.predictions, run.predictions)
    assert loaded.report().is_file()
    assert (loaded.folder / "report" / "index.html").is_file()


def test_mistakes_are_exceptions_that_say_what_to_do(run: kenyan13.Run, tmp_path: Path, birds: Path) -> None:
    with pytest.raises(UserError, match="nowhere"):
        kenyan13.load("nowhere")
    with pytest.raises(UserError, match=r"data\.fould"):
        kenyan13.train(birds, "data.fould=1")
    with pytest.raises(UserError, match="recipe"):
        kenyan13.train(birds, recipe="quik")
    with pytest.raises(UserError, match="nothing"):
        kenyan13.train(tmp_path / "nothing", *SMALL)
    (tmp_path / "text.jpg").write_text("no image")
    with pytest.raises(UserError, match=r"text\.jpg"):
        run.predict(tmp_path / "text.jpg")
    with pytest.raises(UserError, match=r"gone\.jpg"):
        run.predict([tmp_path / "gone.jpg"])


@pytest.mark.parametrize("value", [5, None, 1.5])
def test_what_is_no_path_or_image_is_named(value: object, run: kenyan13.Run) -> None:
    for wrong in (kenyan13.load, kenyan13.runs):
        with pytest.raises(UserError, match=f"{value} is no path"):
            wrong(value)  # type: ignore[operator,arg-type]
    with pytest.raises(UserError, match=f"{value} is no image"):
        run.predict(value)  # type: ignore[arg-type]
    with pytest.raises(UserError, match=f"{value} cannot be read"):
        run.predict([value])  # type: ignore[list-item]
    with pytest.raises(UserError, match="5 is no path"):
        kenyan13.train(5)  # type: ignore[arg-type]


def test_nothing_but_kenyan13_is_imported_at_first() -> None:
    told = "import sys, kenyan13; print(sorted({'torch', 'pandas', 'timm', 'hydra'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, env=os.environ)
    assert done.stdout.strip() == "[]", done.stderr


def test_values_may_be_python_s(demo_root: Path, cache: Path, tmp_path: Path) -> None:
    settings: dict[str, object] = {
        "data.validation_fraction": 0.25,
        "data.fold": None,
        "data.test": False,
        "logger": [],
    }
    run = kenyan13.train(None, *TINY, "trainer.max_epochs=1", f"data.root={demo_root}", f"data.cache={cache}",
                         runs=tmp_path, name="second", **settings)  # fmt: skip
    assert len(run.predictions) == 33
    with io.StringIO() as written:
        run.predictions.to_csv(written)
        assert str(tmp_path) not in written.getvalue()
