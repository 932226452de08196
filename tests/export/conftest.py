"""Runs that are exported: one of a small network, several put together, two stages; and images of any size."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_commands import TINY
from test_composed import GROUPS, STAGES

from kenyan13.analysis.cascade import compose, read_stages
from kenyan13.analysis.saving import save_runs
from kenyan13.config.compose import compose_settings
from kenyan13.export import write
from kenyan13.export.session import GRAPH
from kenyan13.export.write import Check, export_onnx
from kenyan13.runs.predictions import read_predictions
from kenyan13.runs.run import read_run
from kenyan13.training.composed import open_any
from kenyan13.training.run import train


@pytest.fixture(scope="session")
def trained(demo_root: Path, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of other backbones, crops, colours and ways to predict; an ensemble and a cascade of them."""
    runs = tmp_path_factory.mktemp("trained")
    common = [*TINY, f"data.root={demo_root}", f"data.cache={cache}", f"runs={runs}", "trainer.max_epochs=1"]
    new = [*common, "model.pretrained=false", "optim.lr=1e-3"]
    other = ["model.backbone=test_efficientnet", "model.crop=48", "predict.mirror=true", "predict.temperature=true"]
    other.append("predict.views=[1,0.6]")
    train(compose_settings([*new, "model.backbone=test_resnet", "model.crop=64", "trainer.max_epochs=4", "name=one"]))
    train(compose_settings([*new, *other, "name=two"]))
    for stage in STAGES:
        train(compose_settings([*common, GROUPS, f"data.stage={stage}", f"name={stage}"]))
    both = [read_run(runs / name) for name in ("one", "two")]
    save_runs("both", both, read_predictions(runs / "one"))
    parts = [runs / stage for stage in STAGES]
    save_runs("whole", [read_run(part) for part in parts], compose(read_stages(parts)).soft)
    return runs


@pytest.fixture(scope="session")
def exported(trained: Path) -> tuple[Path, Check]:
    """The run of one network, with its graph, and how that compares with torch."""
    checked = export_onnx(open_any(trained / "one"), trained / "one" / GRAPH)
    assert checked is not None
    return trained / "one", checked


@pytest.fixture
def run(exported: tuple[Path, Check], tmp_path: Path) -> Path:
    """A copy of the exported run."""
    return Path(shutil.copytree(exported[0], tmp_path / "runs" / "one"))


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Images of many sizes, of which one lies on its side by its EXIF orientation, and one is transparent."""
    folder = tmp_path_factory.mktemp("photos")
    draw = np.random.default_rng(0)
    for width, height in ((40, 30), (30, 90), (200, 31), (8, 9), (600, 500), (50, 701)):
        shades = draw.integers(0, 256, (4, 4, 3), dtype=np.uint8)
        Image.fromarray(shades).resize((width, height)).save(folder / f"{width}x{height}.png")
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.fromarray(draw.integers(0, 256, (60, 40, 3), dtype=np.uint8)).save(folder / "turned.jpg", exif=turned)
    Image.fromarray(draw.integers(0, 256, (60, 40, 4), dtype=np.uint8)).save(folder / "transparent.png")
    return sorted(folder.iterdir())


@pytest.fixture
def not_made_again(exported: tuple[Path, Check], monkeypatch: pytest.MonkeyPatch) -> None:
    """In place of torch.onnx, which takes seconds: a copy of the run's graph, which is made already."""
    made = (exported[0] / GRAPH).read_bytes()
    monkeypatch.setattr(write, "write", lambda module, file, meta: file.write_bytes(made))
