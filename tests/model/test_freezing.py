"""Freezing: that what is frozen stands still, and what is unfrozen trains from its epoch on."""

from typing import Any

import pytest
import timm
import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.data import DataLoader

from kenyan13.config import targets
from kenyan13.config.compose import compose_settings
from kenyan13.config.settings import ModelSettings
from kenyan13.data.batches import Batch
from kenyan13.errors import UserError
from kenyan13.model.backbones import build
from kenyan13.model.classifier import Classifier
from kenyan13.model.freezing import Freeze, parameter_levels


def test_levels_of_epochs() -> None:
    freeze: Freeze = targets.build("freeze", compose_settings(["freeze=gradual"]).freeze)
    assert [freeze.level_at(epoch) for epoch in range(7)] == [0, 0, 2, 2, 5, 5, 5]
    assert [Freeze(3).level_at(epoch) for epoch in (0, 9)] == [3, 3]


class Recorder(Callback):
    """Copies the network's state before and after each epoch, and notes which norms are in training mode."""

    def __init__(self) -> None:
        self.states: list[dict[str, Tensor]] = []
        self.norms: list[dict[str, bool]] = []

    def copy(self, network: nn.Module) -> None:
        self.states.append({name: value.clone() for name, value in network.state_dict().items()})

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.copy(pl_module.network)  # type: ignore[arg-type]

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Batch, batch_idx: int) -> None:
        modules = pl_module.network.named_modules()  # type: ignore[union-attr]
        self.norms.append({name: layer.training for name, layer in modules if isinstance(layer, _BatchNorm)})

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.copy(pl_module.network)  # type: ignore[arg-type]

    def moved(self, epoch: int) -> set[str]:
        """Names of the tensors that the epoch changed."""
        before, after = self.states[epoch : epoch + 2]
        return {name for name in before if not torch.equal(before[name], after[name])}


def train(backbone: str | nn.Module, freeze: Freeze, optim: dict[str, Any], epochs: int) -> tuple[Recorder, nn.Module]:
    """Train on noise, two batches an epoch, with validation after each."""
    torch.manual_seed(3)
    network = backbone
    if isinstance(network, str):
        network = build(ModelSettings(network, crop=32, batch_size=8), 4, pretrained=False)
    batches = [Batch(torch.randn(8, 3, 32, 32), torch.arange(8) % 4, torch.arange(8)) for _ in range(2)]
    loader = DataLoader(batches, batch_size=None)  # type: ignore[var-annotated, arg-type]
    recorder = Recorder()
    trainer = Trainer(
        max_epochs=epochs, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0, callbacks=[freeze, recorder],
    )  # fmt: skip
    trainer.fit(Classifier(network, tuple("abcd"), optim=optim), loader, loader)
    return recorder, network


def adam() -> dict[str, Any]:
    return compose_settings(["optim=adam", "optim.lr=0.01", "optim.weight_decay=0.1"]).optim


@pytest.mark.parametrize("backbone", ["test_resnet", "test_efficientnet", "small_cnn"])
@pytest.mark.parametrize("level", [0, 2, 4])
@pytest.mark.parametrize("frozen_bn", ["eval", "train"])
def test_what_is_frozen_stands_still(backbone: str, level: int, frozen_bn: str) -> None:
    recorder, network = train(backbone, Freeze(level, frozen_bn=frozen_bn), adam(), epochs=2)
    levels = parameter_levels(network)
    trained = {name for name in levels if levels[name] <= level}
    norms = {name: levels[f"{name}.weight"] <= level for name in recorder.norms[0]}
    assert set(norms.values()) == ({True, False} if level else {False})
    moving = {name for name in norms if norms[name] or frozen_bn == "train"}
    statistics = {f"{n}.{b}" for n in moving for b in ("running_mean", "running_var", "num_batches_tracked")}
    for epoch in range(2):
        assert recorder.moved(epoch) == trained | statistics
    # of the second epoch too, before which validation has put all layers into evaluation mode
    assert recorder.norms == [{name: name in moving for name in norms}] * 4


@pytest.mark.parametrize("backbone", ["test_resnet", "test_efficientnet"])
def test_all_batch_norms_may_keep_their_statistics(backbone: str) -> None:
    """Those of a network that has seen images; one from scratch has none, and moves them."""
    scratch, _ = train(backbone, Freeze(5, frozen_bn="all"), adam(), epochs=2)
    assert all(all(norms.values()) for norms in scratch.norms)
    network = timm.create_model(backbone, num_classes=4)
    for _ in range(3):
        network(torch.rand(8, 3, 64, 64))
    seen, network = train(network, Freeze(5, frozen_bn="all"), adam(), epochs=2)
    assert not any(any(norms.values()) for norms in seen.norms)
    for epoch in range(2):
        assert seen.moved(epoch) == parameter_levels(network).keys(), "weights and biases of norms move"


@pytest.mark.parametrize(
    "optim",
    [
        adam(),
        {**adam(), "_target_": "torch.optim.AdamW"},
        {"_target_": "torch.optim.SGD", "lr": 0.01, "weight_decay": 0.1, "momentum": 0.9},
    ],
    ids=["adam", "adamw", "sgd"],
)
def test_levels_are_unfrozen_at_their_epochs(optim: dict[str, Any]) -> None:
    recorder, network = train("test_resnet", Freeze(0, [[1, 2], [3, 5]]), optim, epochs=4)
    levels = parameter_levels(network)
    for epoch, level in enumerate([0, 2, 2, 5]):
        assert recorder.moved(epoch) & levels.keys() == {name for name in levels if levels[name] <= level}
        norms = {name.rpartition(".")[0] for name in recorder.moved(epoch) - levels.keys()}
        assert norms == {name for name in recorder.norms[0] if levels[f"{name}.weight"] <= level}


def test_what_will_train_requires_gradients_from_the_start() -> None:
    network = timm.create_model("test_resnet", num_classes=4)
    classifier = Classifier(network, tuple("abcd"), optim=adam())
    Freeze(0, [[1, 2], [3, 4]]).setup(Trainer(max_epochs=4, logger=False), classifier, "fit")
    levels = parameter_levels(network)
    trainable = {name for name, parameter in network.named_parameters() if parameter.requires_grad}
    assert trainable == {name for name in levels if levels[name] <= 4}


def test_the_frozen_part_runs_without_autograd() -> None:
    """No layer before the first that trains records what a backward pass would need."""
    network = timm.create_model("test_resnet", num_classes=2)
    Freeze(1).apply(network, 1)
    recorded: dict[str, bool] = {}
    for name in ("conv1", "layer1", "layer2", "layer3", "layer4", "fc"):
        network.get_submodule(name).register_forward_hook(
            lambda layer, inputs, out, name=name: recorded.update({name: out.requires_grad})
        )
    network(torch.randn(2, 3, 32, 32))
    assert recorded == {"conv1": False, "layer1": False, "layer2": False, "layer3": False, "layer4": True, "fc": True}


@pytest.mark.parametrize("unfreeze", [[[3, 5]], [[3, 2], [2, 4]], [[0, 2]], [[1]], [[1, 6]]])
def test_impossible_plans_are_refused(unfreeze: list[list[int]]) -> None:
    with pytest.raises(UserError, match=r"no rising list of \[epoch, level\]"):
        Freeze(5 if unfreeze == [[3, 5]] else 0, unfreeze)
