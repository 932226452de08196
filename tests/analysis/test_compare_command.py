"""`kenyan13 compare` as a user types it."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hand_made import answering

from kenyan13 import cli
from kenyan13.runs.run import value_text

Lines = Callable[..., tuple[int, list[str], str]]


@pytest.fixture
def pair(tmp_path: Path) -> list[Path]:
    """Two runs: 4 of 12 wrong, of which the other has 3 right; 1 + 2 wrong."""
    return [answering(tmp_path, "low", "abcd"), answering(tmp_path, "high", "dkl", "optim.lr=0.5", "freeze=pt0")]


def test_values_are_written_as_on_the_command_line() -> None:
    values = [None, True, 123456, 1e-3, 3.16228e-06, [0.9, 1.1], "adam", "/home/Ann/a.safetensors"]
    texts = ["null", "true", "123456", "1e-3", "3.16228e-06", "[0.9, 1.1]", "adam", "/home/Ann/a.safetensors"]
    assert [value_text(value) for value in values] == texts


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Lines:
    """Exit code, lines printed and errors of `kenyan13 compare ARGUMENTS`."""

    def command(*arguments: object) -> tuple[int, list[str], str]:
        monkeypatch.setattr(sys, "argv", ["kenyan13", "compare", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out = capsys.readouterr()
        return int(ended.value.code or 0), out.out.splitlines(), out.err

    return command


def test_the_command_prints_a_column_a_run(lines: Lines, pair: list[Path]) -> None:
    code, printed, _ = lines(*pair)
    assert code == 0
    assert [line.split() for line in printed[:6]] == [
        ["A", str(pair[1])], ["B", str(pair[0])], [], ["A", "B"],
        ["freeze.level", "0", "5"], ["optim.lr", "0.5", "1e-4"],
    ]  # fmt: skip
    cells = {line.rsplit(maxsplit=2)[0]: line.split()[-2:] for line in printed[6:20]}
    assert cells["accuracy"] == ["0.7500", "0.6667"]
    assert cells["accuracy low"] == ["0.4677", "0.3906"]
    assert cells["calibration error"] == ["0.0500", "0.1333"]
    assert cells["auc loss"] == ["3.0000", "3.0000"]
    assert ["B", "and", "A", "12", "2", "3", "1", "1"] in [line.split() for line in printed]
    assert printed[-1] == "The difference of 8.3 points is within what chance gives on 12 images (p = 1)."


def test_many_runs_are_printed_in_several_tables(lines: Lines, tmp_path: Path) -> None:
    runs = [answering(tmp_path, f"r{k}", "abcdefgh"[:k], f"optim.lr={k + 1}e-3") for k in range(8)]
    code, printed, _ = lines(*runs)
    assert code == 0
    assert printed[7].split() == ["H", str(runs[7])]
    assert [line.split()[:6] for line in printed[9:11]] == [
        [*"ABCDE", "\\"],
        ["optim.lr", *(f"{k}e-3" for k in range(1, 6))],
    ]
    assert ["F", "G", "H"] in [line.split() for line in printed]
    assert all(len(line) <= 80 for line in printed[8:])
    assert ["H", "and", "A", "12", "0", "7", "0.0156", "0.109"] in [line.split() for line in printed]  # 7 x 2 / 128


def test_the_command_prints_json(lines: Lines, pair: list[Path]) -> None:
    code, printed, _ = lines(*pair, "--json")
    answer = json.loads("\n".join(printed))
    assert code == 0
    assert [Path(one["run"]).name for one in answer["runs"]] == ["high", "low"]
    assert answer["runs"][0]["settings"] == {"freeze.level": 0, "optim.lr": 0.5}
    assert answer["runs"][1]["accuracy"] == pytest.approx(8 / 12)
    (test,) = answer["tests"]
    assert (test["run"], test["against"], test["p"]) == (str(pair[0]), str(pair[1]), 1)
    assert answer["conclusion"].startswith("The difference of 8.3 points")
    assert answer["remarks"] == []


def test_mistakes_end_on_one_screen(lines: Lines, pair: list[Path]) -> None:
    for arguments, said in (([pair[0]], "two or more runs"), ([pair[0], f"{pair[1]}x"], "Did you mean 'high'?")):
        code, _, error = lines(*arguments)
        assert code == 2
        assert said in error
        assert "Traceback" not in error
