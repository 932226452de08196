"""A whole run, in process: what the run directory holds, and what it refuses."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score, log_loss
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from kenyan13.config.settings import Settings
from kenyan13.errors import UserError
from kenyan13.runs import directory
from kenyan13.runs.directory import VALIDATION
from kenyan13.runs.locate import run_directory
from kenyan13.runs.result import read_result
from kenyan13.training.inference import open_run
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


def best_weights(folder: Path) -> dict[str, torch.Tensor]:
    weights: dict[str, torch.Tensor] = torch.load(folder / directory.BEST, weights_only=True)["state_dict"]
    return weights


def test_run_directory_is_complete_and_consistent(finished: tuple[Settings, Path]) -> None:
    _, folder = finished
    result = json.loads((folder / directory.RESULT).read_text())
    metrics = pd.read_csv(folder / directory.METRICS)
    assert list(metrics.columns) == ["epoch", "train_loss", "val_loss", "val_accuracy", "val_macro_f1", "lr", "seconds"]
    assert metrics["epoch"].tolist() == [1, 2, 3]
    best = metrics.iloc[int(metrics["val_loss"].argmin())]
    assert result["status"] == "finished"
    assert result["min_val_loss"] == best["val_loss"]
    assert result["accuracy"] == pytest.approx(best["val_accuracy"])
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
        metrics = open_run(moved).evaluate().metrics
    finally:
        moved.rename(folder)
    assert metrics == {"loss": result["min_val_loss"], "accuracy": result["accuracy"], "macro_f1": result["macro_f1"]}


def test_best_weights_are_those_that_were_validated(compose: Compose) -> None:
    average = ["callbacks.x._target_=pytorch_lightning.callbacks.EMAWeightAveraging", "callbacks.x.decay=0.9"]
    settings = compose("optim.lr=3e-3", *average)
    result = train(settings)
    metrics = {"loss": result.min_val_loss, "accuracy": result.accuracy, "macro_f1": result.macro_f1}
    assert open_run(run_directory(settings)).evaluate().metrics == metrics


def test_finished_run_is_not_trained_again(finished: tuple[Settings, Path], capsys: pytest.CaptureFixture[str]) -> None:
    settings, folder = finished
    before = {file: file.stat().st_mtime_ns for file in folder.rglob("*") if file.is_file()}
    named = folder.rename(folder.with_name(f"of_earlier-{folder.name[-8:]}"))
    assert run_directory(settings) == named, "the hash tells, whatever words other versions chose"
    named.rename(folder)
    result = train(settings)
    assert {file: file.stat().st_mtime_ns for file in folder.rglob("*") if file.is_file()} == before
    assert result == read_result(folder)
    assert "This run has finished before" in capsys.readouterr().out


def test_other_settings_get_another_folder_and_machine_settings_do_not(compose: Compose) -> None:
    first = run_directory(compose())
    assert first == run_directory(
        compose("data.workers=3", "data.cache=/elsewhere", "callbacks.tensorboard.graph=true")
    )
    stop = "callbacks.x._target_=kenyan13.training.stopping.StopOnLoss"
    given = ["seed=1", "optim.lr=3e-4", "augment.rotation=10", "data.fold=0", stop, "callbacks.epoch_seed.seed=7"]
    others = [compose(override) for override in [*given, "callbacks.epoch_seed=null"]]
    assert len({first, *(run_directory(settings) for settings in others)}) == 8


def test_a_run_of_other_settings_or_data_is_refused(compose: Compose, demo_root: Path, tmp_path: Path) -> None:
    root = tmp_path / "copy"
    shutil.copytree(demo_root, root)
    rows = (root / "train.csv").read_text().splitlines()
    settings = compose(f"data.root={root}", "name=mine", "trainer.max_epochs=1")
    train(settings)
    with pytest.raises(UserError, match=r"mine holds a run with other settings \(optim.lr=0.0001 there, 0.5 now\)"):
        train(compose("name=mine", "trainer.max_epochs=1", "optim.lr=0.5"))
    (root / "train.csv").write_text("\n".join(rows[:-1]))
    with pytest.raises(UserError, match="was trained on other images"):
        train(settings)
    (root / "train.csv").write_text("\n".join(rows).replace(",bhaji", ",pizza"))
    with pytest.raises(UserError, match="was trained on other classes"):
        train(settings)
    (root / "train.csv").write_text("\n".join(rows))
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
        (["model.weights=/nowhere.pth"], "no weights file"),
        (["model.pretrained=true"], "There are no ImageNet weights of small_cnn"),
    ],
)
def test_what_cannot_train_leaves_nothing_behind(compose: Compose, overrides: list[str], message: str) -> None:
    settings = compose("model.pretrained=false", f"data.cache={Path(compose().runs).parent}/no_cache", *overrides)
    with pytest.raises(UserError, match=message):
        train(settings)
    assert not Path(settings.runs).exists()
    assert not Path(settings.data.cache).exists(), "said before any image is decoded"


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


def test_without_checkpoints_there_are_none(compose: Compose) -> None:
    settings = compose("trainer.enable_checkpointing=false", "trainer.max_epochs=1")
    train(settings)
    folder = run_directory(settings)
    assert not list(folder.rglob("*.ckpt"))
    with pytest.raises(UserError, match=r"has no checkpoints/best\.ckpt"):
        open_run(folder)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler for the CPU")
def test_checkpoints_of_a_compiled_network_load_without_compiling(compose: Compose) -> None:
    settings = compose("model.compile=true", "trainer.max_epochs=1")
    result = train(settings)
    names = torch.load(run_directory(settings) / directory.BEST, weights_only=True)["state_dict"]
    assert not any("_orig_mod" in name for name in names)
    plain = train(compose("trainer.max_epochs=1"))
    assert result.min_val_loss == pytest.approx(plain.min_val_loss, abs=1e-3)
    metrics = open_run(run_directory(settings), ["model.compile=false"]).evaluate().metrics
    assert metrics["loss"] == pytest.approx(result.min_val_loss, abs=1e-4)


def test_gradients_are_clipped_in_mixed_precision_too(compose: Compose) -> None:
    """Lightning refuses to clip where the optimiser is a fused one, as the presets are."""
    settings = compose(
        "trainer.max_epochs=1", "trainer.precision=bf16-mixed", "trainer.gradient_clip_val=1.0", "logger=none"
    )
    assert settings.optim["fused"]
    assert train(settings).status == "finished"
