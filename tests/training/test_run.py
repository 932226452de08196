"""A whole run, in process: what the run directory holds, that it resumes bit for bit, and what it refuses."""

import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score, log_loss
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

from kenyan13.config.settings import Settings
from kenyan13.data.sampling import generator
from kenyan13.errors import UserError
from kenyan13.runs import directory
from kenyan13.runs.directory import VALIDATION
from kenyan13.runs.locate import run_directory
from kenyan13.runs.predictions import classes_of, read_predictions
from kenyan13.runs.result import Result, read_result
from kenyan13.training import board, stopping
from kenyan13.training.callbacks import DROPOUT, RunFiles
from kenyan13.training.inference import evaluate, open_run
from kenyan13.training.run import train

Compose = Callable[..., Settings]


@pytest.fixture(scope="module")
def finished(demo_root: Path, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, Path]:
    """A run of three epochs that several tests only read."""
    from kenyan13.config.compose import compose_settings

    settings = compose_settings(
        [
            f"data.root={demo_root}", f"data.cache={cache}", f"runs={tmp_path_factory.mktemp('runs')}",
            "data.workers=0", "model=small_cnn", "model.crop=32", "model.batch_size=16", "trainer=cpu",
            "trainer.max_epochs=3", "augment=enhanced",
        ]
    )  # fmt: skip
    train(settings)
    return settings, run_directory(settings)


def without_time(folder: Path) -> pd.DataFrame:
    """Return metrics.csv without the column that differs from run to run."""
    return pd.read_csv(folder / directory.METRICS).drop(columns="seconds")


def best_weights(folder: Path) -> dict[str, torch.Tensor]:
    weights: dict[str, torch.Tensor] = torch.load(folder / directory.BEST, weights_only=True)["state_dict"]
    return weights


def assert_same_run(one: Path, other: Path) -> None:
    """Everything but times is equal, bit for bit."""
    pd.testing.assert_frame_equal(without_time(one), without_time(other), check_exact=True)
    assert (one / VALIDATION).read_bytes() == (other / VALIDATION).read_bytes()
    for (name, tensor), (_, twin) in zip(best_weights(one).items(), best_weights(other).items(), strict=True):
        assert torch.equal(tensor, twin), name
    first, second = (torch.load(folder / directory.LAST, weights_only=True) for folder in (one, other))
    for name, tensor in first["state_dict"].items():
        assert torch.equal(tensor, second["state_dict"][name]), name
    drop = {"seconds", "device"}
    results = [json.loads((folder / directory.RESULT).read_text()) for folder in (one, other)]
    assert {k: v for k, v in results[0].items() if k not in drop} == {
        k: v for k, v in results[1].items() if k not in drop
    }


def assert_one_of_each(folder: Path) -> None:
    """Images, curves, session and final metrics are in TensorBoard once."""
    tags = Counter(
        value.tag
        for file in folder.glob("events.out.tfevents.*")
        for event in EventFileLoader(str(file)).Load()
        for value in event.summary.value
    )
    metrics = [name for name in board.METRICS if name != "overfitting" or len(without_time(folder)) > 1]
    expected = {"sheets/original", "sheets/augmented", "confusion_matrix"}
    expected |= {f"precision_recall/{name}" for name in classes_of(read_predictions(folder))}
    expected |= {"_hparams_/session_start_info", "_hparams_/session_end_info"}
    expected |= {f"Result/{name}" for name in metrics}
    assert {tag for tag in tags if "/" in tag or tag == "confusion_matrix"} == expected
    assert {tags[tag] for tag in expected} == {1}


def test_run_directory_is_complete_and_consistent(finished: tuple[Settings, Path]) -> None:
    _, folder = finished
    result = json.loads((folder / directory.RESULT).read_text())
    metrics = pd.read_csv(folder / directory.METRICS)
    assert list(metrics.columns) == ["epoch", "train_loss", "val_loss", "val_accuracy", "val_macro_f1", "lr", "seconds"]
    assert metrics["epoch"].tolist() == [1, 2, 3]
    best = metrics.iloc[int(metrics["val_loss"].argmin())]
    assert result["status"] == "finished"
    assert result["min_val_loss"] == best["val_loss"]
    assert result["accuracy"] == best["val_accuracy"]
    assert result["best_epoch"] == best["epoch"]
    assert result["auc_loss"] == pytest.approx(metrics["val_loss"].sum())
    slope = np.polyfit([0, 1, 2], metrics["val_loss"] / metrics["train_loss"], 1)[0]
    assert result["overfitting"] == pytest.approx(slope)
    assert (result["train_images"], result["validation_images"]) == (104, 26)
    assert (
        result["parameters"]
        == result["trainable_parameters"]
        == sum(
            tensor.numel()
            for name, tensor in best_weights(folder).items()
            if "running" not in name and "num_b" not in name
        )
    )


