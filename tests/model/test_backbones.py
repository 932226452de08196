"""Networks by name: weights from files, what cannot be, and the message where there are no weights."""

import socket
from collections.abc import Sequence
from math import log
from pathlib import Path
from time import perf_counter
from typing import NoReturn

import pytest
import timm
import torch
import torch.nn.functional as F
from huggingface_hub import constants as hub
from safetensors.torch import save_file
from timm.layers.drop import DropPath
from torch import Tensor, nn

from kenyan13.config.compose import compose_settings
from kenyan13.config.settings import ModelSettings
from kenyan13.errors import UserError
from kenyan13.model.backbones import build, create

CLASSES = tuple("abcdefghijklm")


@pytest.fixture(autouse=True)
def looked_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[object]:
    """No name is known, no connection can be made, nothing has been downloaded before; the attempts."""
    attempts: list[object] = []

    def unreachable(*args: object) -> NoReturn:
        attempts.append(args)
        raise OSError("no network in tests")

    monkeypatch.setattr(socket, "getaddrinfo", unreachable)
    monkeypatch.setattr(socket.socket, "connect", unreachable)
    monkeypatch.setattr(hub, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(hub, "HF_HUB_CACHE", str(tmp_path / "hub"))
    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return attempts


def untrained(backbone: str, crop: int = 64, weights: Path | None = None) -> ModelSettings:
    return ModelSettings(backbone, False, str(weights) if weights else None, crop, batch_size=2)


def pretrained(backbone: str) -> ModelSettings:
    return ModelSettings(backbone, crop=64, batch_size=2)


@pytest.mark.parametrize(
    ("backbone", "crop", "fitting"),
    [
        ("vit_small_patch14_reg4_dinov2", 225, "patches of 14 px fit model.crop=238 or model.crop=224"),
        ("vit_small_patch16_dinov3", 12, "patches of 16 px fit model.crop=16"),
        ("swinv2_tiny_window8_256", 226, "patches of 4 px fit model.crop=228 or model.crop=224"),
    ],
)
def test_crops_that_patches_do_not_cover_are_refused(backbone: str, crop: int, fitting: str) -> None:
    with pytest.raises(UserError, match=fitting):
        create(untrained(backbone, crop), CLASSES)


@pytest.mark.parametrize(("backbone", "resampled"), [("test_vit", {"pos_embed"}), ("test_convnext", set())])
def test_weights_of_another_crop_are_taken(backbone: str, resampled: set[str], tmp_path: Path) -> None:
    torch.manual_seed(3)
    there = build(untrained(backbone, 160), 13, pretrained=False).state_dict()
    there |= {name: torch.full_like(value, 0.25) for name, value in there.items() if name == "pos_embed"}
    file = save(tmp_path / "weights.safetensors", there, CLASSES)
    network = create(untrained(backbone, 96, file), CLASSES)
    here = network.state_dict()
    assert {name for name, value in here.items() if not torch.equal(value, there[name])} == resampled
    assert all(torch.allclose(here[name], torch.tensor(0.25)) for name in resampled)  # of a constant, a constant
    assert network(torch.zeros(1, 3, 96, 96)).shape == (1, 13)


@pytest.mark.parametrize(
    ("settings", "problem", "step"),
    [
        (untrained("resnet19"), "timm has no architecture 'resnet19'. Did you mean 'resnet18'?", "'*resne*'"),
        (untrained("tf_efficientnet_b0_ns"), "timm has no architecture 'tf_efficientnet_b0_ns'.", "'*tf_ef*'"),
        (untrained("resnet18.tv_2k"), "timm has no weights 'tv_2k' of resnet18. Did you mean 'tv_in1k'?", "tags: a1"),
        (untrained("resnet18."), "timm has no weights '' of resnet18.", "tags: a1_in1k, "),
        (untrained("small_cnn.tv_in1k"), "timm has no weights 'tv_in1k' of small_cnn.", "model.backbone=small_cnn"),
        (untrained("small_cnn", 16), "small_cnn cannot take images of model.crop=16: ", "model.crop=224"),
        (untrained("vit_base_patch16_224", 8), "vit_base_patch16_224 cannot take images of ", "model.crop=224"),
        (untrained("test_resnet", weights=Path("no.pth")), "There is no weights file no.pth.", "model.weights=FILE"),
        (pretrained("small_cnn"), "There are no ImageNet weights of small_cnn.", "model.weights=FILE"),
        (pretrained("mobilenetv2_035"), "There are no ImageNet weights of mobilenetv2_035.", "model.weights=FILE"),
    ],
)
def test_impossible_networks_are_refused(settings: ModelSettings, problem: str, step: str) -> None:
    with pytest.raises(UserError) as caught:
        create(settings, CLASSES)
    assert caught.value.problem.startswith(problem)
    assert step in caught.value.next_steps[0]


def test_no_network_and_no_cache_is_said_at_once(looked_up: list[object]) -> None:
    start = perf_counter()
    with pytest.raises(UserError, match=r"The ImageNet weights of test_resnet.r160_in1k cannot be had: ") as caught:
        create(pretrained("test_resnet.r160_in1k"), CLASSES)
    assert perf_counter() - start < 2
    ways = [step.split()[0] for step in caught.value.next_steps]
    assert ways == ["connect", "model.weights=FILE", "model.pretrained=false"]
    assert (len(looked_up), hub.HF_HUB_OFFLINE) == (1, False)


def test_weights_in_the_cache_need_no_network(tmp_path: Path) -> None:
    weights = random_weights("test_resnet", 1000)
    kept, commit = tmp_path / "hub" / "models--timm--test_resnet.r160_in1k", "0" * 40
    for file in (kept / "refs" / "main", kept / "snapshots" / commit / "model.safetensors"):
        file.parent.mkdir(parents=True)
        file.write_text(commit)
    save_file(weights, file)
    assert_loaded(create(pretrained("test_resnet.r160_in1k"), CLASSES), weights, ("fc.",))


def random_weights(backbone: str, classes: int) -> dict[str, Tensor]:
    """Weights with nothing at its initial value."""
    state: dict[str, Tensor] = timm.create_model(backbone, num_classes=classes).state_dict()
    return {name: torch.rand_like(value) if value.is_floating_point() else value + 7 for name, value in state.items()}


def save(file: Path, weights: dict[str, Tensor], classes: Sequence[str]) -> Path:
    state = {f"network.{name}": value for name, value in weights.items()} | {"metric.sum": torch.ones(2)}
    if file.suffix == ".safetensors":
        save_file(weights, file)
    else:
        torch.save({"state_dict": state, "classes": list(classes)} if file.suffix == ".ckpt" else weights, file)
    return file


def assert_loaded(network: nn.Module, weights: dict[str, Tensor], fresh: tuple[str, ...]) -> None:
    """Every tensor is the file's, bit by bit, but those of a fresh head."""
    for name, value in network.state_dict().items():
        same = value.shape == weights[name].shape and torch.equal(value, weights[name])
        assert same != name.startswith(fresh), name


@pytest.mark.parametrize(("backbone", "head"), [("test_resnet", "fc."), ("test_efficientnet", "classifier.")])
@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".ckpt"])
@pytest.mark.parametrize("of", [CLASSES, CLASSES[::-1], CLASSES[:5]])
def test_weights_from_a_file(backbone: str, head: str, suffix: str, of: tuple[str, ...], tmp_path: Path) -> None:
    head_kept = of == CLASSES or (of == CLASSES[::-1] and suffix != ".ckpt")  # only a checkpoint names its classes
    weights = random_weights(backbone, len(of))
    file = save(tmp_path / f"weights{suffix}", weights, of)
    assert_loaded(create(untrained(backbone, weights=file), CLASSES), weights, () if head_kept else (head,))


