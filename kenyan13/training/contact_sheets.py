"""task=contact_sheets: 36 training pictures a class in a 6 x 6 sheet, as they are and as they are augmented."""

import json
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.utils.tensorboard import SummaryWriter

from kenyan13.data.batches import Batch, PictureDataset, collate
from kenyan13.data.datamodule import PictureData
from kenyan13.data.pictures import Pixels
from kenyan13.data.sampling import SHEETS, Draw, generator
from kenyan13.data.synthetic import draw_if_missing
from kenyan13.model.backbones import normalisation
from kenyan13.naming import run_directory
from kenyan13.settings import Settings
from kenyan13.terminal import progress
from kenyan13.training import directory
from kenyan13.training.display import console
from kenyan13.training.run import describe

SIDE, GAP = 6, 4  # pictures a row and a column; pixels between them


def write_contact_sheets(settings: Settings) -> Path:
    """Write sheets/original/CLASS.png and sheets/augmented/CLASS.png into the run directory, and both to TensorBoard.

    Returns the folder of the sheets. Raises UserError for data that cannot be used, or a folder of another run.
    """
    folder = run_directory(settings)
    draw_if_missing(settings.data)
    colours = normalisation(settings.model)
    data = PictureData(settings, colours.mean, colours.std)
    described = describe(data)
    directory.check_same(folder, settings, described)
    with directory.only_process(folder):
        directory.write_config(folder, settings, described)
        written: dict[str, list[str]] = {}
        with SummaryWriter(folder) as board:
            for k, name in progress(list(enumerate(data.classes)), "Contact sheets"):
                written[name] = []
                for kind, batch in class_views(data, k).items():
                    sheet = arrange(visible(batch, data))
                    file = f"sheets/{kind}/{name.replace('/', '_')}.png"
                    (folder / file).parent.mkdir(parents=True, exist_ok=True)
                    with directory.replacing(folder / file) as temporary:
                        Image.fromarray(sheet).save(temporary, "PNG")
                    board.add_image(f"{kind}/{name}", sheet, dataformats="HWC")
                    written[name].append(file)
        with directory.replacing(folder / directory.SHEETS) as listing:
            listing.write_text(json.dumps(written, indent=2) + "\n")
    console.print(f"{sum(map(len, written.values()))} contact sheets: {folder / 'sheets'}")
    return folder / "sheets"


def class_views(data: PictureData, k: int) -> dict[str, Batch]:
    """Return up to 36 training pictures of class k, chosen by the seed, as they are and as an epoch would show them."""
    seed, crop = data.settings.seed, data.crop
    members = np.flatnonzero(data.train.catalogue.labels() == k)
    rows = generator(SHEETS, seed, k).permutation(members)[: SIDE * SIDE]
    draws = [Draw(int(row), 0, place) for place, row in enumerate(rows)]
    batches: dict[str, Batch] = {}
    for kind, augment in (("original", None), ("augmented", data.settings.augment)):
        dataset = PictureDataset(data.train, crop, seed, augment)
        batches[kind] = data.on_after_batch_transfer(collate([dataset[draw] for draw in draws]), 0)
    return batches


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
