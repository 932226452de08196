"""What a run leaves for TensorBoard, read back from its files."""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from pytorch_lightning import Trainer
from pytorch_lightning.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata
from tensorboard.util.tensor_util import make_ndarray
from torch import nn

from kenyan13.config.settings import Settings
from kenyan13.plots.predictions import confusion_plot
from kenyan13.runs.directory import State, read_state
from kenyan13.runs.locate import run_directory
from kenyan13.runs.predictions import prediction_table, write_predictions
from kenyan13.runs.result import Result
from kenyan13.runs.run import read_metrics
from kenyan13.training import board
from kenyan13.training.board import TensorBoardImages
from kenyan13.training.contact_sheets import arrange, draw_views, first_draws
from kenyan13.training.inference import open_data
from kenyan13.training.run import train

RESULT = Result(
    "finished", 0.75, 0.625, 0.5, 2, 3, 2.5, None, 1.0, 10, 4, 100, 50, "cpu", "trainer.max_epochs=3"
)  # fmt: skip
Compose = Callable[..., Settings]


def trainer_of(folder: Path) -> Trainer:
    """A trainer whose run directory is the folder."""
    logger = TensorBoardLogger(folder, name="", version="")
    return Trainer(logger=logger, accelerator="cpu", default_root_dir=folder)


@pytest.fixture
def ended(compose: Compose, tmp_path: Path) -> EventAccumulator:
    """The board of a run of two classes with four validation images, one of them of neither class."""
    a = np.array([0.9, 0.2, 0.4, 0.99], dtype=np.float32)
    targets = np.array([0, 1, 0, -1])
    table = prediction_table("wxyz", ("a/b", "$c$"), np.stack([a, 1 - a], axis=1), targets)
    write_predictions(tmp_path / "predictions.csv", table)
    settings = compose("optim.lr=0.03", "data.groups={all:[ugali,pilau]}", "data.stage=first", "data.subset=60")
    for _ in range(2):  # as if it had been killed before its result was written
        TensorBoardImages().on_run_end(trainer_of(tmp_path), settings, RESULT)
    return EventAccumulator(str(tmp_path)).Reload()


def test_precision_and_recall_of_each_class(ended: EventAccumulator) -> None:
    assert sorted(ended.Tags()["tensors"])[-2:] == ["precision_recall/$c$", "precision_recall/a/b"]
    (event,) = ended.Tensors("precision_recall/a/b")
    assert event.step == 2
    curve = make_ndarray(event.tensor_proto)  # a row each: tp, fp, tn, fn, precision, recall; thresholds 0 to 1
    assert curve.shape == (6, 127)
    for threshold, expected in (
        (0, (2, 1, 0, 0, 2 / 3, 1)),
        (0.3, (2, 0, 1, 0, 1, 1)),
        (0.5, (1, 0, 1, 1, 1, 0.5)),
        (0.95, (0, 0, 1, 2, 0, 0)),  # that of no class had 0.99
    ):
        np.testing.assert_allclose(curve[:, round(threshold * 126)], expected, rtol=1e-6)
    other = make_ndarray(ended.Tensors("precision_recall/$c$")[0].tensor_proto)
    np.testing.assert_allclose(other[:, 63], (1, 1, 1, 0, 0.5, 1), rtol=1e-6)


def test_confusion_at_the_best_epoch(ended: EventAccumulator, tmp_path: Path) -> None:
    """Of the four images three are of the classes: of a one is named a and one b, that of b is named b."""
    (event,) = ended.Images("confusion_matrix")
    shown = np.asarray(Image.open(BytesIO(event.encoded_image_string)))
    expected = BytesIO()
    confusion_plot(np.array([[1, 1], [0, 1]]), ("a/b", "$c$"), f"{tmp_path.name}, epoch 2").savefig(expected)
    assert np.array_equal(shown[..., :3], np.asarray(Image.open(expected))[..., :3])
    assert event.step == 2


