"""The same bits, whatever happens: killed runs go on, workers and TensorBoard change nothing."""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import timm
import torch
from pytorch_lightning import Callback
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

from kenyan13.config.settings import Settings
from kenyan13.runs import directory
from kenyan13.runs.directory import VALIDATION
from kenyan13.runs.locate import run_directory
from kenyan13.runs.predictions import classes_of, read_predictions
from kenyan13.runs.result import Result, read_result
from kenyan13.training import board, stopping
from kenyan13.training.callbacks import RunFiles
from kenyan13.training.run import train

Compose = Callable[..., Settings]


def without_time(folder: Path) -> pd.DataFrame:
    """Return metrics.csv without the column that differs from run to run."""
    return pd.read_csv(folder / directory.METRICS).drop(columns="seconds")


def assert_same_run(one: Path, other: Path) -> None:
    """Everything but times is equal, bit for bit."""
    pd.testing.assert_frame_equal(without_time(one), without_time(other), check_exact=True)
    assert (one / VALIDATION).read_bytes() == (other / VALIDATION).read_bytes()
    for file in (directory.BEST, directory.LAST):
        first, second = (torch.load(folder / file, weights_only=True)["state_dict"] for folder in (one, other))
        for name, tensor in first.items():
            assert torch.equal(tensor, second[name]), name
    results = [read_result(folder) for folder in (one, other)]
    assert replace(results[0], seconds=0) == replace(results[1], seconds=0)  # type: ignore[type-var]


def assert_one_of_each(folder: Path) -> None:
    """Images, curves, session and final metrics are in TensorBoard once."""
    tags = Counter(
        value.tag
        for file in folder.glob("events.out.tfevents.*")
        for event in EventFileLoader(str(file)).Load()
        for value in event.summary.value
    )
    metrics = [name for name in board.METRICS if name != "overfitting" or (without_time(folder)["epoch"] > 0).sum() > 1]
    expected = {"sheets/original", "sheets/augmented", "confusion_matrix"}
    expected |= {f"precision_recall/{name}" for name in classes_of(read_predictions(folder))}
    expected |= {"_hparams_/session_start_info", "_hparams_/session_end_info"}
    expected |= {f"Result/{name}" for name in metrics}
    assert {tag for tag in tags if "/" in tag or tag == "confusion_matrix"} == expected
    assert {tags[tag] for tag in expected} == {1}


class KilledError(Exception):
    """Stands for a kill: nothing of the run's own code sees it coming."""


def kill(epoch: int, moment: str, patch: pytest.MonkeyPatch) -> None:
    """Make training die in an epoch: before its files are written, between the checkpoints, or after all."""
    whole, save = RunFiles.on_train_epoch_end, RunFiles.save

    def on_end(self: RunFiles, trainer: Any, module: Any) -> None:
        if trainer.current_epoch == epoch and moment == "before":
            raise KilledError
        whole(self, trainer, module)
        if trainer.current_epoch == epoch and moment == "after":
            raise KilledError

    def on_save(self: RunFiles, trainer: Any, name: Path, weights_only: bool) -> None:
        if trainer.current_epoch == epoch and moment == "between" and name.name == directory.LAST.name:
            raise KilledError
        save(self, trainer, name, weights_only)

    patch.setattr(RunFiles, "on_train_epoch_end", on_end)
    patch.setattr(RunFiles, "save", on_save)


def drawn() -> float:
    """What libraries other than torch draw."""
    return random.random() + float(np.random.rand())  # noqa: NPY002


class Dimmer(Callback):
    """A transform, and a callback, that draw from random and numpy.random."""

    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        return (image * drawn() / 2).to(torch.uint8)

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        batch.images.mul_(drawn())


