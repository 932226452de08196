"""freeze.features=cached: the same training as plain pt0, without running the backbone in each epoch."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from kenyan13.config.settings import Settings
from kenyan13.data.batches import FeatureDataset
from kenyan13.data.sampling import Draw
from kenyan13.errors import UserError
from kenyan13.model.backbones import create
from kenyan13.runs.locate import run_directory
from kenyan13.training import features
from kenyan13.training.features import cached_features, split_network
from kenyan13.training.inference import open_data, open_run
from kenyan13.training.run import train

Compose = Callable[..., Settings]
CACHED = ["freeze=pt0", "freeze.features=cached"]


@pytest.fixture
def compose_here(compose: Compose, tmp_path: Path) -> Compose:
    """As `compose`, with a cache of its own."""
    return lambda *overrides: compose(f"data.cache={tmp_path}/cache/images", *overrides)


@pytest.mark.parametrize("name", ["test_resnet", "test_efficientnet", "test_convnext", "vgg11", "densenet121"])
def test_body_and_head_make_the_network(name: str, compose: Compose) -> None:
    settings = compose(f"model.backbone={name}", "model.pretrained=false")
    network = create(settings.model, ("a", "b", "c")).eval()
    body, head = split_network(network)
    images = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(head(body(images)), network(images))
    if name in ("test_resnet", "test_efficientnet", "densenet121"):
        assert body(images).ndim == 2, "pooled"


@pytest.mark.parametrize(
    "name", ["test_vit", *(pytest.param(name, marks=pytest.mark.slow) for name in ("test_resnet", "test_efficientnet"))]
)
def test_without_augmentation_losses_are_those_of_plain_pt0(name: str, compose_here: Compose) -> None:
    common = [f"model.backbone={name}", "model.pretrained=false", "augment=none", "optim.lr=1e-2", "model.crop=64"]
    common += ["trainer.max_epochs=4", "freeze=pt0"]
    plain, cached = compose_here(*common, "name=plain"), compose_here(*common, *CACHED, "name=cached")
    train(plain)
    train(cached)
    one, two = (pd.read_csv(run_directory(settings) / "metrics.csv") for settings in (plain, cached))
    for column in ("train_loss", "val_loss"):
        np.testing.assert_allclose(one[column], two[column], rtol=0, atol=1e-4)
    assert one["train_loss"].nunique() == 4, "it trains"


def test_the_cached_runs_checkpoint_is_the_whole_network(
    compose_here: Compose, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = compose_here("model.backbone=test_resnet", "model.pretrained=false", *CACHED, "freeze.views=3")
    result = train(settings)
    assert "computed once, of 3 views of each image" in capsys.readouterr().out
    metrics = open_run(run_directory(settings)).evaluate().metrics
    assert metrics["loss"] == pytest.approx(result.min_val_loss, abs=1e-4)


def test_features_are_computed_once_for_all_runs(compose_here: Compose, monkeypatch: pytest.MonkeyPatch) -> None:
    computed: list[int] = []
    compute = features.compute

    def counting(*arguments: object) -> torch.Tensor:
        computed.append(1)
        return compute(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(features, "compute", counting)
    weights = ["model.backbone=test_resnet", "model.pretrained=false", "trainer.max_epochs=1"]
    train(compose_here(*weights, *CACHED, "optim.lr=1e-2"))
    train(compose_here(*weights, *CACHED, "optim.lr=1e-3"))
    assert len(computed) == 2, "training and validation images, once"
    train(compose_here(*weights, *CACHED, "seed=7"))
    assert len(computed) == 4, "another seed makes another split and other weights"
    train(compose_here(*weights, *CACHED, "freeze.views=2"))
    assert len(computed) == 6
    train(compose_here(*weights, *CACHED, "data.store=jpeg"))
    assert len(computed) == 8, "JPEG changes the pixels"
    train(compose_here(*weights, *CACHED, "data.store=off", "name=off"))
    assert len(computed) == 8, "the same pixels as those that are kept"


def test_views_are_augmented_and_each_epoch_draws_from_them(compose_here: Compose) -> None:
    settings = compose_here("model.backbone=test_resnet", "model.pretrained=false", *CACHED, "freeze.views=3")
    data = open_data(settings)
    made = cached_features(data, create(settings.model, data.classes))
    assert made.train.shape[:2] == (104, 3)
    assert made.validation.shape[:2] == (26, 1)
    spread = made.train.std(dim=1).mean()
    assert spread > 1e-3, "the views differ"
    dataset = FeatureDataset(made.train, data.train.catalogue.targets, seed=1)
    draws = [[Draw(5, epoch, position) for position in range(104)] for epoch in range(2)]
    first, second = (dataset.__getitems__(one).images for one in draws)
    assert len(np.unique(first.numpy(), axis=0)) == 3, "all three views of an image come"
    assert not torch.equal(first, second)
    assert torch.equal(first, dataset.__getitems__(draws[0]).images), "decided by seed and epoch alone"


@pytest.mark.parametrize(
    ("overrides", "part"),
    [
        (["freeze=pt2"], "needs freeze=pt0"),
        (["freeze=gradual"], "needs freeze=pt0"),
        (["freeze=pt0", "freeze.frozen_bn=train"], "needs freeze.frozen_bn=eval"),
        (["freeze=pt0", "trainer.devices=2"], "needs trainer.devices=1"),
        (["freeze=pt0", "predict.views=[1]"], "needs predict.views=[]"),
    ],
)
def test_what_cannot_be_cached_is_refused(overrides: list[str], part: str, compose: Compose) -> None:
    with pytest.raises(UserError, match=re.escape(part)):
        compose(*overrides, "freeze.features=cached")


def test_a_backbone_with_dropout_is_refused(compose_here: Compose) -> None:
    with pytest.raises(UserError, match="SmallCNN has dropout in it"):
        train(compose_here(*CACHED))
