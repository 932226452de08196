"""Batches of a catalogue: views of images, ready but for normalising, or features that were computed once."""

import random
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from pytorch_lightning.utilities.seed import isolate_rng
from torch import Tensor
from torch.utils.data import Dataset

from kenyan13.config.settings import AugmentSettings
from kenyan13.config.targets import build
from kenyan13.data.augmentation import View, draw_view, recolour, warp
from kenyan13.data.catalogue import Catalogue
from kenyan13.data.images import Pixels, centre_views
from kenyan13.data.sampling import AUGMENTATION, EXTRA, VIEWS, Draw, generator
from kenyan13.data.store import Store
from kenyan13.errors import UserError


class RawBatch(NamedTuple):
    """Views of images, with what is left to do on the device; plain values are known without asking it.

    Where an image has v views, they are in a row; in training, v is 1.
    """

    images: Tensor  # uint8 [n * v, crop, crop, 3]
    targets: Tensor  # int64 [n]
    rows: Tensor  # int64 [n]
    erased: NDArray[np.int64]  # [n, 4], rectangles; stays on the host
    noise: NDArray[np.bool_]  # [n], which get noise; stays on the host
    seed: int


class Batch(NamedTuple):
    """Images on the device, ready for the network."""

    images: Tensor  # float32 [n * v, 3, crop, crop], normalised
    targets: Tensor  # int64 [n]; -1 without label
    rows: Tensor  # int64 [n], rows of the catalogue


class Images(NamedTuple):
    """A catalogue with its pixels."""

    catalogue: Catalogue
    store: Store
    store_rows: NDArray[np.int64]  # [n], where each image lies in the store


class ImageDataset(Dataset[RawBatch]):
    """Whole batches of images: with `augment`, a random view of each, decided by (seed, epoch, position).

    Without, their centre crops, and beside each what else `views` asks for (see `centre_views`).
    """

    def __init__(
        self, images: Images, crop: int, seed: int, augment: AugmentSettings | None = None,
        views: Sequence[float] = (),
    ) -> None:  # fmt: skip
        self.images, self.crop, self.seed, self.augment, self.views = images, crop, seed, augment, views
        self.extra = [build(f"augment.extra[{k}]", node) for k, node in enumerate(augment.extra if augment else [])]
        if self.extra:
            apply_extra(np.zeros((crop, crop, 3), dtype=np.uint8), self.extra, 0)  # refused here, not by a process

    def __len__(self) -> int:
        return len(self.images.store_rows)

    def __getitems__(self, draws: Sequence[Draw]) -> RawBatch:
        """Return the views of these draws; the first one's seed stands for the batch."""
        rows = [draw.row for draw in draws]
        pixels, views, seeds = zip(*map(self.view, draws), strict=True)
        erased, noise = np.array([view.erased for view in views]), np.array([view.noise for view in views])
        targets = torch.from_numpy(self.images.catalogue.targets[rows])
        return RawBatch(torch.from_numpy(np.concatenate(pixels)), targets, torch.tensor(rows), erased, noise, seeds[0])

    def view(self, draw: Draw) -> tuple[Pixels, View, int]:
        """Return views of an image, uint8 [v, crop, crop, 3], their parameters, and a seed of what is left to do."""
        image = self.images.store[self.images.store_rows[draw.row]]
        if self.augment is None:
            return centre_views(image, self.crop, self.views), View(), 0
        random = generator(AUGMENTATION, self.seed, draw.epoch, draw.position)
        view = draw_view(self.augment, self.crop, random)
        pixels = warp(recolour(image, view), view, self.crop)
        if self.extra:
            pixels = apply_extra(pixels, self.extra, int(generator(EXTRA, self.seed, *draw[1:]).integers(2**62)))
        return pixels[None], view, int(random.integers(2**62))


def seed_libraries(seed: int) -> None:
    """Seed the generators that others' transforms and callbacks draw from: those of torch, numpy and random."""
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 (the one that others draw from)
    random.seed(seed)


def apply_extra(pixels: Pixels, transforms: Sequence[Callable[[Tensor], Tensor]], seed: int) -> Pixels:
    """Return an image, uint8 [crop, crop, 3], after transforms of torchvision's, which see uint8 [3, crop, crop].

    seed: decides what they draw from torch, numpy and random. Raises UserError where they change shape or type.
    """
    image = torch.from_numpy(pixels.copy()).permute(2, 0, 1)
    shape = image.shape
    with isolate_rng(include_cuda=False):
        seed_libraries(seed)
        for k, transform in enumerate(transforms):
            try:
                image = transform(image)
            except Exception as error:  # a user's own may raise anything
                raise UserError(f"augment.extra[{k}] fails: {error}", "it gets uint8 [3, crop, crop]") from error
    if not isinstance(image, Tensor) or image.shape != shape or image.dtype != torch.uint8:
        kind = f"{image.dtype} {list(image.shape)}" if isinstance(image, Tensor) else type(image).__name__
        problem = f"augment.extra makes {kind} of an image, uint8 {list(shape)}."
        raise UserError(problem, "leave out what resizes or normalises: kenyan13 does that itself")
    return image.permute(1, 2, 0).numpy()


class Features(NamedTuple):
    """What a frozen backbone makes of images, computed once, in the rows of the catalogues."""

    train: Tensor  # float32 [n, views, ...], of augmented views of each training image
    validation: Tensor  # float32 [m, 1, ...]


class FeatureDataset(Dataset[Batch]):
    """Whole batches of features; which view of an image is drawn is decided by (seed, epoch, position)."""

    def __init__(self, features: Tensor, targets: NDArray[np.int64], seed: int) -> None:
        self.features, self.targets, self.seed = features, torch.from_numpy(targets), seed

    def __len__(self) -> int:
        return len(self.features)

    def __getitems__(self, draws: list[Draw]) -> Batch:
        rows = torch.tensor([draw.row for draw in draws])
        of_epoch = generator(VIEWS, self.seed, draws[0].epoch).integers(self.features.shape[1], size=len(self))
        views = torch.from_numpy(of_epoch[[draw.position % len(self) for draw in draws]])
        return Batch(self.features[rows, views], self.targets[rows], rows)