class Rising(torch.nn.CrossEntropyLoss):
    """A loss with a buffer that changes."""

    factor: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("factor", torch.ones(()))

    def forward(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        self.factor += 0.1
        return super().forward(logits, targets) * self.factor


VARIANTS = {
    "parts_of_others": [
        f"callbacks.dimmer._target_={__name__}.Dimmer", f"augment.extra=[{{_target_:{__name__}.Dimmer}}]",
        "callbacks.ema._target_=pytorch_lightning.callbacks.EMAWeightAveraging", "callbacks.ema.decay=0.9",
        f"loss._target_={__name__}.Rising",
    ],
    "plateau": ["balance=balanced_sampler", "schedule=plateau", "schedule.patience=0", "schedule.threshold=1"],
    "multistep": ["schedule=multistep", "schedule.milestones=[1,3]", "optim=sgd"],
    "gradual": ["augment=enhanced", "freeze=gradual", "freeze.unfreeze=[[1,3],[2,5]]", "optim=adamw"],
    "worker": ["data.workers=1"],
    "steps": [
        "balance=weighted_loss", "schedule=cosine_steps", "optim=timm", "optim.layer_decay=0.75",
        "trainer.accumulate_grad_batches=2", "trainer.gradient_clip_val=1.0",
    ],
    "modern": ["model.backbone=test_resnet", "recipe=modern", "stop=loss"],
    "moving_statistics": [
        "model.backbone=test_efficientnet", "model.pretrained=false", "freeze=pt0", "freeze.frozen_bn=train",
    ],
}  # fmt: skip


MOMENTS = ("before", "between", "after")
OFTEN = ("parts_of_others", "gradual", "modern")  # these between them have each kind of state; the others are slow
# Each variant is killed at one moment, and in the slow tests at the others.
KILLS = [
    pytest.param(
        variant, moment, marks=[pytest.mark.slow] * (k % 3 != number or variant not in OFTEN), id=f"{variant}-{moment}"
    )
    for k, variant in enumerate(VARIANTS)
    for number, moment in enumerate(MOMENTS)
]


@pytest.mark.parametrize(("variant", "moment"), KILLS)
def test_killed_run_goes_on_to_the_same_bits(
    compose: Compose, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variant: str, moment: str
) -> None:
    common = [*VARIANTS[variant], "trainer.max_epochs=4"]
    if variant == "modern":  # weights with a classifier, as ImageNet's have, which goes on beside the new one
        weights = tmp_path / "weights.pth"
        torch.save(timm.create_model("test_resnet", num_classes=20).state_dict(), weights)
        common.append(f"model.weights={weights}")
    straight, broken = compose(*common, "name=straight"), compose(*common, "name=broken")
    train(straight)
    with monkeypatch.context() as patch:
        kill(2, moment, patch)
        with pytest.raises(KilledError):
            train(broken)
    assert read_result(run_directory(broken)) is None
    train(broken)
    assert_same_run(run_directory(straight), run_directory(broken))
    assert_one_of_each(run_directory(broken))


@pytest.mark.parametrize("epochs", [1, 3])
def test_a_run_that_begins_again_has_one_of_each_on_its_board(
    compose: Compose, monkeypatch: pytest.MonkeyPatch, epochs: int
) -> None:
    # killed before there was anything to go on from; and between the end of training and result.json
    settings = compose("name=broken", f"trainer.max_epochs={epochs}")
    with monkeypatch.context() as patch:
        kill(0, "before", patch)
        with pytest.raises(KilledError):
            train(settings)

    def killed(folder: Path, result: Result) -> None:
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr("kenyan13.training.run.write_result", killed)
        with pytest.raises(KilledError):
            train(settings)
    assert_one_of_each(run_directory(settings))
    train(settings)
    assert_one_of_each(run_directory(settings))
    points = EventAccumulator(str(run_directory(settings))).Reload().Scalars("val_loss")
    assert [point.step for point in points] == list(range(1, epochs + 1))


@pytest.mark.parametrize(
    "more", [[], ["model.backbone=test_resnet", "freeze=pt0", "freeze.features=cached", "freeze.views=2"]]
)
def test_the_board_does_not_change_the_result(
    compose: Compose, monkeypatch: pytest.MonkeyPatch, more: list[str]
) -> None:
    common = ["augment=enhanced", "trainer.max_epochs=1", *more]
    straight, bare = compose(*common, "name=straight"), compose(*common, "name=bare")
    train(straight)
    for name in ("on_run_start", "on_run_end"):
        monkeypatch.setattr(board.TensorBoardImages, name, lambda *given: None)
    train(bare)
    assert_same_run(run_directory(straight), run_directory(bare))
    assert_one_of_each(run_directory(straight))
    assert not EventAccumulator(str(run_directory(bare))).Reload().Tags()["images"]


EARLY = "callbacks.x._target_=pytorch_lightning.callbacks.EarlyStopping callbacks.x.monitor=val_loss"


@pytest.mark.parametrize("stop", ["stop=loss", f"{EARLY} callbacks.x.min_delta=9 callbacks.x.patience=1"])
def test_run_killed_after_its_stop_rule_fired_does_not_train_on(
    compose: Compose, monkeypatch: pytest.MonkeyPatch, stop: str
) -> None:
    # The rules are made to see no lower loss from epoch 2 on.
    rule = lambda self, history: "made to" if len(history.rows) >= 2 else None  # noqa: E731
    monkeypatch.setattr(stopping.StopOnLoss, "reason", rule)
    common = [*stop.split(), "trainer.max_epochs=5"]
    straight, broken = compose(*common, "name=straight"), compose(*common, "name=broken")
    assert train(straight).epochs == 2
    with monkeypatch.context() as patch:
        kill(1, "after", patch)
        with pytest.raises(KilledError):
            train(broken)
    train(broken)
    assert_same_run(run_directory(straight), run_directory(broken))


@pytest.mark.parametrize("workers", [0, 2])
def test_same_command_gives_the_same_bits_whatever_the_workers(compose: Compose, workers: int) -> None:
    one = compose("augment=enhanced", "name=one")
    other = compose("augment=enhanced", "name=other", f"data.workers={workers}")
    train(one)
    train(other)
    assert_same_run(run_directory(one), run_directory(other))