def test_settings_and_final_metrics(ended: EventAccumulator) -> None:
    contents = ended.PluginTagToContent("hparams")
    assert set(contents) == {metadata.SESSION_START_INFO_TAG, metadata.SESSION_END_INFO_TAG}
    session = metadata.parse_session_start_info_plugin_data(contents[metadata.SESSION_START_INFO_TAG])
    kept = {name: getattr(value, value.WhichOneof("kind")) for name, value in session.hparams.items()}
    expected = {
        "optim.lr": 0.03, "seed": 42, "model.backbone": "small_cnn", "augment.scale": "[0.9, 1.1]",
        "model.weights": "null", "data.groups.all": "['ugali', 'pilau']", "data.stage": "first",
        "data.subset": "60", "balance.weighted_loss": "False", "freeze.level": 5,
    }  # fmt: skip
    assert {name: kept[name] for name in expected} == expected
    assert not {"runs", "data.cache", "data.workers", "experiment", "name"} & set(kept)
    metrics = {"min_val_loss": 0.75, "accuracy": 0.625, "macro_f1": 0.5, "auc_loss": 2.5}
    assert ended.Tags()["scalars"] == [f"Result/{name}" for name in metrics]  # no overfitting
    for name, value in metrics.items():
        assert [(event.step, event.value) for event in ended.Scalars(f"Result/{name}")] == [(3, value)]


@pytest.mark.parametrize(("crop", "side"), [(32, 32), (160, 112)])
def test_contact_sheets_of_the_first_epoch(compose: Compose, tmp_path: Path, crop: int, side: int) -> None:
    settings = compose(f"model.crop={crop}")
    data = open_data(settings)
    left_over = tmp_path / "events.out.tfevents.1.host.2.0"
    left_over.touch()
    trainer = trainer_of(tmp_path)
    random, numpy_random = torch.get_rng_state(), str(np.random.get_state())  # noqa: NPY002
    TensorBoardImages().on_run_start(trainer, data, nn.Identity())
    assert torch.equal(random, torch.get_rng_state())
    assert numpy_random == str(np.random.get_state())  # noqa: NPY002
    assert not left_over.exists()
    assert trainer.logger is not None
    trainer.logger.finalize("success")
    events = EventAccumulator(str(tmp_path)).Reload()
    assert sorted(events.Tags()["images"]) == ["sheets/augmented", "sheets/original"]
    draws = first_draws(data, 36)
    for kind, augment in (("original", None), ("augmented", settings.augment)):
        (event,) = events.Images(f"sheets/{kind}")
        length = 6 * side + 7 * 4
        assert (event.width, event.height, event.step) == (length, length, 0)
        sheet = np.asarray(Image.open(BytesIO(event.encoded_image_string)))
        expected = arrange(draw_views(data, draws, augment, side))
        assert np.array_equal(sheet, expected)


def test_a_plot_that_cannot_be_drawn_does_not_cost_the_training(
    compose: Compose, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("no ink")

    monkeypatch.setattr(board, "add_predictions", fail)
    settings = compose("trainer.max_epochs=1", "data.subset=60")
    train(settings)
    assert read_state(run_directory(settings)) is State.finished
    assert "The logger lacks the end of this run: no ink" in capsys.readouterr().out


def test_what_is_logged_by_epoch_has_the_epoch_as_its_step(compose: Compose) -> None:
    """So that curves of unequal batch sizes lie over each other; loss ratio and weighted loss are among them."""
    settings = compose("model.batch_size=7", "balance=weighted_loss")
    result = train(settings)
    folder = run_directory(settings)
    board = EventAccumulator(str(folder)).Reload()
    metrics = read_metrics(folder)
    assert metrics is not None
    for name in ("train_loss", "val_loss", "val_weighted_loss", "val_accuracy", "lr", "loss_ratio"):
        assert [event.step for event in board.Scalars(name)] == [1, 2]
    ratios = metrics["val_weighted_loss"] / metrics["train_loss"]
    assert [event.value for event in board.Scalars("loss_ratio")] == pytest.approx(ratios.tolist(), rel=1e-5)
    assert result.overfitting == pytest.approx(ratios[1] - ratios[0])
    assert result.weighted_loss == metrics["val_weighted_loss"].min() == pytest.approx(result.auc_loss, rel=0.7)
    assert result.min_val_loss == metrics["val_loss"].iloc[int(metrics["val_weighted_loss"].argmin())]
    assert (result.precision, result.device, result.threads) == ("32-true", "cpu", torch.get_num_threads())
    assert result.deterministic == "where possible"
