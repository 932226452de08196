"""Networks by name: timm's architectures (and the small CNN), with ImageNet weights, weights from a file, or none."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from importlib import import_module
from inspect import signature
from pathlib import Path
from textwrap import shorten as shorten_text
from typing import Any
from urllib.parse import urlparse
from urllib.request import getproxies

import timm
import torch
from huggingface_hub import constants as hub
from timm.layers.patch_embed import PatchEmbed
from timm.models import PretrainedCfg, load_state_dict
from torch import Tensor, nn

from kenyan13.config.settings import ModelSettings
from kenyan13.errors import UserError, did_you_mean, first_line, shorten
from kenyan13.model import small_cnn as small_cnn  # registers itself with timm
from kenyan13.runs.directory import checkpoint_problem

WAYS_TO_WEIGHTS = (
    "connect to the network once: the weights are then kept in the cache of huggingface_hub",
    "model.weights=FILE loads weights from a file (.safetensors or .pth, in timm's names)",
    "model.pretrained=false starts from scratch",
)

# What timm would read or leave out by, or is told by other settings.
NOT_OPTIONS = ("num_classes", "in_chans", "img_size", "features_only", "pretrained_strict", "pretrained_filter_fn")


def normalisation(settings: ModelSettings) -> PretrainedCfg:
    """Return timm's configuration of the backbone's weights: `mean` and `std`, of channels of images in 0..1, and more.

    Raises UserError when timm has no such architecture, or no such weights tag of it.
    """
    architecture, dot, tag = settings.backbone.partition(".")
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
    config = timm.get_pretrained_cfg(settings.backbone)
    assert config is not None, settings.backbone
    return config


def check_model(settings: ModelSettings) -> None:
    """Raise UserError for what can be known to be wrong before any image is read.

    That is an unknown backbone, a crop that cannot pass through it (tried without arithmetic), no weights file.
    """
    own = normalisation(settings).input_size[-1]
    with torch.device("meta"):
        try:
            network = build(settings, 2, pretrained=False)
            patches = getattr(network, "patch_embed", None)
            side = patches.patch_size[0] if isinstance(patches, PatchEmbed) else 1
            if rest := settings.crop % side:  # timm would leave out the border
                near = [f"model.crop={crop}" for crop in (settings.crop - rest + side, settings.crop - rest) if crop]
                raise ValueError(f"its patches of {side} px fit {' or '.join(near)}")
            logits = network(torch.empty(min(2, settings.batch_size), 3, settings.crop, settings.crop))
        except (RuntimeError, AssertionError, ValueError, ZeroDivisionError) as error:
            raise UserError(
                f"{settings.backbone} cannot take images of model.crop={settings.crop}: {first_line(error)}",
                f"its own size is model.crop={own}" + ("; a batch of 1 may be too small" * (settings.batch_size == 1)),
            ) from error
    if not hasattr(network, "get_classifier") or getattr(logits, "shape", ())[1:] != (2,):
        raise UserError(f"{settings.backbone} has no head to classify with.", "choose another model.backbone")
    head_prefixes(network)
    if settings.weights is not None and not Path(settings.weights).expanduser().is_file():
        raise UserError(f"There is no weights file {settings.weights}.", *WAYS_TO_WEIGHTS[1:])


def create(settings: ModelSettings, classes: tuple[str, ...]) -> nn.Module:
    """Return the network with a head of len(classes) logits, on the CPU.

    Raises UserError for what `check_model` refuses, and for weights that cannot be had or do not fit.
    """
    check_model(settings)
    download = settings.pretrained and settings.weights is None
    if download and not normalisation(settings).has_weights:
        raise UserError(f"There are no ImageNet weights of {settings.backbone}.", *WAYS_TO_WEIGHTS[1:])
    with downloading(settings.backbone) if download else nullcontext():
        network = build(settings, len(classes), pretrained=download)
    head = network.get_classifier()  # type: ignore[operator]
    if isinstance(head, nn.Linear):
        # timm's values for EfficientNet and MobileNet are drawn for 1,000 classes: first logits would be far too large.
        head.reset_parameters()
    if settings.weights is not None:
        load_weights(network, Path(settings.weights).expanduser(), classes)
    return network


@contextmanager
def downloading(backbone: str) -> Iterator[None]:
    """Say what to do where weights cannot be had; raises UserError.

    Where the hub's name is unknown, only the cache is looked into: spares a minute of retries.
    """
    before = hub.HF_HUB_OFFLINE
    try:
        if not getproxies():
            socket.getaddrinfo(urlparse(hub.ENDPOINT).hostname, 443)
    except OSError:
        hub.HF_HUB_OFFLINE = True
    try:
        yield
    except Exception as error:  # whatever the download raises; building alone has worked in check_model
        raise UserError(
            f"The ImageNet weights of {backbone} cannot be had: {first_line(error)}", *WAYS_TO_WEIGHTS
        ) from error
    finally:
        hub.HF_HUB_OFFLINE = before


def build(settings: ModelSettings, num_classes: int | None, pretrained: bool) -> nn.Module:
    """Return timm's network, with None for the classes of its weights; those of a fixed size are made for the crop."""
    size: dict[str, Any] = {"img_size": settings.crop} if normalisation(settings).fixed_input_size else {}
    named = {"pretrained": pretrained, "num_classes": num_classes, **size}
    taken = {*named, *signature(timm.create_model).parameters, *NOT_OPTIONS} - {"kwargs"}
    if refused := [name for name, value in settings.options.items() if name in taken or isinstance(value, dict)]:
        raise UserError(f"model.options.{refused[0]} is no option of a network.", "as in model.options.drop_rate=0.2")
    try:
        network: nn.Module = timm.create_model(settings.backbone, **named, **settings.options)
    except TypeError as error:
        if not settings.options:
            raise
        given = shorten([f"{name}={value}" for name, value in settings.options.items()])
        raise UserError(
            f"{settings.backbone} does not take model.options ({given}): {first_line(error)}",
            "options are keywords of timm.create_model",
        ) from error
    return network


