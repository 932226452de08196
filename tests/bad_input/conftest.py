"""What the tests of bad input share: small data sets, and `python train.py` in this process."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

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


def assert_one_screen(done: Done, *words: str, code: int = 2) -> None:
    """A user's mistake: its exit code, one screen of 80 columns at most where no path is long, and what is said."""
    said = done.stdout + done.stderr
    assert done.returncode == code, said
    assert "Traceback" not in said
    assert len(done.stderr.splitlines()) <= 24, said
    assert "\x1b" not in said
    for word in words:
        assert word in said, said


def write_images(root: Path, files: str) -> Path:
    """Write small images (and of other endings empty files) at paths below root, with the folders above them."""
    for number, name in enumerate(files.split()):
        file = root / name.replace("_", " ") if "__" not in name else root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.suffix.lower() in (".png", ".jpg"):
            Image.new("RGB", (9, 8), (37 * number % 256, 50, 99)).save(file)
        else:
            file.touch()
    return root
