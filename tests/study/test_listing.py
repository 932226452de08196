"""What `kenyan13 study list` prints."""

import json
import sys
from pathlib import Path

import pytest

from kenyan13 import cli
from kenyan13.config.compose import compose_settings
from kenyan13.runs.config_file import write_config
from kenyan13.study.definitions import experiments
from kenyan13.study.tables import list_groups


def printed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: str) -> list[str]:
    """The lines of `kenyan13 study list ARGUMENTS`."""
    monkeypatch.setattr(sys, "argv", ["kenyan13", "study", "list", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    out = capsys.readouterr()
    assert not ended.value.code, out.err
    return out.out.splitlines()


def test_all_141_experiments_are_listed_in_80_columns(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lines = printed(capsys, monkeypatch, "--runs", str(tmp_path))
    assert [line[:3] for line in lines if line[:3] in experiments()] == list(experiments())
    assert max(map(len, lines)) <= 80
    assert "Group F: From scratch. How far does training come without ImageNet weights?" in lines


def test_a_row_has_what_the_study_reported_and_the_state_of_the_run(tmp_path: Path) -> None:
    (listed,) = list_groups("CB", tmp_path)
    assert "model=efficientnet_b4" in listed
    assert [line.split() for line in listed.splitlines()[3:6]] == [
        ["CBA", "EfficientNetB4_PT0", "1.456", "55.43", "not", "started"],
        ["CBB", "EfficientNetB4_PT2", "0.619", "80.89", "not", "started"],
        ["CBC", "EfficientNetB4_PT5", "0.601", "82.03", "not", "started"],
    ]
    folder = tmp_path / "CBC_EfficientNetB4_PT5"
    folder.mkdir()
    write_config(folder, compose_settings(["name=other"]), {"classes": ["a", "b"]})
    assert next(list_groups("CBC", tmp_path)).splitlines()[3].endswith("another run")
    write_config(folder, compose_settings(["experiment=CBC"]), {"classes": ["a", "b"]})
    assert next(list_groups("CBC", tmp_path)).splitlines()[3].endswith("interrupted")
    (folder / "result.json").write_text(json.dumps({"status": "finished"}))
    assert next(list_groups("CBC", tmp_path)).splitlines()[3].endswith("finished")


def test_an_unknown_group_is_a_mistake(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "argv", ["kenyan13", "study", "list", "K"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert "The study has no group K." in capsys.readouterr().err
