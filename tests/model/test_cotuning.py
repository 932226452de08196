"""Co-Tuning: the auxiliary loss by hand, and what a run does with it."""

from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import torch
from torch import nn

from kenyan13.config.settings import Settings
from kenyan13.errors import UserError
from kenyan13.model.backbones import pretrained_classifier
from kenyan13.model.classifier import Classifier
from kenyan13.model.linear import CoTuning, pooled_features
from kenyan13.model.optimisation import create_optimizer
from kenyan13.runs.directory import BEST, LAST
from kenyan13.runs.locate import run_directory
from kenyan13.training.inference import open_run
from kenyan13.training.run import train

Compose = Callable[..., Settings]


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """Weights of a network for 20 classes."""
    torch.manual_seed(0)
    file = tmp_path / "weights.pth"
    torch.save(timm.create_model("test_resnet", num_classes=20).state_dict(), file)
    return file


def test_the_loss_by_hand() -> None:
    """Two new classes, two old ones; features are their logits."""
    layer = nn.Linear(2, 2)
    layer.load_state_dict({"weight": torch.eye(2), "bias": torch.zeros(2)})
    auxiliary = CoTuning(layer, classes=2, weight=0.5)
    odds = torch.tensor([[1.0, 3.0], [1.0, 1.0], [4.0, 1.0]])
    auxiliary.relate(odds.log(), torch.tensor([0, 0, 1]))
    assert auxiliary.relation.tolist() == [pytest.approx([0.375, 0.625]), pytest.approx([0.8, 0.2])]
    batch = torch.tensor([[1.0, 1.0], [1.0, 3.0]]).log()
    expected = -(torch.tensor(0.5).log() + 0.8 * torch.tensor(0.25).log() + 0.2 * torch.tensor(0.75).log()) / 2
    assert float(auxiliary(batch, torch.tensor([0, 1])).detach()) == pytest.approx(0.5 * float(expected))


@pytest.mark.parametrize(
    "name", ["test_resnet", "test_efficientnet", "test_convnext", "test_vit", "test_densenet", "test_vgg"]
)
def test_the_classifier_of_a_file_of_weights(compose: Compose, tmp_path: Path, name: str) -> None:
    if not timm.is_model(name):
        pytest.skip(f"this timm has no {name}")
    network = timm.create_model(name, num_classes=20).eval()
    torch.save(network.state_dict(), tmp_path / "own.pth")
    settings = compose(f"model.backbone={name}", f"model.weights={tmp_path}/own.pth", "model.crop=160")
    layer = pretrained_classifier(settings.model)
    assert layer is not None
    images = torch.randn(2, 3, 160, 160)
    with torch.no_grad():
        assert torch.allclose(layer(pooled_features(network, images)), network(images), atol=1e-5)


def test_the_auxiliary_classifier_trains_at_the_full_rate() -> None:
    network = timm.create_model("test_vit", num_classes=3)
    auxiliary = CoTuning(nn.Linear(64, 5), 3, 1.0)
    optim = {
        "_target_": "timm.optim.create_optimizer_v2",
        "opt": "adamw",
        "lr": 1e-3,
        "layer_decay": 0.5,
        "weight_decay": 0.05,
    }
    optimizer = create_optimizer(optim, network, auxiliary)
    group = optimizer.param_groups[-1]
    assert (group["lr"], group["weight_decay"]) == (1e-3, 0)
    assert {id(value) for value in group["params"]} == {id(value) for value in auxiliary.parameters()}
    assert min(group["lr"] for group in optimizer.param_groups) < 1e-3


def test_a_run_with_an_auxiliary_loss(compose: Compose, weights: Path) -> None:
    common = (
        "model.backbone=test_resnet",
        f"model.weights={weights}",
        "logger=none",
        "optim.lr=1e-3",
        "trainer.max_epochs=1",
    )
    plain, tuned = compose(*common), compose(*common, "model.cotuning=1")
    results = [train(settings) for settings in (plain, tuned)]
    assert results[0].min_val_loss != results[1].min_val_loss
    assert results[0].parameters == results[1].parameters, "the auxiliary classifier is no part of the network"
    folder = run_directory(tuned)
    names = {file: torch.load(folder / file, weights_only=True)["state_dict"].keys() for file in (BEST, LAST)}
    assert not [name for name in names[BEST] if name.startswith("auxiliary.")]
    assert {name for name in names[LAST] if name.startswith("auxiliary.")} == {
        "auxiliary.relation", "auxiliary.classifier.weight", "auxiliary.classifier.bias",
    }  # fmt: skip
    assert open_run(folder).evaluate().metrics["loss"] == pytest.approx(results[1].min_val_loss, rel=1e-5)


def test_without_an_auxiliary_loss_the_network_is_asked_as_ever() -> None:
    network = timm.create_model("test_resnet", num_classes=3)
    assert Classifier(network, ("a", "b", "c")).auxiliary is None


def test_weights_without_a_classifier_are_said(compose: Compose, capsys: pytest.CaptureFixture[str]) -> None:
    settings = compose(
        "model.backbone=test_resnet",
        "model.pretrained=false",
        "model.cotuning=1",
        "logger=none",
        "trainer.max_epochs=1",
    )
    train(settings)
    assert "no Co-Tuning" in capsys.readouterr().err
    with pytest.raises(UserError, match=r"needs model\.cotuning=0"):
        compose("freeze=pt0", "freeze.features=cached", "model.cotuning=1")


def test_with_co_tuning_the_network_is_compiled_too(
    compose: Compose, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not called as a whole in training: its part is compiled by itself."""
    calls: list[int] = []

    def compiled(part: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[torch.Tensor], torch.Tensor]:
        return lambda images: calls.append(len(images)) or part(images)  # type: ignore[func-returns-value]

    monkeypatch.setattr(torch, "compile", compiled)
    monkeypatch.setattr(nn.Module, "compile", lambda network: None)
    common = "model.backbone=test_resnet", f"model.weights={weights}", "logger=none", "trainer.max_epochs=1"
    train(compose(*common, "model.cotuning=1", "model.compile=true", "data.subset=64", "balance=none"))
    assert sum(calls) >= 64
