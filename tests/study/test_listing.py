"""What `kenyan13 study list` prints."""

import json
import sys
from pathlib import Path

import pytest

from kenyan13 import cli
from kenyan13.config.compose import compose_settings
from kenyan13.runs.config_file import write_config
from kenyan13.study.listing import list_rows
from kenyan13.study.references import reference


def printed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: str) -> list[str]:
    """The lines of `kenyan13 study list ARGUMENTS`."""
    monkeypatch.setattr(sys, "argv", ["kenyan13", "study", "list", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    out = capsys.readouterr()
    assert not ended.value.code, out.err
    return out.out.splitlines()


def test_all_141_experiments_are_listed_aligned(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lines = printed(capsys, monkeypatch, "--runs", str(tmp_path))
    assert len(lines) == 1 + 20 + 51 + 12 + 11 + 5 + 2 + 25 + 15
    assert len({line.rindex("  ") for line in lines}) == 1, "the last column starts in one place"


def test_a_row_says_settings_and_reference_values(tmp_path: Path) -> None:
    rows = {row[0]: row[1:] for row in list_rows("C", tmp_path)}
    assert len(rows) == 12
    words = "efficientnet_b4 pt5, adam 0.0001, steps at 10/20/30, 35 epochs"
    assert rows["CBC"] == ("EfficientNetB4_PT5", words, "0.601", "82.03", "not started")
    (row,) = list_rows("FBA", tmp_path)
    assert row[2:5] == ("small_cnn pt5, adam 1e-05, plateau, 500 epochs, stop on loss, balanced sampler", "-", "-")
    (stage,) = list_rows("EAB", tmp_path)
    assert stage[2].endswith("100 epochs, stop on loss, stage group1")
    assert stage[-1] == "not started"
    assert reference()["HAN"]["accuracy"] == "84.02"


def test_state_is_read_from_the_runs(tmp_path: Path) -> None:
    folder = tmp_path / "CBC_EfficientNetB4_PT5"
    folder.mkdir()
    write_config(folder, compose_settings(["name=other"]), {"classes": ["a", "b"]})
    assert list_rows("CBC", tmp_path)[0][-1] == "another run"
    write_config(folder, compose_settings(["experiment=CBC"]), {"classes": ["a", "b"]})
    assert list_rows("CBC", tmp_path)[0][-1] == "interrupted"
    (folder / "result.json").write_text(json.dumps({"status": "finished"}))
    assert list_rows("CBC", tmp_path)[0][-1] == "finished"


def test_an_unknown_group_is_a_mistake(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "argv", ["kenyan13", "study", "list", "K"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert "The study has no group K." in capsys.readouterr().err