@pytest.mark.parametrize("suffix", [".safetensors", ".ckpt"])
@pytest.mark.parametrize(
    ("of", "change", "words"),
    [
        ("test_resnet", {"neck.weight": 3}, ["Unexpected key(s)", '"neck.weight"']),
        ("test_resnet", {"bn1.bias": 3}, ["size mismatch for bn1.bias"]),
        ("test_resnet", {"bn1.bias": 0, "neck.weight": 3}, ["Missing key(s)", '"bn1.bias"', '"neck.weight"']),
        ("test_efficientnet", {}, ['Missing key(s) in state_dict: "conv1.0.weight", ', " ..."]),
    ],
)
def test_misfits_are_named(suffix: str, of: str, change: dict[str, int], words: list[str], tmp_path: Path) -> None:
    weights = random_weights(of, 13) | {name: torch.ones(width) for name, width in change.items()}
    weights = {name: value for name, value in weights.items() if value.shape != (0,)}
    file = save(tmp_path / f"weights{suffix}", weights, CLASSES)
    with pytest.raises(UserError) as caught:
        create(untrained("test_resnet", weights=file), CLASSES)
    assert caught.value.problem.startswith(f"{file} holds weights of another network. ")
    assert len(caught.value.problem) < 600
    for word in words:
        assert word in caught.value.problem


