"""`python train.py` in the process of the tests."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from kenyan13.cli import train

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