def test_predictions_give_the_recorded_figures(finished: tuple[Settings, Path]) -> None:
    _, folder = finished
    result = json.loads((folder / directory.RESULT).read_text())
    table = pd.read_csv(folder / VALIDATION, dtype={"id": str})
    classes = list(table.columns[3:])
    assert len(classes) == 13
    assert table["id"].str.fullmatch(r"\d{20}").all()
    probabilities = table[classes].to_numpy()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    assert accuracy_score(table["target"], table["predicted"]) == pytest.approx(result["accuracy"])
    assert f1_score(table["target"], table["predicted"], labels=classes, average="macro", zero_division=0) == (
        pytest.approx(result["macro_f1"], abs=1e-6)
    )
    assert log_loss(table["target"], probabilities, labels=classes) == pytest.approx(result["min_val_loss"], abs=1e-5)


def test_tensorboard_has_scalars_and_the_graph(finished: tuple[Settings, Path]) -> None:
    _, folder = finished
    events = EventAccumulator(str(folder)).Reload()
    metrics = pd.read_csv(folder / directory.METRICS)
    for name in ("train_loss", "val_loss", "val_accuracy", "lr"):
        values = [event.value for event in events.Scalars(name)]
        np.testing.assert_allclose(values, metrics[name], rtol=1e-6)
    operations = {node.op for node in events.Graph().node}
    assert {"aten::_convolution", "aten::max_pool2d", "aten::linear"} <= operations


def test_evaluate_agrees_bit_for_bit(finished: tuple[Settings, Path], tmp_path: Path) -> None:
    _, folder = finished
    result = json.loads((folder / directory.RESULT).read_text())
    moved = folder.rename(tmp_path / "moved elsewhere")
    try:
        metrics = evaluate(open_run(moved))
    finally:
        moved.rename(folder)
    assert metrics == {"loss": result["min_val_loss"], "accuracy": result["accuracy"], "macro_f1": result["macro_f1"]}


def test_finished_run_is_not_trained_again(finished: tuple[Settings, Path], capsys: pytest.CaptureFixture[str]) -> None:
    settings, folder = finished
    before = {file: file.stat().st_mtime_ns for file in folder.rglob("*") if file.is_file()}
    result = train(settings)
    assert {file: file.stat().st_mtime_ns for file in folder.rglob("*") if file.is_file()} == before
    assert result == read_result(folder)
    assert "This run has finished before" in capsys.readouterr().out


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


VARIANTS = {
    "plateau": ["balance=balanced_sampler", "schedule=plateau", "schedule.patience=0", "schedule.threshold=1"],
    "multistep": ["schedule=multistep", "schedule.milestones=[1,3]", "optim=sgd"],
    "gradual": ["augment=enhanced", "freeze=gradual", "freeze.unfreeze=[[1,3],[2,5]]", "optim=adamw"],
    "worker": ["data.workers=1"],
    "steps": [
        "balance=weighted_loss", "schedule=cosine_steps", "optim=timm", "optim.layer_decay=0.75",
        "trainer.accumulate_grad_batches=2", "trainer.gradient_clip_val=1.0",
    ],
    "moving_statistics": [
        "model.backbone=test_efficientnet", "model.pretrained=false", "freeze=pt0", "freeze.frozen_bn=train",
    ],
}  # fmt: skip


