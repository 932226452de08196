"""Runs in processes of their own: two that share one run, and signals that end it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from test_commands import ROOT, TINY, Command, call

from kenyan13.config.compose import compose_settings
from kenyan13.runs import directory
from kenyan13.runs.directory import VALIDATION
from kenyan13.training.run import train


@pytest.mark.slow
def test_two_processes_give_the_figures_of_one(kenyan13: Command, demo_root: Path, cache: Path, tmp_path: Path) -> None:
    """Data-parallel training on the CPU: two processes with batches of 8 do what one does with batches of 16.

    97 images to train and 33 to validate: the processes get some of them twice.
    """
    network = [
        "model.backbone=test_convnext",
        "model.crop=64",
        "optim=sgd",
        "optim.lr=0.01",
        "data.validation_fraction=0.25",
    ]  # no batch norm, no dropout
    common = [*TINY, f"data.root={demo_root}", f"data.cache={cache}", f"runs={tmp_path}/runs", "trainer.max_epochs=2"]
    common += [*network, "balance=none", "augment=enhanced", "augment.noise.probability=0", "augment.erasing.fill=zero"]
    train(compose_settings([*common, "name=one"]))
    two = call(*common, "name=two", "trainer.devices=2", "model.batch_size=8")
    assert two.returncode == 0, two.stderr
    assert two.stdout.count("Finished") == 1, "only the first process talks"
    metrics, predictions = [], []
    for name in ("one", "two"):
        metrics.append(pd.read_csv(tmp_path / "runs" / name / directory.METRICS).drop(columns="seconds"))
        predictions.append(pd.read_csv(tmp_path / "runs" / name / VALIDATION, dtype={"id": str}))
        assert len(list((tmp_path / "runs" / name).glob("events.out.tfevents.*"))) == 2, "start and end"
    pd.testing.assert_frame_equal(metrics[0], metrics[1], rtol=1e-4)
    pd.testing.assert_frame_equal(predictions[0], predictions[1], rtol=1e-3)
    assert metrics[0]["train_loss"][1] < metrics[0]["train_loss"][0], "it has learned something"
    assert "Both agree." in kenyan13("evaluate", str(tmp_path / "runs" / "two")).stdout


def started_and_sent(sent: signal.Signals, epoch: int, *arguments: str) -> "subprocess.Popen[str]":
    """Start `python train.py ARGUMENTS` and send it a signal when it has printed an epoch's line."""
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "train.py"), *arguments],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(f"epoch   {epoch}/"):
            process.send_signal(sent)
            break
    return process


def test_sigkill_at_any_moment_and_the_same_command_again(
    demo_root: Path, cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = [*TINY, f"data.root={demo_root}", f"data.cache={cache}", f"runs={tmp_path}/runs", "trainer.max_epochs=8"]
    common += ["data.workers=1"]
    process = started_and_sent(signal.SIGKILL, 3, *common, "name=killed")
    process.wait()
    killed = tmp_path / "runs" / "killed"
    assert not (killed / directory.RESULT).exists()
    train(compose_settings([*common, "name=killed"]))
    printed = capsys.readouterr().out
    assert "going on where it stopped" in printed
    assert "epoch   1/8" not in printed
    train(compose_settings([*common, "name=straight"]))
    runs = [tmp_path / "runs" / name for name in ("killed", "straight")]
    metrics = [pd.read_csv(folder / directory.METRICS).drop(columns="seconds") for folder in runs]
    pd.testing.assert_frame_equal(metrics[0], metrics[1], check_exact=True)
    assert (runs[0] / VALIDATION).read_bytes() == (runs[1] / VALIDATION).read_bytes()


def test_sigterm_is_no_success(demo_root: Path, cache: Path, tmp_path: Path) -> None:
    places = [f"data.root={demo_root}", f"data.cache={cache}", f"runs={tmp_path}", "trainer.max_epochs=500"]
    process = started_and_sent(signal.SIGTERM, 2, *TINY, *places, "name=ended")
    _, said = process.communicate()
    assert process.returncode == 143
    assert "Terminated. The same command goes on where it stopped." in said
    assert directory.read_state(tmp_path / "ended") is directory.State.interrupted
