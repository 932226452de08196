"""The estimate of a sweep's time."""

from pathlib import Path

import numpy as np
import pytest

from kenyan13.config.compose import compose_settings
from kenyan13.data.catalogue import Catalogue
from kenyan13.training import display
from kenyan13.training.estimate import VALIDATION, Estimate, multiplications, work


@pytest.mark.parametrize(
    ("model", "published"),  # 10^9 multiplications: torchvision's tables of weights; EfficientNet's paper, table 2
    [("resnet18", 1.81), ("resnet50", 4.09), ("vgg16_bn", 15.47), ("densenet121", 2.83), ("efficientnet_b4", 4.2)],
)
def test_multiplications_are_the_published_ones(model: str, published: float) -> None:
    settings = compose_settings([f"model={model}"])
    assert multiplications(settings.model) / 1e9 == pytest.approx(published, rel=0.05)


LABELS = Catalogue(("",) * 100, (Path(),) * 100, np.arange(100) % 10, tuple("abcdefghij"))


def test_work_grows_with_epochs_layers_and_images() -> None:
    head, twice, whole, subset, stage = (
        work(compose_settings(["model=resnet18", *words]), LABELS)
        for words in (
            ["freeze=pt0", "trainer.max_epochs=10"],
            ["freeze=pt0", "trainer.max_epochs=20"],
            ["freeze=pt5", "trainer.max_epochs=10"],
            ["freeze=pt0", "trainer.max_epochs=10", "data.subset=20"],
            ["freeze=pt0", "trainer.max_epochs=10", "data.groups={x:[a,b,c]}", "data.stage=x"],
        )
    )
    assert twice == 2 * head
    assert whole / head == pytest.approx((3 + VALIDATION) / (1 + VALIDATION))
    assert subset / head == pytest.approx(20 / 80)
    assert stage / head == pytest.approx(3 / 10)


def test_time_of_the_runs_from_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """An epoch takes 60 s with all layers, 65 s with validation; 8 of 10 epochs are left, and one more run."""
    one = compose_settings(["model=resnet18", "freeze=pt5", "trainer.max_epochs=10"])
    said: list[str] = []
    monkeypatch.setattr(display.console, "print", said.append)
    Estimate(one, [one]).say(60, 2, LABELS)
    assert said[0].startswith("about 19 min 30 s for the 2 runs from here")  # 65 s x (8 + 10)
