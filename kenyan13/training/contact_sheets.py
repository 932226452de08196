"""Contact sheets: 36 training images a class in a 6 x 6 sheet, as they are and augmented; nine under each preset."""

from pathlib import Path

import numpy as np
from PIL import Image

from kenyan13.config.compose import composed
from kenyan13.config.settings import Settings
from kenyan13.data.datamodule import ImageDataModule
from kenyan13.data.sampling import SHEETS, Draw, generator
from kenyan13.data.synthetic import draw_if_missing
from kenyan13.model.backbones import normalisation
from kenyan13.plots.grids import preset_plot
from kenyan13.plots.saving import render
from kenyan13.runs.directory import replacing
from kenyan13.terminal import progress
from kenyan13.training.sheets import SIDE, arrange, draw_views, first_draws

PRESETS = ("none", "default", "enhanced")  # of conf/augment
LONGEST = 224  # pixels of an image in the presets' sheet


def open_data(settings: Settings) -> ImageDataModule:
    """Return the images of a run with these settings. Raises UserError for data that cannot be used."""
    draw_if_missing(settings.data)
    colours = normalisation(settings.model)
    return ImageDataModule(settings, colours.mean, colours.std)


def write_contact_sheets(data: ImageDataModule, folder: Path) -> dict[str, list[str]]:
    """Write presets.png, original/CLASS.png and augmented/CLASS.png into a folder.

    Returns the two files of each class, relative to the folder.
    """
    for kind in ("original", "augmented"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    with replacing(folder / "presets.png") as file:
        file.write_bytes(preset_sheet(data))
    return {
        name: [write_sheet(data, k, folder, kind) for kind in ("original", "augmented")]
        for k, name in progress(list(enumerate(data.classes)), "Contact sheets")
    }


def write_sheet(data: ImageDataModule, k: int, folder: Path, kind: str) -> str:
    """Write the sheet of class k, original or augmented; returns its path in the folder."""
    augment = data.settings.augment if kind == "augmented" else None
    path = f"{kind}/{data.classes[k].replace('/', '_')}.png"
    with replacing(folder / path) as file:
        Image.fromarray(arrange(draw_views(data, class_draws(data, k), augment, data.crop))).save(file, "PNG")
    return path


def class_draws(data: ImageDataModule, k: int) -> list[Draw]:
    """Return draws of up to 36 training images of class k, chosen by the seed."""
    members = np.flatnonzero(data.train.catalogue.targets == k)
    rows = generator(SHEETS, data.settings.seed, k).permutation(members)[: SIDE * SIDE]
    return [Draw(int(row), 0, position) for position, row in enumerate(rows)]


def preset_sheet(data: ImageDataModule) -> bytes:
    """Return a PNG of the same nine training images, spread over the classes, under each of the study's presets."""
    draws = first_draws(data, 9)
    blocks = {}
    for name in PRESETS:
        shown = draw_views(data, draws, composed(f"augment={name}").augment, LONGEST)
        white = np.full((9 - len(shown), *shown.shape[1:]), 255, dtype=np.uint8)  # where there are fewer
        blocks[name] = np.concatenate([shown, white])
    return render(preset_plot(blocks))
