"""smoke=true: toy runs that never pass for others."""

from pathlib import Path

import pytest

from kenyan13.config.compose import compose_settings
from kenyan13.config.settings import Layout
from kenyan13.runs.locate import run_directory


def test_a_toy_run_is_kept_apart_and_labelled() -> None:
    settings = compose_settings(["experiment=CBC", "smoke=true"])
    assert run_directory(settings) == Path("runs/smoke/CBC_EfficientNetB4_PT5-smoke")
    assert settings.experiment is None
    assert (settings.data.layout, settings.data.root) == (Layout.demo, "data/demo")
    found = settings.model
    assert (found.backbone, found.pretrained, found.crop, found.batch_size) == ("test_efficientnet", False, 32, 32)
    assert (settings.trainer["max_epochs"], settings.trainer["accelerator"]) == (2, "cpu")
    assert (settings.freeze["level"], settings.optim["lr"]) == (5, 1e-4)  # what is tried out stays


@pytest.mark.parametrize(
    ("experiment", "backbone"),
    [("GAC", "test_resnet"), ("GBB", "test_resnet"), ("GCA", "test_resnet"), ("GFH", "test_efficientnet"),
     ("GDB", "small_cnn"), ("GEA", "small_cnn"), ("FBA", "small_cnn")],
)  # fmt: skip
def test_each_family_has_its_miniature(experiment: str, backbone: str) -> None:
    assert compose_settings([f"experiment={experiment}", "smoke=true"]).model.backbone == backbone


def test_a_changed_toy_run_has_another_name() -> None:
    names = {
        run_directory(compose_settings(["experiment=CBC", "smoke=true", *more])).name
        for more in ([], ["seed=1"], ["seed=2"], ["data=demo", "data.root=elsewhere"], ["data.root=elsewhere"])
    }
    assert len(names) == 3, "neither place nor kind of the images matter to a toy run's name"
    assert all(name.startswith("CBC_EfficientNetB4_PT5-") and name.endswith("-smoke") for name in names)


def test_the_demos_place_is_kept_and_other_data_left() -> None:
    assert compose_settings(["data=demo", "data.root=drawings", "smoke=true"]).data.root == "drawings"
    assert compose_settings(["data.root=photographs", "smoke=true"]).data.root == "data/demo"


def test_a_toy_run_has_one_device() -> None:
    assert compose_settings(["trainer=ddp", "smoke=true"]).trainer["devices"] == 1


def test_shorter_runs_stay_shorter() -> None:
    assert compose_settings(["trainer.max_epochs=1", "smoke=true"]).trainer["max_epochs"] == 1