def load_weights(network: nn.Module, file: Path, classes: tuple[str, ...]) -> None:
    """Load a state dict into the network: all of the backbone, and the head where it is for the same classes.

    Takes .safetensors, .pth and the checkpoints of earlier runs; embeddings of positions are resampled to the crop.
    Raises UserError when the file cannot be read or holds weights of another architecture.
    """
    weights, of_classes = fitting_weights(network, file)
    prefixes = head_prefixes(network)
    head = {name: value for name, value in network.state_dict().items() if name.startswith(prefixes)}
    same_head = all(name in weights and weights[name].shape == value.shape for name, value in head.items())
    if not same_head or of_classes not in (None, classes):
        weights = {name: value for name, value in weights.items() if not name.startswith(prefixes)} | head
    for name, value in weights.items():
        if value.is_floating_point() and not value.isfinite().all():
            raise UserError(f"{file}: {name} has values that are no numbers.", *WAYS_TO_WEIGHTS)
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:  # torch lists every name that is missing, unknown or of another shape
        raise UserError(
            f"{file} holds weights of another network. {shorten_text(str(error), 400, placeholder=' ...')}",
            "choose the model= or model.backbone= that they were made with",
        ) from error


def pretrained_classifier(settings: ModelSettings) -> nn.Linear | None:
    """Return the last layer that came with the weights, for the classes that they were made with; None without any."""
    if settings.weights is None:
        head = build(settings, None, pretrained=True).get_classifier() if settings.pretrained else None  # type: ignore[operator]
        return head if isinstance(head, nn.Linear) else None
    network = build(settings, 2, pretrained=False)
    weights, prefixes = fitting_weights(network, Path(settings.weights).expanduser())[0], head_prefixes(network)
    weight, bias = (weights.get(f"{prefixes[0]}{name}") for name in ("weight", "bias"))
    if weight is None or bias is None or weight.ndim != 2 or len(prefixes) > 1:
        return None
    layer = nn.Linear(weight.shape[1], weight.shape[0])
    layer.load_state_dict({"weight": weight, "bias": bias})
    return layer


def fitting_weights(network: nn.Module, file: Path) -> tuple[dict[str, Tensor], tuple[str, ...] | None]:
    """Return what `read_weights` does, with the names and position embeddings of the network.

    A prefix that all names of the network have in the file, as others' Lightning modules give them, is taken off.
    """
    weights, of_classes = read_weights(file)
    own = network.state_dict().keys()
    last = next(reversed(own))
    prefixes = [name.removesuffix(last) for name in weights if name.endswith(f".{last}")]
    for prefix in (one for one in prefixes if sum(one + name in weights for name in own) > len(own) / 2):
        weights = {n.removeprefix(prefix): value for n, value in weights.items() if n.startswith(prefix)}
        break
    adapt = getattr(import_module(type(network).__module__), "checkpoint_filter_fn", None)  # timm's, of the family
    with suppress(Exception):  # of another network: said where they are loaded
        weights = adapt(weights, network) if adapt else weights
    return weights, of_classes


def read_weights(file: Path) -> tuple[dict[str, Tensor], tuple[str, ...] | None]:
    """Return the tensors of a weights file by name, and the classes of its head where it is a run's checkpoint.

    Raises UserError when the file is damaged, or holds more than tensors and plain values: nothing in it is run.
    """
    try:
        if file.suffix != ".ckpt":
            return dict(load_state_dict(str(file), weights_only=True)), None
        if problem := checkpoint_problem(file):
            raise ValueError(problem.removeprefix(f"{file} is damaged: "))
        checkpoint = torch.load(file, map_location="cpu", weights_only=True)
        state, classes = checkpoint["state_dict"], checkpoint.get("classes")
        if classes is not None:
            state = {name.removeprefix("network."): state[name] for name in state if name.startswith("network.")}
        return dict(state), None if classes is None else tuple(classes)
    except Exception as error:  # safetensors, pickle and zip each raise their own
        steps = ("train the run again, or choose another file", *WAYS_TO_WEIGHTS[1:])
        raise UserError(f"{file} is damaged, or holds no weights: {first_line(error)}", *steps) from error


def head_prefixes(network: nn.Module) -> tuple[str, ...]:
    """Return the names that the head's parameters start with."""
    names = network.pretrained_cfg.get("classifier")  # type: ignore[operator, union-attr]
    if not names:
        raise UserError(f"{type(network).__name__} has no head to classify with.", "choose another model.backbone")
    return tuple(f"{name}." for name in ((names,) if isinstance(names, str) else names))
