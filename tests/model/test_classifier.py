"""The classifier: its losses by hand, its metrics over every image once, and what its checkpoints hold."""

import subprocess
import sys
from collections.abc import Sequence
from math import log
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import Checkpoint
from sklearn.metrics import accuracy_score, f1_score
from torch import Tensor, nn
from torch.utils.data import DataLoader

from kenyan13.config.compose import compose_settings
from kenyan13.data.batches import Batch
from kenyan13.model.backbones import read_weights
from kenyan13.model.classifier import Classifier
from kenyan13.model.losses import inverse_frequency_weights

CLASSES = tuple("abcde")
STUDY_COUNTS = np.array([632, 862, 479, 494, 173, 620, 438, 483, 212, 784, 329, 402, 628])


def sgd(lr: float) -> dict[str, Any]:
    return {"_target_": "torch.optim.SGD", "lr": lr}


def classifier(network: nn.Module, weights: Tensor | None = None, lr: float = 0.0) -> Classifier:
    schedule = compose_settings(["schedule=cosine"]).schedule
    return Classifier(network, CLASSES, nn.CrossEntropyLoss(weights), sgd(lr), schedule)


def trainer(epochs: int = 1, *callbacks: Callback) -> Trainer:
    return Trainer(
        max_epochs=epochs, accelerator="cpu", logger=False, callbacks=list(callbacks), num_sanity_val_steps=0,
        enable_checkpointing=bool(callbacks), enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip


def loader(logits: Tensor, targets: Tensor, rows: Sequence[int], batch_size: int) -> DataLoader[Batch]:
    """Batches in the order of `rows`; the "images" are the logits, for a network that hands them through."""
    picked = torch.tensor(rows)
    batches = [Batch(logits[part], targets[part], part) for part in torch.split(picked, batch_size)]
    return DataLoader(batches, batch_size=None)  # type: ignore[arg-type]


class Scale(nn.Module):
    """Logits times a parameter that starts at one."""

    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.ones(1))

    def forward(self, images: Tensor) -> Tensor:
        return images * self.factor


