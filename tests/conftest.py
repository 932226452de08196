"""What all tests share: the real configuration, a small synthetic data set, and the real data where it is at hand."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from kenyan13 import cli
from kenyan13.config.compose import compose_settings
from kenyan13.config.settings import Settings
from kenyan13.data.synthetic import draw_dataset

ROOT = Path(__file__).parent.parent
SHARED = ROOT.parent / "shared"

os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # as where .venv is activated
# The tests run in as many processes as there are cores: each, and what it starts, has one.
torch.set_num_threads(1)
os.environ["LOKY_MAX_CPU_COUNT"] = "1"


@pytest.fixture(scope="session")
def demo_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small synthetic data set in the competition's layout: 130 labelled and 26 test images."""
    root = tmp_path_factory.mktemp("data") / "demo"
    draw_dataset(root, labelled=130, test=26)
    return root


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image cache that tests share, as runs do."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def compose(demo_root: Path, cache: Path, tmp_path: Path) -> Callable[..., Settings]:
    """Compose the real configuration for a tiny run on the synthetic images; takes further overrides."""

    def settings(*overrides: str) -> Settings:
        return compose_settings(
            [
                f"data.root={demo_root}", f"data.cache={cache}", f"runs={tmp_path}/runs", "data.workers=0",
                "model=small_cnn", "model.crop=32", "model.batch_size=16", "trainer=cpu", "trainer.max_epochs=2",
                "callbacks.tensorboard.graph=false", *overrides,
            ]
        )  # fmt: skip

    return settings


@pytest.fixture(scope="session")
def real_labels() -> Path:
    """The folder with the real KenyanFood13 labels (no images); the test is skipped where it is not at hand."""
    folder = SHARED / "data" / "kenyan13_labels"
    if not folder.is_dir():
        pytest.skip("the real KenyanFood13 labels are not at hand")
    return folder


@pytest.fixture
def kenyan13(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run `kenyan13 ARGUMENTS` in this process, which has torch loaded already."""

    def command(*arguments: str) -> subprocess.CompletedProcess[str]:
        monkeypatch.setattr(sys, "argv", ["kenyan13", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return subprocess.CompletedProcess(arguments, int(ended.value.code or 0), *capsys.readouterr())

    return command
