"""A run as one graph, which torch.onnx writes: any image in; probabilities, likeness and heat maps out."""

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kenyan13.data.catalogue import FIRST
from kenyan13.data.images import MAX_ASPECT, resize_length, view_sides
from kenyan13.model.backbones import normalisation
from kenyan13.training.composed import ComposedRun
from kenyan13.training.inference import OpenRun, TrainedRun

BITS = 22  # of the weights, as in Pillow's Resample.c


def views(images: Tensor, crop: int, shares: Sequence[float]) -> Tensor:
    """Return what kenyan13.data.images.centre_views gives of images, uint8 [n * v, crop, crop, 3], bit for bit."""
    length = resize_length(crop)
    made = [cropped(images, length, crop)]
    square = cropped(images, length, length) if shares else images
    for side in view_sides(length, shares):
        made.append(resampled(resampled(square, 2, side, crop, crop), 1, side, crop, crop))
    return torch.stack(made, dim=1).flatten(0, 1) if shares else made[0]


def cropped(images: Tensor, length: int, crop: int) -> Tensor:
    """Return the middle, uint8 [n, crop, crop, 3], of images, uint8 [n, height, width, 3], resized to `length`.

    Bit for bit what kenyan13.data.images.load and centre_crop give, Pillow's order of the two passes included.
    """
    short = torch.sym_min(*images.shape[1:3])
    height, width = (torch.sym_min(side, MAX_ASPECT * short) for side in images.shape[1:3])
    high, wide = length * height // short, length * width // short

    def down_first(images: Tensor) -> Tensor:
        return resampled(resampled(images, 1, height, high, crop), 2, width, wide, crop)

    def across_first(images: Tensor) -> Tensor:
        return resampled(resampled(images, 2, width, wide, crop), 1, height, high, crop)

    before, across, after = (torch.full((), side) for side in (height, width, high))
    tall = (before > 2 * across) & (after < before)
    return cast(Tensor, torch.cond(tall, down_first, across_first, (images,)))


