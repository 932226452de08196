"""Contact sheets: training images as they are and augmented, side by side; of a run's first epoch, or 36 a class."""

from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torchvision.utils import make_grid

from kenyan13.config.compose import composed
from kenyan13.config.settings import AugmentSettings
from kenyan13.data.batches import ImageDataset
from kenyan13.data.datamodule import ImageDataModule
from kenyan13.data.images import Pixels
from kenyan13.data.sampling import SHEETS, Draw, across_classes, generator
from kenyan13.runs.directory import replacing
from kenyan13.terminal import progress

SIDE, GAP = 6, 4  # images a row and a column; pixels between them
PRESETS = ("none", "default", "enhanced")  # of conf/augment, from above
LONGEST = 112  # pixels of an image in sheets of all classes


def first_draws(data: ImageDataModule, number: int) -> list[Draw]:
    """Return up to `number` draws of the first epoch, each of another image.

    They are spread over the classes, whose order they have, and chosen by the seed.
    """
    labels, seed = data.train.catalogue.targets, data.settings.seed
    rows, positions = np.unique(data.train_order()(0), return_index=True)
    chosen = across_classes(labels[rows], number, seed)
    return [Draw(int(rows[place]), 0, int(positions[place])) for place in chosen]


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
        batch = data.normalised(dataset.__getitems__([draw]), augment or data.settings.augment)
        normalised = batch.images[0].permute(1, 2, 0).numpy()
        if side < data.crop:
            normalised = cv2.resize(normalised, (side, side), interpolation=cv2.INTER_AREA)
        shown[place] = np.clip(np.rint((normalised * data.std.numpy() + data.mean.numpy()) * 255), 0, 255)
    return shown


def arrange(images: NDArray[np.uint8], a_row: int = SIDE) -> Pixels:
    """Return images, uint8 [n, side, side, 3], side by side in rows on white: uint8 [height, width, 3]."""
    grid = make_grid(torch.from_numpy(images).permute(0, 3, 1, 2), a_row, GAP, pad_value=255)
    return np.asarray(grid.permute(1, 2, 0))


def sheets(data: ImageDataModule, draws: list[Draw], longest: int) -> dict[str, Pixels]:
    """Return training images as they are ("original") and "augmented", uint8 [height, width, 3] each."""
    kinds = {"original": None, "augmented": data.settings.augment}
    return {kind: arrange(draw_views(data, draws, augment, longest)) for kind, augment in kinds.items()}


def write_contact_sheets(data: ImageDataModule, folder: Path) -> list[Path]:
    """Write original/CLASS.png, augmented/CLASS.png and last presets.png into a folder; returns the files.

    A class's sheets show up to 36 training images, chosen by the seed.
    """
    files: list[Path] = []

    def save(path: str, sheet: Pixels) -> None:
        files.append(folder / path)
        files[-1].parent.mkdir(parents=True, exist_ok=True)
        with replacing(files[-1]) as temporary:
            Image.fromarray(sheet).save(temporary, "PNG")

    for k, name in progress(list(enumerate(data.classes)), "Contact sheets"):
        members = np.flatnonzero(data.train.catalogue.targets == k)
        rows = generator(SHEETS, data.settings.seed, k).permutation(members)[: SIDE * SIDE]
        draws = [Draw(int(row), 0, position) for position, row in enumerate(rows)]
        for kind, sheet in sheets(data, draws, data.crop).items():
            save(f"{kind}/{name.replace('/', '_')}.png", sheet)
    save("presets.png", preset_sheet(data))
    return files


def preset_sheet(data: ImageDataModule) -> Pixels:
    """Return the same nine training images, spread over the classes, under each of the study's presets, a row each."""
    draws = first_draws(data, 9)
    rows = [draw_views(data, draws, composed(f"augment={name}").augment, LONGEST) for name in PRESETS]
    return arrange(np.concatenate(rows), len(draws))
