"""debug=smoke: small runs that never pass for others."""

from pathlib import Path

from kenyan13.config.compose import compose_settings
from kenyan13.config.settings import Layout
from kenyan13.runs.locate import run_directory


def test_a_smoke_run_is_small_and_kept_apart() -> None:
    settings = compose_settings(["experiment=CBC", "trainer=ddp", "debug=smoke"])
    folder = run_directory(settings)
    assert folder.parent == Path("runs/smoke")
    assert folder.name.startswith("CBC_EfficientNetB4_PT5-")
    assert settings.experiment is None
    assert (settings.data.layout, settings.data.root) == (Layout.demo, "data/demo")
    found = settings.model
    assert (found.backbone, found.pretrained, found.crop, found.batch_size) == ("test_efficientnet", False, 32, 32)
    trainer = settings.trainer
    assert (trainer["max_epochs"], trainer["accelerator"], trainer["devices"]) == (2, "cpu", 1)
    assert (settings.freeze["level"], settings.optim["lr"]) == (5, 1e-4)  # what is tried out stays


def test_what_is_given_on_the_command_line_wins() -> None:
    given = ["data.root=drawings", "trainer.max_epochs=1", "runs=elsewhere"]
    settings = compose_settings(["experiment=ABA", "debug=smoke", *given])
    assert (settings.data.root, settings.trainer["max_epochs"], settings.runs) == ("drawings", 1, "elsewhere")
    other = compose_settings(["experiment=ABA", "debug=smoke", *given, "seed=1"])
    assert run_directory(other) != run_directory(settings)
