"""Networks by name: timm's architectures (and the small CNN), with ImageNet weights, weights from a file, or none."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import timm
import torch
from huggingface_hub import constants as hub
from timm.models import PretrainedCfg, load_state_dict
from torch import Tensor, nn

from kenyan13.config.settings import ModelSettings
from kenyan13.errors import UserError, did_you_mean, shorten
from kenyan13.model import small_cnn as small_cnn  # registers itself with timm

WAYS_TO_WEIGHTS = (
    "connect to the network once: the weights are then kept in the cache of huggingface_hub",
    "model.weights=FILE loads weights from a file (.safetensors or .pth, in timm's names)",
    "model.pretrained=false starts from scratch",
)


def normalisation(settings: ModelSettings) -> PretrainedCfg:
    """Return timm's configuration of the backbone's weights: `mean` and `std`, of channels of images in 0..1.

    Raises UserError for an unknown backbone.
    """
    check_name(settings.backbone)
    return configuration(settings.backbone)


def check_model(settings: ModelSettings) -> None:
    """Raise UserError for what can be known to be wrong before any image is read."""
    check_name(settings.backbone)
    check_crop(settings, num_classes=2)
    if settings.weights is not None:
        check_weights_file(Path(settings.weights).expanduser())


def create(settings: ModelSettings, classes: tuple[str, ...]) -> nn.Module:
    """Return the network with a head of len(classes) logits, on the CPU.

    Raises UserError for an unknown backbone, a crop that it cannot take, and weights that cannot be had or do not fit.
    """
    check_name(settings.backbone)
    check_crop(settings, len(classes))
    download = settings.pretrained and settings.weights is None
    if download and not configuration(settings.backbone).has_weights:
        raise UserError(f"There are no ImageNet weights of {settings.backbone}.", *WAYS_TO_WEIGHTS[1:])
    try:
        with offline_unless_reachable() if download else nullcontext():
            network = build(settings, len(classes), pretrained=download)
    except Exception as error:  # whatever the download raises; building alone has worked in check_crop
        if not download:
            raise
        problem = f"The ImageNet weights of {settings.backbone} cannot be had"
        raise UserError(f"{problem}: {first_line(error)}", *WAYS_TO_WEIGHTS) from error
    reset_head(network)
    if settings.weights is not None:
        load_weights(network, Path(settings.weights).expanduser(), classes)
    return network


def first_line(error: Exception) -> str:
    """Return the first line of an error's message; its type where there is none."""
    return (str(error).splitlines() or [type(error).__name__])[0]


