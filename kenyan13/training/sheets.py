"""Contact sheets: pictures of a run as they are and as training shows them, side by side."""

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from kenyan13.data.batches import Batch, PictureDataset, collate
from kenyan13.data.datamodule import PictureData
from kenyan13.data.features import FeatureDataset
from kenyan13.data.pictures import Pixels
from kenyan13.data.sampling import Draw, spread
from kenyan13.settings import AugmentSettings

SIDE, GAP = 6, 4  # pictures a row and a column; pixels between them


def first_draws(data: PictureData, number: int) -> list[Draw]:
    """Return up to `number` draws of the first epoch, each of another picture.

    They are spread over the classes, whose order they have, and chosen by the seed.
    """
    labels, seed = data.train.catalogue.labels(), data.settings.seed
    rows, positions = np.unique(data.train_order()(0), return_index=True)
    chosen = spread(labels[rows], number, seed)
    if data.features is None:
        return [Draw(int(rows[place]), 0, int(positions[place])) for place in chosen]
    views = FeatureDataset(data.features.train, labels, seed).epoch_views(0)  # computed as of that many epochs
    return [Draw(int(rows[place]), int(views[positions[place]]), int(rows[place])) for place in chosen]


def draw_views(
    data: PictureData, draws: list[Draw], augment: AugmentSettings | None, longest: int
) -> NDArray[np.uint8]:
    """Return what training pictures look like under an augmentation, or as they are: uint8 [n, side, side, 3].

    side: the run's crop, or `longest` where that is smaller. Values of random erasing and noise are drawn for whole
    batches: here they are others than in training.
    """
    dataset = PictureDataset(data.train, data.crop, data.settings.seed, augment)
    side = min(longest, data.crop)
    shown = np.empty((len(draws), side, side, 3), dtype=np.uint8)
    for place, draw in enumerate(draws):
        sample = dataset[draw]
        raw, pixels = collate([sample]), sample.picture
        if augment is not None and (raw.erased is not None or raw.noise is not None):
            pixels = visible(data.normalised(raw, augment), data)[0]
        shown[place] = cv2.resize(pixels, (side, side), interpolation=cv2.INTER_AREA)
    return shown


def visible(batch: Batch, data: PictureData) -> NDArray[np.uint8]:
    """Return normalised pictures as uint8 [n, crop, crop, 3] again; what was erased shows the mean colour."""
    mean, std = (colour.view(1, 3, 1, 1) for colour in (data.mean, data.std))
    pixels: NDArray[np.uint8] = (
        ((batch.pictures * std + mean) * 255).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).numpy()
    )
    return pixels


def arrange(pictures: NDArray[np.uint8], columns: int = SIDE) -> Pixels:
    """Return pictures, uint8 [n, height, width, 3], side by side in rows on white: uint8 [height, width, 3]."""
    number, height, width, _ = pictures.shape
    rows = -(-number // columns)
    sheet = np.full((rows * (height + GAP) - GAP, columns * (width + GAP) - GAP, 3), 255, dtype=np.uint8)
    for place, picture in enumerate(pictures):
        top, left = place // columns * (height + GAP), place % columns * (width + GAP)
        sheet[top : top + height, left : left + width] = picture
    return sheet