@pytest.fixture
def logits() -> Tensor:
    return 2 * torch.randn(53, 5, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def targets() -> Tensor:
    return torch.randint(4, (53,), generator=torch.Generator().manual_seed(2))  # none of class e


def test_inverse_frequency_weights() -> None:
    assert inverse_frequency_weights(np.array([1, 2, 4])).tolist() == pytest.approx([4 / 7, 2 / 7, 1 / 7])
    weights = inverse_frequency_weights(STUDY_COUNTS)
    assert (weights.dtype, weights.shape) == (torch.float32, (13,))
    assert weights.sum().item() == pytest.approx(1)
    assert (weights.double() * torch.from_numpy(STUDY_COUNTS)).tolist() == pytest.approx([weights[0].item() * 632] * 13)


@pytest.mark.parametrize("weights", [None, [0.4, 0.1, 0.2, 0.25, 0.05]])
def test_training_loss_by_hand(weights: list[float] | None, logits: Tensor, targets: Tensor) -> None:
    tuned = classifier(Scale(), None if weights is None else torch.tensor(weights))
    loss = tuned.training_step(Batch(logits, targets, torch.arange(53)), 0)
    summed = share = 0.0
    for row, target in zip(logits.double().tolist(), targets.tolist(), strict=True):
        weight = 1.0 if weights is None else weights[target]
        summed += weight * (log(sum(np.exp(row))) - row[target])
        share += weight
    assert loss.item() == pytest.approx(summed / share, rel=1e-5)


def test_logged_training_loss_is_the_mean_over_images(logits: Tensor, targets: Tensor) -> None:
    done = trainer()
    batches = loader(logits, targets, range(53), batch_size=50)  # the last batch has 3 images
    done.fit(classifier(Scale()), batches, batches)
    expected = F.cross_entropy(logits, targets).item()
    assert done.callback_metrics["train_loss"].item() == pytest.approx(expected, rel=1e-5)
    assert done.callback_metrics["val_loss"].item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("batch_size", [1, 7, 64])
@pytest.mark.parametrize("weights", [None, [0.4, 0.1, 0.2, 0.25, 0.05]])
def test_validation_counts_every_image_once(
    batch_size: int, weights: list[float] | None, logits: Tensor, targets: Tensor
) -> None:
    validated = classifier(Scale(), None if weights is None else torch.tensor(weights))
    shuffled = torch.randperm(53, generator=torch.Generator().manual_seed(3)).tolist()
    batches = loader(logits, targets, shuffled + shuffled[:4], batch_size)  # some twice, as processes share them
    metrics = dict(trainer().validate(validated, batches, verbose=False)[0])
    predicted = logits.argmax(1)
    weighted = F.cross_entropy(logits, targets, None if weights is None else torch.tensor(weights)).item()
    assert metrics.pop("val_weighted_loss", weighted) == pytest.approx(weighted, rel=1e-5)
    assert metrics == {
        "val_loss": pytest.approx(F.cross_entropy(logits, targets).item(), rel=1e-5),
        "val_accuracy": pytest.approx(accuracy_score(targets, predicted)),
        "val_macro_f1": pytest.approx(f1_score(targets, predicted, average="macro")),
    }
    assert 0.05 < metrics["val_accuracy"] < 0.95
    predictions = validated.predictions
    assert predictions is not None
    assert predictions.rows.tolist() == list(range(53))
    assert predictions.targets.tolist() == targets.tolist()
    np.testing.assert_allclose(predictions.probabilities, logits.softmax(1).numpy(), rtol=1e-5)
    assert predictions.probabilities.dtype == np.float32
    assert validated.outputs == []


def test_images_of_no_class_are_predicted_but_do_not_count(logits: Tensor, targets: Tensor) -> None:
    marked = targets.clone()
    marked[::3] = -1
    validated = classifier(Scale())
    metrics = trainer().validate(validated, loader(logits, marked, range(53), 10), verbose=False)[0]
    known = marked >= 0
    assert metrics == {
        "val_loss": pytest.approx(F.cross_entropy(logits[known], targets[known]).item(), rel=1e-5),
        "val_accuracy": pytest.approx(accuracy_score(targets[known], logits[known].argmax(1))),
        "val_macro_f1": pytest.approx(f1_score(targets[known], logits[known].argmax(1), average="macro")),
    }
    assert validated.predictions is not None
    assert validated.predictions.targets.tolist() == marked.tolist()
    assert validated.predictions.probabilities.shape == (53, 5)


def test_macro_f1_leaves_out_classes_that_are_nowhere() -> None:
    logits, targets = torch.eye(5)[[0, 0, 1, 2]], torch.tensor([0, 1, 1, 2])
    metrics = trainer().validate(classifier(Scale()), loader(logits, targets, range(4), 2), verbose=False)[0]
    assert metrics["val_macro_f1"] == pytest.approx((2 / 3 + 2 / 3 + 1) / 3)
    assert metrics["val_accuracy"] == pytest.approx(3 / 4)


class StandingStill(nn.Module):
    """Hands its input through; its parameter has the gradient zero."""

    def __init__(self) -> None:
        super().__init__()
        self.nothing = nn.Parameter(torch.ones(1))

    def forward(self, images: Tensor) -> Tensor:
        return images + 0 * self.nothing


class Rates(Checkpoint):
    """Notes the learning rate of each epoch, and saves a checkpoint after the third, when a run does."""

    def __init__(self, file: Path) -> None:
        self.seen: list[float] = []
        self.file = file

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.seen.append(trainer.optimizers[0].param_groups[0]["lr"])

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.current_epoch == 2:
            trainer.save_checkpoint(self.file)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("constant", [1.0] * 6),
        ("step schedule.step_size=2 schedule.gamma=0.1", [1, 1, 0.1, 0.1, 0.01, 0.01]),
        ("multistep schedule.milestones=[1,4] schedule.gamma=0.1", [1, 0.1, 0.1, 0.1, 0.01, 0.01]),
        # one epoch sets the best loss, two do not better it, then two more
        ("plateau schedule.patience=1 schedule.factor=0.1", [1, 1, 1, 0.1, 0.1, 0.01]),
        ("cosine", [0.5, 1, 0.904508, 0.654508, 0.345492, 0.095492]),
        # three steps an epoch: 18 in all, the first three rise; rates at steps 0, 3, 6, 9, 12, 15
        ("cosine_steps", [0.25, 1, 0.904508, 0.654508, 0.345492, 0.095492]),
    ],
)
def test_schedules_are_stepped_and_resumed(
    name: str, expected: Sequence[float], logits: Tensor, targets: Tensor, tmp_path: Path
) -> None:
    chosen = compose_settings(f"schedule={name}".split()).schedule
    batches = loader(logits, targets, range(53), 20)

    def run(start: Path | None) -> list[float]:
        rates = Rates(tmp_path / "run.ckpt")
        tuned = Classifier(StandingStill(), CLASSES, optim=sgd(1.0), schedule=chosen)
        trainer(6, rates).fit(tuned, batches, batches, ckpt_path=start, weights_only=True)
        return rates.seen

    whole = run(None)
    assert whole == pytest.approx(expected, rel=1e-5)
    assert run(tmp_path / "run.ckpt") == whole[3:]