def resampled(images: Tensor, dim: int, length: Any, size: Any, crop: int) -> Tensor:
    """Return the middle `crop` pixels of images, uint8 [n, height, width, 3], of which `length` of a dim become `size`.

    Bilinear with antialiasing, in the whole numbers of Pillow's ImagingResample: ONNX's own Resize rounds otherwise.
    """
    skipped = (images.shape[dim] - length) // 2
    scale: Tensor = torch.full((), length, dtype=torch.float64) / size
    support = scale.clamp(min=1)
    start = torch.round(torch.full((), size - crop, dtype=torch.float64) / 2)
    centre = ((torch.arange(crop, dtype=torch.float64) + start + 0.5) * scale)[:, None]
    first = (centre - support + 0.5).floor().clamp(min=0)
    index = first + torch.arange(2 * ((length + size - 1) // size) + 1, dtype=torch.float64)
    inside = index < (centre + support + 0.5).floor().clamp(max=length)
    weights = (1 - ((index - centre + 0.5) * (1 / support)).abs()).clamp(min=0) * inside
    whole = (weights / weights.sum(1, keepdim=True) * 2**BITS + 0.5).floor().int()
    index = index.clamp(max=length - 1).long() + skipped
    taps = images.index_select(dim, index.flatten()).unflatten(dim, whole.shape)  # type: ignore[no-untyped-call]
    summed = (taps.int() * whole.view(*whole.shape, *[1] * (3 - dim))).sum(dim + 1, dtype=torch.int32)
    return cast(Tensor, (summed + 2 ** (BITS - 1)) >> BITS).to(torch.uint8)


class One(nn.Module):
    """A run of one network; bank: features of training images, float [m, d], that new images are compared with."""

    mean: Tensor
    std: Tensor
    bank: Tensor

    def __init__(self, run: TrainedRun) -> None:
        super().__init__()
        chosen = run.settings.predict
        self.crop, self.shares, self.mirror = run.settings.model.crop, tuple(chosen.views), chosen.mirror
        self.temperature = run.temperature
        self.network = run.network.cpu().eval()
        colours = normalisation(run.settings.model)
        self.register_buffer("mean", torch.tensor(colours.mean).view(1, 3, 1, 1) * 255)
        self.register_buffer("std", torch.tensor(colours.std).view(1, 3, 1, 1) * 255)
        self.register_buffer("bank", torch.zeros(0, 0))

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return `outputs` of images of any size, uint8 [n, height, width, 3]."""
        return self.outputs(views(images, self.crop, self.shares))

    def outputs(self, crops: Tensor) -> tuple[Tensor, ...]:
        """Return probabilities, float [n, classes], of `views`, uint8 [n * v, crop, crop, 3]; with a bank, more.

        likeness: float [n], the largest cosine between an image's features and those of a training image.
        maps: float [n, classes, h, w], logits of each place of the centre crop, where the network's head can take one.
        """
        pooled, logits, features = self.pooled_and_logits(crops)
        probabilities = (logits / self.temperature).softmax(dim=1)
        if not len(self.bank):
            return (probabilities,)
        likeness = (F.normalize(pooled, dim=1) @ self.bank.T).amax(dim=1)
        maps = place_logits(self.network, features)
        return (probabilities, likeness) if maps is None else (probabilities, likeness, maps)

    def pooled_and_logits(self, crops: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return what the last layer gets, float [n, d], its logits, and the body's features of the centre crops.

        crops: uint8 [n * v, crop, crop, 3], as `views` makes them.
        """
        pixels = (crops.permute(0, 3, 1, 2).float() - self.mean) / self.std
        body, head = self.network.forward_features, self.network.forward_head
        features = body(pixels)  # type: ignore[operator]
        made = [head(features, pre_logits=True), head(features)]  # type: ignore[operator]
        if self.mirror:
            other = body(pixels.flip(3))  # type: ignore[operator]
            made = [(made[0] + head(other, pre_logits=True)) / 2, (made[1] + head(other)) / 2]  # type: ignore[operator]
        made[0] = made[0].flatten(1)
        if self.shares:
            made = [one.unflatten(0, (-1, 1 + len(self.shares))).mean(dim=1) for one in made]
        return made[0], made[1], features[:: 1 + len(self.shares)]


class Together(nn.Module):
    """Runs put together: their mean, or the stages of a two-stage classifier by soft gating."""

    def __init__(self, run: ComposedRun) -> None:
        super().__init__()
        self.members, self.temperature = nn.ModuleList(map(complete, run.members)), run.temperature
        stages = [str(member.settings.data.stage) for member in run.members]
        self.first = stages.index(FIRST) if FIRST in stages and len(set(stages)) > 1 else None
        self.factors: list[list[tuple[int, int]]] = []  # of each class: what it is the product of, (stage, column)
        for name in run.classes:
            factors = [(at, one.classes.index(name)) for at, one in enumerate(run.members) if name in one.classes]
            at = factors[0][0]
            if self.first not in (None, at):  # a group's stage: times the group's own probability
                factors.append((self.first, run.members[self.first].classes.index(stages[at])))
            self.factors.append(factors)

    def forward(self, images: Tensor) -> tuple[Tensor]:
        """Return probabilities, float [n, classes], of images, uint8 [n, height, width, 3]."""
        found = [member(images)[0] for member in self.members]
        if self.first is None:
            made = torch.stack(found).mean(dim=0)
        else:
            products = [torch.stack([found[at][:, column] for at, column in pair]).prod(dim=0) for pair in self.factors]
            made = torch.stack(products, dim=1)
        scaled = (made.clamp(min=1e-12).log() / self.temperature).softmax(dim=1)
        return (made if self.temperature == 1 else scaled,)


def complete(run: OpenRun) -> One | Together:
    """Return a run as a module from images to probabilities, with all arithmetic in it."""
    return Together(run) if isinstance(run, ComposedRun) else One(cast(TrainedRun, run))


def place_logits(network: nn.Module, features: Tensor) -> Tensor | None:
    """Return the logits of each place alone, float [n, classes, h, w]; None where the head cannot take one.

    Of a network that pools before a linear head, these are its class activation maps (arXiv 1512.04150); the
    difference of two classes' maps is Finer-CAM's (arXiv 2501.11309).
    """
    n, width = features.shape[0], getattr(network, "num_features", -1)
    if features.ndim == 4 and features.shape[1] == width:
        grid, places = features.shape[2:], features.permute(0, 2, 3, 1).reshape(-1, width, 1, 1)
    elif features.ndim == 4 and features.shape[3] == width:  # channels last, as of Swin
        grid, places = features.shape[1:3], features.reshape(-1, 1, 1, width)
    elif hasattr(network, "patch_embed"):
        grid = network.patch_embed.grid_size  # type: ignore[union-attr, assignment]
        prefix = cast(int, getattr(network, "num_prefix_tokens", 0))
        tokens = features[:, prefix:].reshape(-1, 1, width)
        places = tokens.expand(-1, prefix + 1, -1)  # whether the head takes the first or the mean of the others
    else:
        return None
    logits = network.forward_head(places)  # type: ignore[operator]
    return cast(Tensor, logits.reshape(n, *grid, -1).permute(0, 3, 1, 2))
