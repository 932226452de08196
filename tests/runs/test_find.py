"""Runs that are found in folders, the newest, and the command that lists them."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hand_made import answering, hand_made

from kenyan13 import cli
from kenyan13.cli.train import next_commands
from kenyan13.config.compose import compose_settings
from kenyan13.errors import UserError
from kenyan13.runs.locate import find_runs
from kenyan13.runs.run import labels, read_all

Command = Callable[..., tuple[int, list[str]]]


@pytest.fixture
def kenyan13(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """Exit code and lines of `kenyan13 ARGUMENTS` beside three runs, of which `b` is the newest."""
    for age, name in enumerate(("b", "c", "a")):
        folder = answering(tmp_path / "runs", name, "xyz"[:age])
        for file in folder.iterdir():
            os.utime(file, (1000 - age, 1000 - age))
    monkeypatch.chdir(tmp_path)

    def command(*arguments: str) -> tuple[int, list[str]]:
        monkeypatch.setattr(sys, "argv", ["kenyan13", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out = capsys.readouterr()
        return int(ended.value.code or 0), (out.out + out.err).splitlines()

    return command


def test_runs_are_listed_with_the_newest_at_the_end(kenyan13: Command) -> None:
    Path("runs/c/result.json").rename("runs/c/failed.txt")
    Path("runs/c/failed.txt").write_text("Traceback\nkenyan13.errors.UserError: It diverged.\n  -> lower optim.lr\n")
    Path("runs/a/config.yaml").write_text("a: [")
    os.utime("runs/a/config.yaml", (900, 900))
    code, lines = kenyan13("runs")
    assert (code, [line.split()[-1] for line in lines[1:4]]) == (0, ["a", "c", "b"])
    assert lines[1].split()[-2] == "unreadable"
    assert lines[2].split()[-2] == "failed"
    assert lines[3].split() == ["100.0", "1.000", "1.0000", "2", "finished", "b"]
    assert lines[4].startswith("runs/a: runs/a/config.yaml is damaged")
    assert lines[5] == "runs/c: It diverged."


def test_last_is_the_newest_run(kenyan13: Command) -> None:
    assert kenyan13("runs", "last")[1][1:] == [kenyan13("runs")[1][-1]]
    assert kenyan13("report", "last")[1][0].startswith("report/index.html: 1 run,")
    assert kenyan13("compare", "runs/a", "last")[1][:2] == ["A  runs/a", "B  runs/b"]
    Path("last").mkdir()
    code, lines = kenyan13("compare", "runs/a", "last")
    assert code == 2, "a folder of that name is meant first"
    assert lines[0].startswith("Error: last is no run directory.")


def test_a_name_stands_for_a_run_in_runs(kenyan13: Command) -> None:
    assert kenyan13("compare", "a", "b")[1][:2] == ["A  runs/a", "B  runs/b"]
    assert kenyan13("card", "c") == (0, ["Written: runs/c/README.md"])
    code, lines = kenyan13("card", "d")
    assert code == 2
    assert lines[0].startswith("Error: d is no run directory.")
    Path("a").mkdir()
    assert kenyan13("compare", "a", "b")[0] == 2, "a folder of that name is meant first"


def test_a_run_is_compared_with_the_newest_on_its_images(kenyan13: Command) -> None:
    answering(Path("runs"), "d", ids="uvw")
    compared = [
        [one[2:] for one in next_commands(compose_settings(["data=demo", f"name={name}"])) if one[1] == "compare"]
        for name in "cd"
    ]
    assert compared == [[["runs/c", "runs/b"]], []]


def test_folders_without_runs(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"runs does not exist"):
        find_runs([tmp_path / "runs"])
    run = answering(tmp_path / "runs/deep", "one")
    with pytest.raises(UserError, match=r"runs holds no run directories.\n.*runs/deep does"):
        find_runs([tmp_path / "runs"])
    assert find_runs([run, tmp_path / "runs/deep"]) == [run]
    with pytest.raises(UserError, match=rf"deep/noe does not exist. Did you mean '{run}'\?\n  -> runs here: {run}$"):
        find_runs([run.with_name("noe")])


def test_runs_are_called_by_what_differs(tmp_path: Path) -> None:
    rates = [
        hand_made(tmp_path, [f"optim.lr={rate}", *more], [1], [1], [0, 1], np.eye(2))
        for rate, more in ((1e-3, []), (1e-2, ["freeze=pt0"]))
    ]
    runs = list(read_all(rates))
    assert labels(runs) == ["freeze.level=5, optim.lr=1e-3", "freeze.level=0, optim.lr=1e-2"]
    named = list(read_all([*rates, answering(tmp_path, "mine")]))
    assert labels(named) == [run.name for run in named]