@pytest.mark.parametrize("moment", ["before", "between", "after"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_killed_run_goes_on_to_the_same_bits(
    compose: Compose, monkeypatch: pytest.MonkeyPatch, variant: str, moment: str
) -> None:
    common = [*VARIANTS[variant], "trainer.max_epochs=4"]
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
    assert [event.step for event in EventAccumulator(str(run_directory(settings))).Reload().Scalars("val_loss")] == (
        [7 * epoch - 1 for epoch in range(1, epochs + 1)]
    )


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


def test_run_killed_after_its_stop_rule_fired_does_not_train_on(
    compose: Compose, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The rule is made to see no lower loss from epoch 2 on.
    rule = lambda self, history: "made to" if len(history.rows) >= 2 else None  # noqa: E731
    monkeypatch.setattr(stopping.StopOnLoss, "reason", rule)
    common = ["stop=loss", "trainer.max_epochs=5"]
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


def test_other_settings_get_another_folder_and_machine_settings_do_not(compose: Compose) -> None:
    first = run_directory(compose())
    assert first == run_directory(
        compose("data.workers=3", "data.cache=/elsewhere", "callbacks.tensorboard.graph=true")
    )
    others = [compose(override) for override in ("seed=1", "optim.lr=3e-4", "augment.rotation=10", "data.fold=0")]
    assert len({first, *(run_directory(settings) for settings in others)}) == 5


def test_named_run_with_other_settings_is_refused(compose: Compose) -> None:
    train(compose("name=mine", "trainer.max_epochs=1"))
    with pytest.raises(UserError, match=r"mine holds a run with other settings \(optim.lr=0.0001 there, 0.5 now\)"):
        train(compose("name=mine", "trainer.max_epochs=1", "optim.lr=0.5"))


def test_resuming_on_changed_images_is_refused(compose: Compose, demo_root: Path, tmp_path: Path) -> None:
    root = tmp_path / "copy"
    (root / "images").mkdir(parents=True)
    (root / "images" / "images").symlink_to(demo_root / "images" / "images")
    rows = (demo_root / "train.csv").read_text().splitlines()
    (root / "train.csv").write_text("\n".join(rows))
    settings = compose(f"data.root={root}", "name=mine", "trainer.max_epochs=1")
    train(settings)
    (root / "train.csv").write_text("\n".join(rows[:-1]))
    with pytest.raises(UserError, match="was trained on other images"):
        train(settings)
    (root / "train.csv").write_text("\n".join(rows).replace(",bhaji", ",pizza"))
    with pytest.raises(UserError, match="was trained on other classes"):
        train(settings)


def test_changed_contents_of_an_image_are_noticed(compose: Compose, demo_root: Path, tmp_path: Path) -> None:
    root = tmp_path / "copy"
    shutil.copytree(demo_root, root)
    settings = compose(f"data.root={root}", "name=mine", "trainer.max_epochs=1")
    train(settings)
    images = sorted((root / "images" / "images").iterdir())
    for image in images:
        image.write_bytes(images[0].read_bytes())
    with pytest.raises(UserError, match="was trained on other images"):
        train(settings)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["trainer.accelerator=gpu"], "trainer.accelerator=gpu trainer.devices=1"),
        (["trainer.accelerator=toaster"], "trainer.accelerator=toaster"),
        (["model.backbone=resnet18", "model.batch_size=1"], "a batch of 1 may be too small"),
        (["model.crop=16"], "cannot take images of model.crop=16"),
    ],
)
def test_what_cannot_train_leaves_nothing_behind(compose: Compose, overrides: list[str], message: str) -> None:
    settings = compose("model.pretrained=false", *overrides)
    with pytest.raises(UserError, match=message):
        train(settings)
    assert not Path(settings.runs).exists()


def test_two_processes_cannot_train_the_same_run(compose: Compose) -> None:
    from filelock import FileLock

    settings = compose("name=mine")
    run_directory(settings).mkdir(parents=True)
    with FileLock(run_directory(settings) / ".lock"), pytest.raises(UserError, match="Another process is training"):
        train(settings)


def test_diverged_run_says_so_and_writes_no_result(compose: Compose) -> None:
    settings = compose("optim=sgd", "optim.lr=1e30", "schedule=constant")
    with pytest.raises(UserError, match="diverged"):
        train(settings)
    assert read_result(run_directory(settings)) is None
    assert not (run_directory(settings) / directory.BEST).exists()


def test_nothing_is_written_when_the_network_cannot_be_made(compose: Compose) -> None:
    settings = compose("model.weights=/nowhere.pth")
    with pytest.raises(UserError, match="no weights file"):
        train(settings)
    assert not Path(settings.runs).exists()


def test_without_checkpoints_there_are_none(compose: Compose) -> None:
    settings = compose("trainer.enable_checkpointing=false", "trainer.max_epochs=1")
    train(settings)
    folder = run_directory(settings)
    assert not list(folder.rglob("*.ckpt"))
    with pytest.raises(UserError, match=r"has no checkpoints/best\.ckpt"):
        open_run(folder)


def test_torch_is_seeded_for_each_epoch(compose: Compose, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    monkeypatch.setattr(torch, "manual_seed", seen.append)
    train(compose())
    expected = [int(generator(DROPOUT, 42, epoch, 0).integers(2**62)) for epoch in (0, 1)]
    assert seen[-2:] == expected


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler for the CPU")
def test_checkpoints_of_a_compiled_network_load_without_compiling(compose: Compose) -> None:
    settings = compose("model.compile=true", "trainer.max_epochs=1")
    result = train(settings)
    names = torch.load(run_directory(settings) / directory.BEST, weights_only=True)["state_dict"]
    assert not any("_orig_mod" in name for name in names)
    plain = train(compose("trainer.max_epochs=1"))
    assert result.min_val_loss == pytest.approx(plain.min_val_loss, abs=1e-3)
    metrics = evaluate(open_run(run_directory(settings), ["model.compile=false"]))
    assert metrics["loss"] == pytest.approx(result.min_val_loss, abs=1e-4)
