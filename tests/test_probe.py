"""`kenyan13 probe` as a user types it: backbones ranked by linear classifiers on their features."""

from math import log
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import log_loss
from test_commands import TINY, Command, assert_one_screen

from kenyan13.cli.app import score_cells
from kenyan13.cli.models import chosen_model
from kenyan13.runs.predictions import prediction_table, probabilities_of, read_predictions, targets_of


def test_backbones_are_ranked_out_of_fold(kenyan13: Command, demo_root: Path, cache: Path, tmp_path: Path) -> None:
    settings = ["model.pretrained=false", f"data.root={demo_root}", f"data.cache={cache}", f"runs={tmp_path}"]
    tiny = [word for word in TINY if not word.startswith(("model=", "trainer.max_epochs="))]
    done = kenyan13("probe", "test_resnet", "test_efficientnet", "test_resnet", *tiny, *settings)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    table = lines[lines.index(next(line for line in lines if line.startswith("model"))) + 1 :][:3]
    folders = {name: next(tmp_path.glob(f"{name}_*")) for name in ("test_resnet", "test_efficientnet")}
    losses = {}
    for name, folder in folders.items():
        predictions = read_predictions(folder, "predictions_out_of_fold.csv")
        assert len(predictions) == 104
        losses[name] = log_loss(targets_of(predictions), probabilities_of(predictions))
        (row,) = [line.split() for line in table if line.startswith(f"{name} ")]
        assert row[3] == f"{losses[name]:.4f}"
    assert [float(line.split()[-3 if "mean" not in line else -1]) for line in table if line] == sorted(
        float(line.split()[-3 if "mean" not in line else -1]) for line in table
    )
    assert any(line.startswith("mean of all") for line in table)
    assert max(map(len, (line for line in lines if str(tmp_path) not in line))) <= 80
    assert kenyan13("evaluate", str(folders["test_resnet"])).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "part"),
    [(["data=demo"], "There is no model to probe"), (["resnett18"], "Did you mean 'resnet18'")],
)
def test_mistakes_are_said_on_one_screen(kenyan13: Command, arguments: list[str], part: str) -> None:
    assert_one_screen(kenyan13("probe", *arguments), part)


def test_images_of_no_class_do_not_count() -> None:
    """As in the validation images of one stage of a two-stage classifier."""
    table = prediction_table("abc", ("x", "y"), np.array([[0.9, 0.1], [0.4, 0.6], [0.5, 0.5]]), np.array([0, 1, -1]))
    assert score_cells(table) == ["100.00", "34.2-100.0", f"{-(log(0.9) + log(0.6)) / 2:.4f}"]


@pytest.mark.parametrize(
    ("name", "setting"),
    [
        ("resnet18", "model=resnet18"),
        ("tf_efficientnet_lite2", "model=efficientnet_lite2"),  # whose crop is not the default's
        ("regnety_008", "model.backbone=regnety_008"),
    ],
)
def test_names_of_timm_find_their_presets(name: str, setting: str) -> None:
    assert chosen_model(name) == setting
