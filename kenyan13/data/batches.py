"""Images of a catalogue as samples and batches: the centre crop or a random view, ready but for normalising."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from kenyan13.config.settings import AugmentSettings
from kenyan13.config.targets import build
from kenyan13.data.augmentation import apply_view, centre_crop, draw_view
from kenyan13.data.catalogue import Catalogue
from kenyan13.data.images import Pixels
from kenyan13.data.sampling import AUGMENTATION, EXTRA, Draw, generator
from kenyan13.data.store import Store
from kenyan13.errors import UserError


class Sample(NamedTuple):
    """One view of an image, with what is left to do to it on the device."""

    image: NDArray[np.uint8]  # [crop, crop, 3]
    target: int
    row: int
    erased: tuple[int, int, int, int]
    noise: bool
    seed: int


class RawBatch(NamedTuple):
    """Samples as the loader hands them on; plain values are known without asking the device."""

    images: Tensor  # uint8 [n, crop, crop, 3]
    targets: Tensor  # int64 [n]
    rows: Tensor  # int64 [n]
    erased: NDArray[np.int64] | None  # [n, 4], None where no image has a rectangle; stays on the host
    noise: NDArray[np.bool_] | None  # [n], None where no image gets noise; stays on the host
    seed: int


class Batch(NamedTuple):
    """Images on the device, ready for the network."""

    images: Tensor  # float32 [n, 3, crop, crop], normalised
    targets: Tensor  # int64 [n]; -1 without label
    rows: Tensor  # int64 [n], rows of the catalogue


@dataclass(frozen=True)
class Images:
    """A catalogue with its pixels; store_rows: int64 [n], where each image lies in the store."""

    catalogue: Catalogue
    store: Store
    store_rows: NDArray[np.int64]

    def of_classes(self) -> "Images":
        """Return the images that are of one of the catalogue's classes."""
        rows = np.flatnonzero(self.catalogue.labels() >= 0)
        return Images(self.catalogue.take(rows), self.store, self.store_rows[rows])


class ImageDataset(Dataset[Sample]):
    """Views of images: the centre crop, or with `augment` a random view decided by (seed, epoch, position).

    A loader asks for whole batches, in `__getitems__`.
    """

    def __init__(self, images: Images, crop: int, seed: int, augment: AugmentSettings | None = None) -> None:
        self.store, self.store_rows = images.store, images.store_rows
        targets = images.catalogue.targets
        self.targets = np.full(len(self.store_rows), -1, dtype=np.int64) if targets is None else targets
        self.crop, self.seed, self.augment = crop, seed, augment
        nodes = [] if augment is None else augment.extra
        self.extra = [build(f"augment.extra[{k}]", node) for k, node in enumerate(nodes)]
        if self.extra:
            apply_extra(np.zeros((crop, crop, 3), dtype=np.uint8), self.extra, 0)  # refused here, not by a process

    def __len__(self) -> int:
        return len(self.store_rows)

    def __getitem__(self, draw: Draw) -> Sample:
        image = self.store[self.store_rows[draw.row]]
        target = int(self.targets[draw.row])
        if self.augment is None:
            return Sample(centre_crop(image, self.crop), target, draw.row, (0, 0, 0, 0), False, 0)
        random = generator(AUGMENTATION, self.seed, draw.epoch, draw.position)
        view = draw_view(self.augment, self.crop, random)
        pixels = apply_view(image, view, self.crop)
        if self.extra:
            pixels = apply_extra(pixels, self.extra, int(generator(EXTRA, self.seed, *draw[1:]).integers(2**62)))
        return Sample(pixels, target, draw.row, view.erased, view.noise, int(random.integers(2**62)))

    def __getitems__(self, draws: Sequence[Draw]) -> RawBatch:
        return collate([self[draw] for draw in draws])


def apply_extra(pixels: Pixels, transforms: Sequence[Callable[[Tensor], Tensor]], seed: int) -> Pixels:
    """Return an image, uint8 [crop, crop, 3], after transforms of torchvision's, which see uint8 [3, crop, crop].

    seed: decides what they draw from torch's generator, whose state is left as it was. Raises UserError for transforms
    that return another shape or type.
    """
    image = torch.from_numpy(pixels.copy()).permute(2, 0, 1)
    shape = image.shape
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for k, transform in enumerate(transforms):
            try:
                image = transform(image)
            except Exception as error:  # a user's own may raise anything
                raise UserError(f"augment.extra[{k}] fails: {error}", "it gets uint8 [3, crop, crop]") from error
    if not isinstance(image, Tensor) or image.shape != shape or image.dtype != torch.uint8:
        kind = f"{image.dtype} {list(image.shape)}" if isinstance(image, Tensor) else type(image).__name__
        raise UserError(
            f"augment.extra makes {kind} of an image, uint8 {list(shape)}.",
            "leave out what resizes or normalises: kenyan13 does that itself",
        )
    return image.permute(1, 2, 0).numpy()


def collate(samples: Sequence[Sample]) -> RawBatch:
    """Stack samples; the first one's seed stands for the batch."""
    erased = np.array([sample.erased for sample in samples])
    noise = np.array([sample.noise for sample in samples])
    return RawBatch(
        torch.from_numpy(np.stack([sample.image for sample in samples])),
        torch.tensor([sample.target for sample in samples]),
        torch.tensor([sample.row for sample in samples]),
        erased if erased.any() else None,
        noise if noise.any() else None,
        samples[0].seed,
    )
