"""docs/report.md: its commands and its Python run as they stand there."""

import re
import shlex
from pathlib import Path

import pytest
from hand_made import answering
from typer.testing import CliRunner

from kenyan13.cli import app

TEXT = (Path(__file__).parents[2] / "docs/report.md").read_text()
(COMMANDS,) = re.findall(r"```bash\n(.*?)```", TEXT, flags=re.DOTALL)
(PYTHON,) = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)


def test_the_commands_write_reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answering(tmp_path / "runs", "demo")
    monkeypatch.chdir(tmp_path)
    for line in COMMANDS.splitlines():
        given = shlex.split(line, comments=True)
        words = [found for word in given for found in sorted(map(str, Path().glob(word))) or [word]]
        assert words[0] == "kenyan13"
        done = CliRunner().invoke(app, words[1:])
        assert done.exit_code == 0, done.output
    assert (tmp_path / "report/index.html").is_file()
    assert (tmp_path / "report-all/plots/demo/confusion.svg").is_file()


def test_the_python_writes_a_plot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    exec(PYTHON)
    assert (tmp_path / "losses.pdf").read_bytes().startswith(b"%PDF")