@contextmanager
def offline_unless_reachable() -> Iterator[None]:
    """Look for weights in the cache only, where the hub's name is unknown; spares a minute of retries."""
    proxied = any(os.environ.get(name) for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"))
    before = hub.HF_HUB_OFFLINE
    try:
        if not proxied:
            socket.getaddrinfo(urlparse(hub.ENDPOINT).hostname, 443)
    except OSError:
        hub.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        hub.HF_HUB_OFFLINE = before


def build(settings: ModelSettings, num_classes: int, pretrained: bool) -> nn.Module:
    """Return timm's network; those of a fixed input size are made for the crop."""
    fixed = configuration(settings.backbone).fixed_input_size
    size: dict[str, Any] = {"img_size": settings.crop} if fixed else {}
    network: nn.Module = timm.create_model(settings.backbone, pretrained=pretrained, num_classes=num_classes, **size)
    return network


def reset_head(network: nn.Module) -> None:
    """Give a linear head torch's own initial weights.

    timm's for EfficientNet and MobileNet are drawn for 1,000 classes: with 13 the first logits are far too large.
    """
    head = network.get_classifier()  # type: ignore[operator]
    if isinstance(head, nn.Linear):
        head.reset_parameters()


def configuration(backbone: str) -> PretrainedCfg:
    """Return what timm knows of a backbone's weights: normalisation, image size, where they lie."""
    config = timm.get_pretrained_cfg(backbone)
    assert config is not None, backbone  # check_name has been asked
    return config


def check_name(backbone: str) -> None:
    """Raise UserError when timm has no such architecture, or no such weights tag of it."""
    architecture, dot, tag = backbone.partition(".")
    known = timm.list_models()  # without the names that timm has given up
    if architecture not in known:
        raise UserError(
            f"timm has no architecture '{architecture}'.{did_you_mean(architecture, known)}",
            f"list them: python -c \"import timm; print(timm.list_models('*{architecture[:5]}*'))\"",
        )
    tags = [name.partition(".")[2] for name in timm.list_pretrained(f"{architecture}.*")]
    if dot and tag not in tags:
        raise UserError(
            f"timm has no weights '{tag}' of {architecture}.{did_you_mean(tag, tags)}",
            f"tags: {shorten(tags, 12)}" if tags else f"model.backbone={architecture} starts from scratch",
        )


def check_crop(settings: ModelSettings, num_classes: int) -> None:
    """Raise UserError when images of the crop cannot pass through the network; tried without arithmetic."""
    with torch.device("meta"):
        try:
            network = build(settings, num_classes, pretrained=False)
            network(torch.empty(min(2, settings.batch_size), 3, settings.crop, settings.crop))
        except (RuntimeError, AssertionError, ValueError, ZeroDivisionError) as error:
            own = configuration(settings.backbone).input_size[-1]
            raise UserError(
                f"{settings.backbone} cannot take images of model.crop={settings.crop}: {first_line(error)}",
                f"its own size is model.crop={own}" + ("; a batch of 1 may be too small" * (settings.batch_size == 1)),
            ) from error


def load_weights(network: nn.Module, file: Path, classes: tuple[str, ...]) -> None:
    """Load a state dict into the network: all of the backbone, and the head where it is for the same classes.

    Takes .safetensors, .pth and the checkpoints of earlier runs. Raises UserError when the file cannot be read or holds
    weights of another architecture.
    """
    check_weights_file(file)
    try:
        weights, of_classes = read_weights(file)
    except Exception as error:  # safetensors, pickle and zip each raise their own
        raise UserError(f"{file} cannot be read as weights: {first_line(error)}", *WAYS_TO_WEIGHTS[1:]) from error
    own = network.state_dict()
    head = {name for name in own if name.startswith(head_prefixes(network))}
    same_head = all(name in weights and weights[name].shape == own[name].shape for name in head)
    if not same_head or of_classes not in (None, classes):
        weights = {name: value for name, value in weights.items() if not name.startswith(head_prefixes(network))}
    missing = [name for name in own if name not in weights and name not in head and "num_batches_tracked" not in name]
    strange = [name for name in weights if name not in own]
    misfits = [name for name, value in weights.items() if name in own and value.shape != own[name].shape]
    if missing or strange or misfits:
        kinds = {"missing": missing, "not in the network": strange, "of another shape": misfits}
        listed = "; ".join(f"{kind}: {shorten(names, 3)}" for kind, names in kinds.items() if names)
        raise UserError(
            f"{file} holds weights of another network ({listed}).",
            "choose the model= or model.backbone= that they were made with",
        )
    network.load_state_dict(weights, strict=False)


def check_weights_file(file: Path) -> None:
    """Raise UserError when there is no such file."""
    if not file.is_file():
        raise UserError(f"There is no weights file {file}.", *WAYS_TO_WEIGHTS[1:])


def checkpoint_classes(file: Path) -> tuple[str, ...]:
    """Return the classes of a run's checkpoint. Raises UserError when the file is damaged."""
    try:
        classes = read_weights(file)[1]
    except Exception as error:  # pickle and zip each raise their own
        raise UserError(f"{file} is damaged: {first_line(error)}", "train the run again") from error
    return classes or ()


def read_weights(file: Path) -> tuple[dict[str, Tensor], tuple[str, ...] | None]:
    """Return the tensors of a weights file by name, and the classes of its head where it is a run's checkpoint."""
    if file.suffix != ".ckpt":
        return dict(load_state_dict(str(file))), None
    checkpoint = torch.load(file, map_location="cpu", weights_only=True)
    prefix = "network."
    weights = {
        name.removeprefix(prefix): value for name, value in checkpoint["state_dict"].items() if name.startswith(prefix)
    }
    return weights, tuple(checkpoint["classes"])


def head_prefixes(network: nn.Module) -> tuple[str, ...]:
    """Return the names that the head's parameters start with."""
    names = network.pretrained_cfg.get("classifier")  # type: ignore[operator, union-attr]
    if not names:
        raise UserError(f"{type(network).__name__} has no head to classify with.", "choose another model.backbone")
    return tuple(f"{name}." for name in ((names,) if isinstance(names, str) else names))
