"""`python train.py` in the process of the tests, and a tiny run, whole and interrupted, that tests damage copies of."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kenyan13.cli import train
from kenyan13.config.compose import compose_settings
from kenyan13.config.settings import Settings
from kenyan13.training.callbacks import RunFiles
from kenyan13.training.run import train as train_settings

TINY = ["model=small_cnn", "model.crop=32", "trainer=cpu", "trainer.max_epochs=1", "data.workers=0", "logger=none"]
Done = subprocess.CompletedProcess[str]


@pytest.fixture
def train_py(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Done]:
    """Run `python train.py ARGUMENTS` of a tiny network in this process; the working directory is the test's own."""
    monkeypatch.chdir(tmp_path)

    def command(*arguments: str) -> Done:
        for name in ("HYDRA_FULL_ERROR", "KENYAN13_FULL_ERROR"):  # train.main changes them
            monkeypatch.setenv(name, os.environ.get(name, "0"))
        monkeypatch.setattr(sys, "argv", ["train.py", *TINY, *arguments])
        capsys.readouterr()
        code = 0
        try:
            train.main()
        except SystemExit as end:
            code = int(end.code or 0)
        return Done(arguments, code, *capsys.readouterr())

    return command


class KilledError(Exception):
    """Stands for a kill."""


@pytest.fixture(scope="session")
def settings(demo_root: Path, cache: Path) -> Callable[..., Settings]:
    """Settings of a tiny run."""
    common = [
        f"data.root={demo_root}", f"data.cache={cache}", "data.workers=0", "model=small_cnn", "model.crop=32",
        "model.batch_size=16", "trainer=cpu", "trainer.max_epochs=2", "logger=[]", "name=one",
    ]  # fmt: skip
    return lambda *more: compose_settings([*common, *more])


@pytest.fixture(scope="session")
def trained(settings: Callable[..., Settings], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders with the same run: finished, and killed after its first epoch."""
    places = {name: tmp_path_factory.mktemp(name) for name in ("finished", "killed")}
    train_settings(settings(f"runs={places['finished']}"))
    whole = RunFiles.on_train_epoch_end

    def killed(self: RunFiles, *arguments: Any) -> None:
        whole(self, *arguments)
        raise KilledError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunFiles, "on_train_epoch_end", killed)
        with pytest.raises(KilledError):
            train_settings(settings(f"runs={places['killed']}"))
    return places


@pytest.fixture
def run(trained: dict[str, Path], tmp_path: Path) -> Callable[[str], Path]:
    """Copy a run: its directory."""
    return lambda kind: Path(shutil.copytree(trained[kind], tmp_path / kind)) / "one"
