"""What a user's mistake looks like on the screen, and small data sets to make mistakes with."""

import subprocess
from pathlib import Path

from PIL import Image

Done = subprocess.CompletedProcess[str]


def assert_one_screen(done: Done, *words: str, code: int = 2) -> None:
    """Check the exit code, that all fits on one screen, that nothing is obeyed by the terminal, and what is said."""
    said = done.stdout + done.stderr
    assert done.returncode == code, said
    assert "Traceback" not in said
    assert len(done.stderr.splitlines()) <= 24, said
    assert "\x1b" not in said
    for word in words:
        assert word in said, said


def write_images(root: Path, *files: str) -> Path:
    """Write small images, and of other endings empty files, at paths below root, with the folders above them."""
    for number, name in enumerate(files):
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.suffix.lower() in (".png", ".jpg"):
            Image.new("RGB", (9, 8), (37 * number % 256, 50, 99)).save(file)
        else:
            file.touch()
    return root
