"""Weights and networks that cannot be used: refused before any image is decoded, with what to do."""

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from damages import DAMAGES

from kenyan13.config.compose import compose_settings
from kenyan13.config.settings import Settings
from kenyan13.errors import UserError
from kenyan13.model.backbones import check_model, create
from kenyan13.training.features import check_features
from kenyan13.training.run import train


def weights(folder: Path, kind: str) -> tuple[Path, str]:
    """Write a weights file that cannot be used, or can in spite of its look; return it and what is said."""
    network = timm.create_model("test_resnet", num_classes=2)
    state, file = network.state_dict(), folder / "weights.pth"
    if kind == "nan":
        state["conv1.0.weight" if "conv1.0.weight" in state else "conv1.weight"].flatten()[3] = torch.nan
        torch.save(state, file)
        return file, "has values that are no numbers"
    if kind == "malicious":
        file.write_bytes(pickle.dumps(Malicious(folder / "ran")))
        return file, "is damaged, or holds no weights"
    if kind == "malicious.ckpt":
        torch.save({"state_dict": state, "more": Malicious(folder / "ran")}, folder / "weights.ckpt")
        return folder / "weights.ckpt", "is damaged, or holds no weights"
    if kind == "missing":
        return file, "There is no weights file"
    if kind == "other":
        torch.save(timm.create_model("test_vit").state_dict(), file)
        return file, "holds weights of another network"
    torch.save(state, file)
    DAMAGES[kind](file)
    return file, "is damaged, or holds no weights"


class Malicious:
    """A pickle that would make a file when it is read."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.file),)


@pytest.mark.parametrize("kind", ["nan", "malicious", "malicious.ckpt", "missing", "other", "torn", "empty", "garbage"])
def test_weights_are_looked_at_before_images_are_decoded(
    settings: Callable[..., Settings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr("kenyan13.data.datamodule.Store", lambda *_: pytest.fail("images were decoded"))
    file, told = weights(tmp_path, kind)
    chosen = settings("model.backbone=test_resnet", f"model.weights={file}", f"runs={tmp_path}/runs")
    with pytest.raises(UserError, match=told) as caught:
        train(chosen)
    assert str(file) in str(caught.value)
    assert "  -> " in str(caught.value)
    assert not (tmp_path / "ran").exists(), "nothing in it is run"
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("prefix", ["model.", "net.", "network.", "module.model.", "_orig_mod.", "model._orig_mod."])
@pytest.mark.parametrize("suffix", [".ckpt", ".pth"])
def test_the_prefix_of_anothers_lightning_checkpoint_is_taken_off(tmp_path: Path, prefix: str, suffix: str) -> None:
    source = timm.create_model("test_resnet", num_classes=7)
    state = {f"{prefix}{name}": value for name, value in source.state_dict().items()}
    loss = {"loss.weight": torch.ones(7)} if suffix == ".ckpt" else {}
    torch.save({"state_dict": {**state, **loss}, "epoch": 3}, tmp_path / f"w{suffix}")
    chosen = compose_settings(["model.backbone=test_resnet", f"model.weights={tmp_path}/w{suffix}"]).model
    loaded = create(chosen, ("a", "b")).state_dict()
    body = [name for name in loaded if not name.startswith("fc.")]
    assert body
    assert all(torch.equal(loaded[name], source.state_dict()[name]) for name in body)


@pytest.mark.parametrize("crop", [96, 128])
def test_position_embeddings_of_another_size_are_resampled(tmp_path: Path, crop: int) -> None:
    torch.save(timm.create_model("test_vit", num_classes=7, img_size=160).state_dict(), tmp_path / "w.pth")
    chosen = compose_settings(["model.backbone=test_vit", f"model.crop={crop}", f"model.weights={tmp_path}/w.pth"])
    assert create(chosen.model, ("a", "b"))(torch.zeros(1, 3, crop, crop)).shape == (1, 2)


@pytest.mark.parametrize("name", ["timm/test_resnet", "hf_hub:timm/test_resnet", "hf-hub:timm/test_resnet"])
def test_the_hubs_prefix_is_taken_off(name: str) -> None:
    assert compose_settings([f"model.backbone={name}"]).model.backbone == "test_resnet"


def test_an_encoder_without_classifier_is_refused() -> None:
    name = "qwen3_vit_88m_enc"
    if name not in timm.list_models():
        pytest.skip("this timm has none")
    with pytest.raises(UserError, match="has no head to classify with"):
        check_model(compose_settings([f"model.backbone={name}", "model.pretrained=false"]).model)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (
            ["model.backbone=crossvit_9_240", "model.crop=240", "freeze.features=cached"],
            "is made of parts side by side",
        ),
        (["model.backbone=deit_tiny_distilled_patch16_224", "head=linear"], "ends in no linear layer"),
        (["model=small_cnn", "freeze.features=cached"], "has dropout in it"),
    ],
)
def test_what_cannot_be_cached_is_refused_before_images_are_decoded(more: list[str], told: str) -> None:
    chosen = compose_settings(["model.pretrained=false", "freeze=pt0", *more])
    with pytest.raises(UserError, match=told):
        check_features(chosen, create(chosen.model, ("a", "b")))


@pytest.mark.parametrize(("more", "told"), [(["freeze=pt0"], True), (["freeze=pt2"], True), ([], False)])
def test_frozen_norms_from_scratch_are_told(
    settings: Callable[..., Settings], tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], told: bool
) -> None:
    network = ["model.backbone=test_resnet", "model.pretrained=false", "trainer.max_epochs=1"]
    train(settings(f"runs={tmp_path}", *network, *more))
    assert ("From scratch, frozen batch norms never see an image" in capsys.readouterr().err) is told


def test_no_level_is_norms_alone() -> None:
    from kenyan13.model.freezing import parameter_levels

    for name in ("crossvit_9_240", "poolformer_s12", "caformer_s18", "pit_ti_224", "efficientvim_m1"):
        if name in timm.list_models():
            with torch.device("meta"):
                network = timm.create_model(name, num_classes=2)
            levels = parameter_levels(network)
            counted = {levels[key] for key, value in network.named_parameters() if value.ndim > 1}
            assert counted == set(range(6)), name