@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".ckpt"])
@pytest.mark.parametrize("damage", ["empty", "random", "cut", "list"])
def test_corrupt_weights_are_refused(suffix: str, damage: str, tmp_path: Path) -> None:
    file = save(tmp_path / f"weights{suffix}", random_weights("test_resnet", 13), CLASSES)
    contents = {"empty": b"", "random": bytes(range(256)) * 9, "cut": file.read_bytes()[:100_000]}
    torch.save([torch.ones(2)], file)
    if damage in contents:
        file.write_bytes(contents[damage])
    with pytest.raises(UserError, match="is damaged, or holds no weights: "):
        create(untrained("test_resnet", weights=file), CLASSES)


@pytest.mark.parametrize("backbone", ["tf_efficientnet_b0", "mobilenetv2_100", "resnet18"])
def test_first_logits_are_small_and_nothing_is_looked_up(backbone: str, looked_up: list[object]) -> None:
    torch.manual_seed(1)
    network = create(untrained(backbone), CLASSES).train()
    with torch.inference_mode():
        loss = F.cross_entropy(network(torch.randn(26, 3, 64, 64)), torch.arange(26) % 13)
    assert abs(loss.item() - log(13)) < 0.5
    assert looked_up == []


def test_efficientnets_stochastic_depth_grows_in_a_line_as_the_studys() -> None:
    """Block k of n leaves out its path with probability 0.2 k / n, where it has a shortcut; B0 has 16 blocks."""
    settings = compose_settings(["model=efficientnet_b0", "model.pretrained=false"]).model
    with torch.device("meta"):
        network = build(settings, 13, pretrained=False)
    blocks = [block for stage in network.blocks for block in stage]  # type: ignore[union-attr]
    assert [k for k, block in enumerate(blocks) if block.has_skip] == [2, 4, 6, 7, 9, 10, 12, 13, 14]
    rates = [block.drop_path.drop_prob for block in blocks[1:]]  # the first has none, and no shortcut
    assert rates == pytest.approx([0.2 * k / 16 for k in range(1, 16)])
    assert network.drop_rate == 0.2
    norms = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]
    assert {(layer.momentum, layer.eps) for layer in norms} == {(0.01, 1e-3)}
    images = torch.ones(2000, 1, 1, 1)
    kept = DropPath(0.2).train()(images).unique().tolist()
    assert kept == pytest.approx([0, 1 / 0.8])  # what is left is as large on average


def test_vggs_dropout_is_torchvisions() -> None:
    settings = compose_settings(["model=vgg11_bn", "model.pretrained=false"]).model
    with torch.device("meta"):
        network = build(settings, 13, pretrained=False)
    assert [layer.p for layer in network.modules() if isinstance(layer, nn.Dropout)] == [0.5, 0.5]


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"dropp_rate": 0.1}, "test_resnet does not take model.options .dropp_rate=0.1.: .*dropp_rate"),
        ({"checkpoint_path": "/x"}, "model.options.checkpoint_path is no option"),
        ({"num_classes": 5}, "model.options.num_classes is no option"),
        ({"pretrained_cfg": {"file": "/x"}}, "model.options.pretrained_cfg is no option"),
        ({"act_layer": {"_target_": "os.abort"}}, "model.options.act_layer is no option"),
    ],
)
def test_options_that_cannot_be_are_told(options: dict[str, object], problem: str) -> None:
    settings = ModelSettings("test_resnet", False, crop=32, batch_size=2, options=options)
    with pytest.raises(UserError, match=problem):
        create(settings, CLASSES)