def test_checkpoint_holds_plain_values(logits: Tensor, targets: Tensor, tmp_path: Path) -> None:
    done, tuned = trainer(), classifier(Scale(), torch.ones(5), 0.1)
    batches = loader(logits, targets, range(53), 20)
    done.fit(tuned, batches, batches)
    done.save_checkpoint(tmp_path / "run.ckpt")
    checkpoint = torch.load(tmp_path / "run.ckpt", weights_only=True)
    assert checkpoint["classes"] == list("abcde")
    assert checkpoint["schedule"]["last_epoch"] == 1
    assert checkpoint["state_dict"].keys() == {"network.factor", "loss.weight"}
    weights, classes = read_weights(tmp_path / "run.ckpt")
    assert classes == CLASSES
    assert weights.keys() == {"factor"}
    assert torch.equal(weights["factor"], tuned.network.state_dict()["factor"])
    assert weights["factor"].item() != 1


def test_metrics_are_the_same_where_algorithms_must_be_deterministic() -> None:
    draw = torch.Generator().manual_seed(3)
    logits, targets = torch.randn(300, 5, generator=draw), torch.randint(5, (300,), generator=draw)
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        found = trainer().validate(classifier(Scale()), loader(logits, targets, range(300), 50), verbose=False)[0]
        assert torch.is_deterministic_algorithms_warn_only_enabled()
    finally:
        torch.use_deterministic_algorithms(False)
    predicted = logits.argmax(dim=1)
    assert found["val_accuracy"] == pytest.approx(accuracy_score(targets, predicted))
    assert found["val_macro_f1"] == pytest.approx(f1_score(targets, predicted, average="macro"))


@pytest.mark.slow
def test_validation_needs_memory_for_images_and_classes_only() -> None:
    """20,000 images of 500 classes; a table of images x classes² would have 40 GB."""
    program = """
import re, sys; from pathlib import Path
import torch; from torch import nn; from pytorch_lightning import Trainer; from torch.utils.data import DataLoader
from kenyan13.data.batches import Batch; from kenyan13.model.classifier import Classifier
logits, targets = torch.randn(20_000, 500), torch.randint(500, (20_000,))
batches = [Batch(logits[part], targets[part], part) for part in torch.arange(20_000).split(100)]
trainer = Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, enable_checkpointing=False,
                  enable_model_summary=False, deterministic="warn")
trainer.validate(Classifier(nn.Identity(), tuple(map(str, range(500)))), DataLoader(batches, batch_size=None))
print(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert int(done.stdout.split()[-1]) * 1024 < 2e9
