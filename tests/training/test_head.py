"""head=linear: a run of the linear classifier alone, and training that begins with it."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import timm
import torch

from kenyan13.config.settings import Settings
from kenyan13.errors import UserError
from kenyan13.metrics.classification import top_accuracy
from kenyan13.model.linear import linear_end
from kenyan13.report.writing import write_report
from kenyan13.runs.locate import run_directory
from kenyan13.runs.predictions import probabilities_of, read_predictions, targets_of
from kenyan13.runs.result import read_result
from kenyan13.training.features import check_features
from kenyan13.training.inference import open_run
from kenyan13.training.run import train

Compose = Callable[..., Settings]
NETWORK = ("model.backbone=test_resnet", "model.pretrained=false", "logger=none")


def test_the_quick_recipe_is_a_run_like_any_other(
    compose: Compose, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = compose(*NETWORK, "recipe=quick", "trainer.max_epochs=0", "name=quick")
    result = train(settings)
    assert (result.best_epoch, result.epochs, result.auc_loss, result.overfitting) == (0, 0, None, None)
    assert result.stopped == "trainer.max_epochs=0"
    folder = run_directory(settings)
    assert pd.read_csv(folder / "metrics.csv")["epoch"].tolist() == [0]
    predictions = read_predictions(folder)
    targets, probabilities = targets_of(predictions), probabilities_of(predictions)
    assert result.accuracy == pytest.approx(top_accuracy(targets, probabilities, 1))
    assert result.accuracy > 1.5 / 13, "better than chance, though the network's weights are random"
    assert open_run(folder).evaluate().metrics["loss"] == pytest.approx(result.min_val_loss, abs=1e-6)
    printed = capsys.readouterr().out
    assert "Linear head, strength 0." in printed
    assert "epoch   0/0" in printed
    assert train(settings) == read_result(folder) == result, "it is not made again"
    _, found, _ = write_report([folder], tmp_path / "report")
    assert not found[0].problem


def test_training_begins_with_the_linear_head(compose: Compose) -> None:
    """With a rate of 0 nothing changes after epoch 0, which so is the first of the lowest losses."""
    common = (*NETWORK, "head=linear", "freeze=pt0", "balance=none", "schedule=constant")
    settings = compose(*common, "optim.lr=1e-12")
    result = train(settings)
    losses = pd.read_csv(run_directory(settings) / "metrics.csv")["val_loss"]
    assert len(losses) == 3
    assert losses.to_numpy() == pytest.approx(np.full(3, losses[0]), abs=1e-6)
    assert (result.best_epoch, result.epochs) == (0, 2)
    moved = compose(*common, "optim.lr=1e-2")
    train(moved)
    again = pd.read_csv(run_directory(moved) / "metrics.csv")["val_loss"]
    assert again[0] == losses[0]
    assert again[1] != losses[0]


def test_what_cannot_be_is_said(compose: Compose) -> None:
    with pytest.raises(UserError, match="max_epochs=0 trains nothing"):
        compose("trainer.max_epochs=0")
    with pytest.raises(UserError, match=r"head\.folds=1 is out of range"):
        compose("head=linear", "head.folds=1")


def test_networks_without_a_linear_end_are_refused(compose: Compose) -> None:
    """VOLO's logits are of two heads, as are a distilled DeiT's; of VGG, all are of the last layer."""
    names = "volo_d1_224", "deit_tiny_distilled_patch16_224", "vgg11"
    with torch.device("meta"):
        volo, deit, vgg = (timm.create_model(name) for name in names)
    assert (linear_end(volo), linear_end(deit)) == (None, None)
    assert linear_end(vgg) is vgg.get_classifier()  # type: ignore[operator]
    with pytest.raises(UserError, match="VOLO ends in no linear layer: no head=linear"):
        check_features(compose("head=linear"), volo)


def folders(root: Path, images: list[Path], **counts: int) -> Path:
    """A data set with so many images a class in train/, and two of each in val/."""
    for name, count in counts.items():
        for part, number in (("train", count), ("val", 2)):
            (root / part / name).mkdir(parents=True)
            for _ in range(number):
                shutil.copy(image := images.pop(), root / part / name / image.name)
    return root


def test_classes_of_a_single_image(compose: Compose, demo_root: Path, tmp_path: Path) -> None:
    images = sorted(demo_root.rglob("*.jpg"))
    for name, counts in {"two": {"a": 1, "b": 9}, "all": {"a": 1, "b": 1, "c": 1}}.items():
        root = folders(tmp_path / name, images, **counts)
        with pytest.raises(UserError, match="head=linear cannot be fitted"):
            train(compose(*NETWORK, "data=folder", f"data.root={root}", "recipe=quick", "trainer.max_epochs=0"))
    root = folders(tmp_path / "some", images, a=1, b=9, c=9)
    assert train(compose(*NETWORK, "data=folder", f"data.root={root}", "recipe=modern")).epochs == 2
