"""recipe=: what each chooses, which epoch is kept, and how probabilities are made."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import timm
import torch

from kenyan13.config.arguments import translate
from kenyan13.config.settings import Keep, Settings
from kenyan13.data.augmentation import normalise
from kenyan13.data.images import centre_crop, centre_views
from kenyan13.errors import UserError
from kenyan13.metrics.classification import reliability, scale, scale_by_others
from kenyan13.metrics.losses import kept
from kenyan13.model.backbones import normalisation
from kenyan13.model.linear import pooled_features
from kenyan13.runs.directory import BEST
from kenyan13.runs.locate import run_directory
from kenyan13.runs.predictions import probabilities_of, read_predictions, scores, targets_of
from kenyan13.runs.run import read_run
from kenyan13.training.features import plain_features
from kenyan13.training.inference import open_run, read_data
from kenyan13.training.run import epochs_of, train

Compose = Callable[..., Settings]
NETWORK = ("model.backbone=test_resnet", "model.pretrained=false", "logger=none")


def test_images_of_ones_own_get_the_modern_recipe() -> None:
    own = ["data=folder", "data.root=birds"]
    assert translate(own) == [*own, "recipe=modern"]
    for chosen in ("recipe=study", "recipe=quick", "experiment=CBC", "debug=smoke"):
        assert translate([*own, chosen]) == [*own, chosen]
    assert translate(["data=demo"]) == ["data=demo"]


def test_settings_on_the_command_line_are_stronger_than_the_recipe(compose: Compose) -> None:
    settings = compose(
        "data=folder", "data.root=birds", "optim=sgd", "optim.lr=0.5", "predict.mirror=false", "head=random"
    )
    assert (settings.optim["_target_"], settings.optim["lr"]) == ("torch.optim.SGD", 0.5)
    assert (settings.predict.mirror, settings.predict.temperature, settings.head) == (False, True, {})


@pytest.mark.parametrize(("images", "epochs"), [(5, 100), (125, 80), (628, 16), (1000, 10), (5228, 8)])
def test_epochs_follow_the_number_of_images(compose: Compose, images: int, epochs: int) -> None:
    assert epochs_of(compose("trainer.max_epochs=auto"), images) == epochs
    assert epochs_of(compose("trainer.max_epochs=3"), images) == 3


def test_auto_epochs_stay_auto_in_the_settings(compose: Compose) -> None:
    settings = compose(*NETWORK, "trainer.max_epochs=auto", "schedule=cosine_steps", "trainer.limit_train_batches=1")
    assert settings.trainer["max_epochs"] == "auto"
    result = train(settings)
    assert result.epochs == epochs_of(settings, 104) == 96
    run = read_run(run_directory(settings))
    assert run.setting("trainer.max_epochs") == "auto"
    assert run.metrics is not None
    assert run.metrics["lr"].iloc[-1] < 0.01 * run.metrics["lr"].max(), "the schedule knows the number of epochs"
    assert train(settings) == result, "it is found again"


def test_max_epochs_is_a_number_or_auto(compose: Compose) -> None:
    with pytest.raises(UserError, match="max_epochs=many is no number"):
        compose("trainer.max_epochs=many")


@pytest.mark.parametrize("keep", list(Keep))
def test_the_epoch_that_is_kept(compose: Compose, keep: Keep) -> None:
    settings = compose(*NETWORK, f"keep={keep.name}", "trainer.max_epochs=4", "optim.lr=3e-3", "schedule=constant")
    result, folder = train(settings), run_directory(settings)
    metrics = pd.read_csv(folder / "metrics.csv")
    column = {"loss": -metrics["val_loss"], "last": metrics["epoch"]}.get(keep.name)
    best = int((metrics[f"val_{keep.name}"] if column is None else column).argmax())
    assert result.best_epoch == metrics["epoch"][best]
    assert result.accuracy == metrics["val_accuracy"][best]
    assert result.min_val_loss == metrics["val_loss"][best]
    found = open_run(folder).evaluate().metrics
    assert found["accuracy"] == pytest.approx(result.accuracy), "best.ckpt holds that epoch's weights"


@pytest.mark.parametrize(
    ("first", "accuracies", "losses", "expected"),
    [
        (1, [0.5, 0.7, 0.6], [1.0, 0.8, 0.9], 2),  # without epoch 0, simply the last
        (0, [0.5, 0.7, 0.6], [1.0, 0.8, 0.9], 2),
        (0, [0.6, 0.7, 0.5], [1.0, 0.8, 0.9], 1),
        (0, [0.6, 0.5, 0.6], [1.0, 0.8, 0.9], 2),  # as accurate, with a lower loss
        (0, [0.6, 0.5, 0.6], [0.9, 0.8, 0.9], 0),
    ],
)
def test_the_last_epoch_that_is_better_than_the_head_before_training(
    first: int, accuracies: list[float], losses: list[float], expected: int
) -> None:
    epochs = pd.DataFrame({"epoch": np.arange(3) + first, "val_accuracy": accuracies, "val_loss": losses})
    assert kept(epochs, "last") == expected


def test_probabilities_of_views_and_mirror_images_and_their_temperature(compose: Compose) -> None:
    settings = compose(*NETWORK, "recipe=modern", "trainer.max_epochs=1", "optim.lr=1e-4", "name=modern")
    result, folder = train(settings), run_directory(settings)
    assert result.temperature != 1
    opened = open_run(folder)
    data = read_data(settings)
    data.decode()
    batch = next(iter(data.val_dataloader()))
    images = data.on_after_batch_transfer(batch, 0).images.contiguous()
    assert len(images) == 3 * len(batch.targets)
    crops = torch.from_numpy(centre_crop(data.validation.store[data.validation.store_rows[0]], data.crop).copy())
    colours = normalisation(settings.model)
    torch.testing.assert_close(
        images[0].permute(1, 2, 0), (crops / 255 - torch.tensor(colours.mean)) / torch.tensor(colours.std)
    )
    with torch.inference_mode():
        logits = (opened.network.eval()(images) + opened.network(images.flip(3))) / 2
    views = [logits[start::3] for start in range(3)]
    logits = torch.stack(views).mean(dim=0)
    saved = probabilities_of(read_predictions(folder))[: len(batch.targets)]
    assert saved == pytest.approx(logits.softmax(dim=1).numpy(), abs=1e-5), "in validation, without a temperature"
    paths = [data.validation.catalogue.paths[row] for row in range(3)]
    assert opened.predict(paths)[0] == pytest.approx(scale(saved[:3], result.temperature), abs=1e-4)
    plain = open_run(folder, ["predict.temperature=false"])
    assert plain.predict(paths)[0] == pytest.approx(saved[:3], abs=1e-4)
    for without in ("predict.mirror=false", "predict.views=[]"):
        fewer = open_run(folder, [without, "predict.temperature=false"]).predict(paths)[0]
        assert np.abs(fewer - saved[:3]).max() > 1e-4


def test_the_linear_head_is_fitted_to_the_mean_features_of_all_views(compose: Compose) -> None:
    settings = compose(*NETWORK, "recipe=quick", "model.pretrained=false")
    data = read_data(settings)
    data.decode()
    network = timm.create_model("test_efficientnet", num_classes=13).eval()
    features = plain_features(data, network)
    network.eval()
    stored = [data.train.store[row] for row in data.train.store_rows[:5]]
    views = [normalise(torch.from_numpy(centre_views(one, data.crop, [1, 0.7])), data.mean, data.std) for one in stored]
    with torch.inference_mode():
        by_hand = [pooled_features(network, torch.cat([one, one.flip(3)])) for one in views]
    np.testing.assert_allclose(features[:5], torch.stack([one.mean(dim=0) for one in by_hand]), atol=1e-5)


def test_folds_share_the_features_of_a_backbone(compose: Compose, tmp_path: Path) -> None:
    common = (*NETWORK, "recipe=quick", f"data.cache={tmp_path}/images")
    for fold in (0, 1):
        train(compose(*common, "data.folds=3", f"data.fold={fold}"))
    assert len(list((tmp_path / "features").glob("*.npz"))) == 1
    other = train(compose(*common, "data.folds=3", "data.fold=0", "seed=3", "data.split_seed=42", "head.folds=3"))
    assert other.accuracy > 0.1
    assert len(list((tmp_path / "features").glob("*.npz"))) == 2, "another seed has other random weights"
    assert (run_directory(compose(*common, "data.folds=3", "data.fold=1")) / BEST).is_file()


def test_evaluate_tells_what_mirror_image_and_temperature_bring(
    compose: Compose, kenyan13: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    settings = compose(*NETWORK, "recipe=modern", "trainer.max_epochs=1", "optim.lr=1e-4", "name=modern")
    train(settings)
    folder = run_directory(settings)
    found = kenyan13("evaluate", str(folder), "trainer.accelerator=cpu")
    assert found.returncode == 0
    lines = {line[:20].strip(): line[20:].split() for line in found.stdout.splitlines()}
    table = read_predictions(folder)
    assert lines["and other views, mir"][1:4:2] == [
        f"{100 * scores(table)['accuracy']:.2f}",
        f"{scores(table)['loss']:.4f}",
    ]
    scaled = scale_by_others(probabilities_of(table), targets_of(table))
    assert lines["and temperature"][3] == f"{reliability(targets_of(table), scaled.astype(np.float64)).error:.3f}"
    assert "predicts new images with: other views, mirror image, temperature" in found.stdout
    plain = kenyan13("evaluate", str(folder), "predict.views=[]", "trainer.accelerator=cpu")
    assert "\nand mirror image " in plain.stdout
