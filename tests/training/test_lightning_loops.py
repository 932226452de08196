"""Lightning's own loops over a finished run: validate, test, predict, and load_from_checkpoint."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from pytorch_lightning import Trainer

from kenyan13.config.settings import Settings
from kenyan13.errors import UserError
from kenyan13.model.classifier import Classifier
from kenyan13.runs.directory import BEST, LAST, TEST
from kenyan13.runs.locate import run_directory
from kenyan13.runs.predictions import probabilities_of, read_predictions, targets_of
from kenyan13.runs.result import Result
from kenyan13.training.inference import open_data, open_run
from kenyan13.training.run import train

Compose = Callable[..., Settings]


@pytest.fixture
def trained(compose: Compose) -> tuple[Settings, Path, Result]:
    settings = compose("data.test=true")
    result = train(settings)
    return settings, run_directory(settings), result


def plain_trainer() -> Trainer:
    return Trainer(
        accelerator="cpu", logger=False, enable_progress_bar=False, enable_checkpointing=False,
        enable_model_summary=False,
    )  # fmt: skip


def test_a_checkpoint_is_a_classifier_again(trained: tuple[Settings, Path, Result], tmp_path: Path) -> None:
    settings, folder, result = trained
    data = open_data(settings)
    module = Classifier.load_from_checkpoint(folder / BEST)
    assert module.classes == data.classes
    metrics = plain_trainer().validate(module, datamodule=data, verbose=False)[0]
    assert metrics["val_loss"] == pytest.approx(result.min_val_loss, rel=1e-6)
    logits = plain_trainer().predict(module, datamodule=data)
    assert logits is not None
    expected = probabilities_of(read_predictions(folder, TEST))
    np.testing.assert_allclose(torch.cat(logits).softmax(1).numpy(), expected, atol=1e-6)  # type: ignore[arg-type]
    assert isinstance(Classifier.load_from_checkpoint(str(folder / LAST), map_location="cpu"), Classifier)
    (tmp_path / "alone").mkdir()
    with pytest.raises(UserError, match="is no run directory"):
        Classifier.load_from_checkpoint(tmp_path / "alone" / "checkpoints" / "best.ckpt")


def test_test_metrics_are_of_test_images_that_have_labels(trained: tuple[Settings, Path, Result]) -> None:
    settings, folder, result = trained
    data, module = open_data(settings), Classifier.load_from_checkpoint(folder / BEST)
    assert plain_trainer().test(module, datamodule=data, verbose=False)[0] == {}  # a competition's have none
    assert module.predictions is not None
    data.test = data.validation
    metrics = plain_trainer().test(module, datamodule=data, verbose=False)[0]
    assert metrics["test_loss"] == pytest.approx(result.min_val_loss, rel=1e-6)
    assert metrics["test_accuracy"] == pytest.approx(result.accuracy)
    data.test = None
    with pytest.raises(UserError, match="without test images"):
        plain_trainer().test(module, datamodule=data, verbose=False)


def test_an_evaluation_passes_over_the_images_once(trained: tuple[Settings, Path, Result]) -> None:
    settings, folder, result = trained
    run = open_run(folder)
    images = []
    run.network.register_forward_pre_hook(lambda _, given: images.append(len(given[0])))
    found = run.evaluate()
    assert sum(images) == 2 * len(found.plain)  # each, and its mirror image
    assert found.metrics["loss"] == pytest.approx(result.min_val_loss, rel=1e-6)
    assert found.own is found.plain
    saved = read_predictions(folder)
    np.testing.assert_allclose(probabilities_of(found.plain), probabilities_of(saved), atol=1e-6)
    assert list(found.plain.index) == list(saved.index)
    assert targets_of(found.mirrored).tolist() == targets_of(saved).tolist()
    mirrored = replace(run, settings=replace(settings, predict=replace(settings.predict, mirror=True)))
    other = mirrored.evaluate()
    assert other.own is other.mirrored
    assert not np.allclose(probabilities_of(other.own), probabilities_of(found.own))
