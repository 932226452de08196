"""Contact sheets: images of a run as they are and as training shows them, side by side."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from kenyan13.config.settings import AugmentSettings
from kenyan13.data.batches import FeatureDataset, ImageDataset
from kenyan13.data.datamodule import ImageDataModule
from kenyan13.data.images import Pixels
from kenyan13.data.sampling import Draw, across_classes

SIDE, GAP = 6, 4  # images a row and a column; pixels between them


def first_draws(data: ImageDataModule, number: int) -> list[Draw]:
    """Return up to `number` draws of the first epoch, each of another image.

    They are spread over the classes, whose order they have, and chosen by the seed.
    """
    labels, seed = data.train.catalogue.targets, data.settings.seed
    rows, positions = np.unique(data.train_order()(0), return_index=True)
    chosen = across_classes(labels[rows], number, seed)
    if data.features is None:
        return [Draw(int(rows[place]), 0, int(positions[place])) for place in chosen]
    views = FeatureDataset(data.features.train, labels, seed).epoch_views(0)  # computed as of that many epochs
    return [Draw(int(rows[place]), int(views[positions[place]]), int(rows[place])) for place in chosen]


def draw_views(
    data: ImageDataModule, draws: list[Draw], augment: AugmentSettings | None, longest: int
) -> NDArray[np.uint8]:
    """Return what training images look like under an augmentation, or as they are: uint8 [n, side, side, 3].

    side: the run's crop, or `longest` where that is smaller. Values of random erasing and noise are drawn for whole
    batches: here they are others than in training.
    """
    dataset = ImageDataset(data.train, data.crop, data.settings.seed, augment)
    side = min(longest, data.crop)
    shown = np.empty((len(draws), side, side, 3), dtype=np.uint8)
    for place, draw in enumerate(draws):
        raw = dataset.__getitems__([draw])
        if augment is None or (raw.erased is None and raw.noise is None):
            shown[place] = shrink(raw.images[0].numpy(), side)
        else:
            normalised = data.normalised(raw, augment).images[0].permute(1, 2, 0).numpy()
            shown[place] = visible(shrink(normalised, side), data)
    return shown


def shrink(image: NDArray[Any], side: int) -> NDArray[Any]:
    """Return a square image, [height, width, 3], with sides of no more than so many pixels."""
    return cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA) if len(image) > side else image


def visible(normalised: NDArray[np.float32], data: ImageDataModule) -> NDArray[np.uint8]:
    """Return normalised images, [..., 3], as uint8 again; what was erased shows the mean colour."""
    levels: NDArray[np.float32] = (normalised * data.std.numpy() + data.mean.numpy()) * 255
    return np.clip(np.rint(levels), 0, 255).astype(np.uint8)


def arrange(images: NDArray[np.uint8], columns: int = SIDE) -> Pixels:
    """Return images, uint8 [n, height, width, 3], side by side in rows on white: uint8 [height, width, 3]."""
    number, height, width, _ = images.shape
    rows = -(-number // columns)
    sheet = np.full((rows * (height + GAP) - GAP, columns * (width + GAP) - GAP, 3), 255, dtype=np.uint8)
    for place, image in enumerate(images):
        top, left = place // columns * (height + GAP), place % columns * (width + GAP)
        sheet[top : top + height, left : left + width] = image
    return sheet
