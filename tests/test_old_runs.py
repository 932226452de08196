"""Run directories of an earlier version (tests/old_runs/README.md) are read, used and gone on with."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
import yaml

from kenyan13.cli import main as command
from kenyan13.config.compose import compose_settings
from kenyan13.runs.directory import State, read_state
from kenyan13.runs.result import Result, read_result
from kenyan13.training.run import train

OLD = Path(__file__).parent / "old_runs"
FINISHED, KILLED = "test_efficientnet_pt0-23195d30", "test_efficientnet_pt0-a8f39336"
COMMAND = (
    "data.root=tests/old_runs/data", "data.cache=.cache/images", "data.workers=0", "data.validation_fraction=0.25",
    "trainer=cpu", "model.backbone=test_efficientnet", "model.pretrained=false", "model.crop=32",
    "model.batch_size=16", "callbacks.tensorboard.graph=false", "runs=tests/old_runs/runs", "freeze=pt0",
    "optim.lr=1e-2", "trainer.max_epochs=3",
)  # fmt: skip


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a copy of the old runs, in a current directory in which their commands can be repeated."""
    shutil.copytree(OLD, tmp_path / "tests" / "old_runs")
    monkeypatch.chdir(tmp_path)
    return Path("tests/old_runs/runs")


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr("sys.argv", ["kenyan13", *arguments])
    with pytest.raises(SystemExit) as end:
        command()
    assert end.value.code in (0, None)


def test_a_finished_run_is_left(old: Path) -> None:
    before = (old / FINISHED / "result.json").read_bytes()
    result = train(compose_settings([*COMMAND, "data.test=true"]))
    assert result.min_val_loss == pytest.approx(2.559755802154541, abs=0)
    assert (result.train_images, result.validation_images) == (48, 17)
    assert (old / FINISHED / "result.json").read_bytes() == before


def test_a_killed_run_goes_on_to_what_it_would_have_come_to(old: Path) -> None:
    assert read_state(old / KILLED) is State.interrupted
    train(compose_settings([*COMMAND, "seed=7"]))
    metrics = pd.read_csv(old / KILLED / "metrics.csv").drop(columns="seconds")
    expected = pd.read_csv(OLD / "uninterrupted" / "metrics.csv").drop(columns="seconds")
    pd.testing.assert_frame_equal(metrics, expected, rtol=1e-4)


@pytest.mark.parametrize(
    "arguments",
    [
        ("evaluate", FINISHED), ("predict", FINISHED, "--test"), ("compare", FINISHED, "old_stage_first"),
        ("report", FINISHED, KILLED, "old_stage_first"), ("groups", FINISHED),
        ("cascade", "old_stage_first", "old_stage_greens", "old_stage_meats"),
    ],
)  # fmt: skip
def test_commands_take_old_runs(old: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]) -> None:
    monkeypatch.chdir(old)
    cached = ["data.root=../data", "data.cache=../cache"] if arguments[0] in ("evaluate", "predict") else []
    run(monkeypatch, *arguments, *cached)


def test_settings_that_a_run_lacks_have_their_defaults_and_unknown_ones_are_named(
    old: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = old / FINISHED / "config.yaml"
    config = yaml.safe_load(file.read_text())
    del config["settings"]["optim"]["weight_decay"], config["settings"]["augment"]["noise"]
    config["settings"]["augment"]["of_the_future"] = config["settings"]["trainer"]["of_the_past"] = 3
    file.write_text(yaml.safe_dump(config))
    train(compose_settings([*COMMAND, "data.test=true"]))
    assert capsys.readouterr().err.count("augment.of_the_future, trainer.of_the_past") == 1


def test_a_result_may_lack_fields_and_have_others(old: Path) -> None:
    file = old / FINISHED / "result.json"
    saved = json.loads(file.read_text())
    del saved["stopped"], saved["trainable_parameters"]
    file.write_text(json.dumps(saved | {"new_metric": 0.5}))
    result = read_result(old / FINISHED)
    assert isinstance(result, Result)
    assert result.accuracy == pytest.approx(1 / 17)
