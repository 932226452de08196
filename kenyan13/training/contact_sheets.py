"""task=contact_sheets: 36 training images a class in a 6 x 6 sheet, as they are and augmented; nine by presets."""

import io
import json
from pathlib import Path

import numpy as np
from PIL import Image
from torch.utils.tensorboard import SummaryWriter

from kenyan13.config.compose import composed
from kenyan13.config.settings import Settings
from kenyan13.data.datamodule import ImageDataModule
from kenyan13.data.sampling import SHEETS, Draw, generator
from kenyan13.data.synthetic import draw_if_missing
from kenyan13.model.backbones import normalisation
from kenyan13.plots.grids import preset_plot
from kenyan13.plots.saving import render
from kenyan13.runs import directory
from kenyan13.runs.locate import run_directory
from kenyan13.terminal import progress
from kenyan13.training.board import add_encoded, remove_events
from kenyan13.training.display import console
from kenyan13.training.run import describe
from kenyan13.training.sheets import SIDE, arrange, draw_views, first_draws

PRESETS = ("none", "default", "enhanced")  # of conf/augment
LONGEST = 224  # pixels of an image in the presets' sheet


def write_contact_sheets(settings: Settings) -> Path:
    """Write sheets/original/CLASS.png, sheets/augmented/CLASS.png and sheets/presets.png, and all to TensorBoard.

    Returns the folder of the sheets. Raises UserError for data that cannot be used, or a folder of another run.
    """
    folder = run_directory(settings)
    draw_if_missing(settings.data)
    colours = normalisation(settings.model)
    data = ImageDataModule(settings, colours.mean, colours.std)
    described = describe(data)
    directory.check_same(folder, settings, described)
    with directory.only_process(folder):
        directory.write_config(folder, settings, described)
        remove_events(folder)  # of an earlier time
        with SummaryWriter(folder) as writer:
            write_sheet(folder, directory.PRESETS, preset_sheet(data), writer, "presets")
            written = {
                name: write_class_sheets(folder, data, k, writer)
                for k, name in progress(list(enumerate(data.classes)), "Contact sheets")
            }
        with directory.replacing(folder / directory.SHEETS) as listing:
            listing.write_text(json.dumps(written, indent=2) + "\n")
    console.print(f"{sum(map(len, written.values())) + 1} contact sheets: {folder / 'sheets'}")
    return folder / "sheets"


def write_class_sheets(folder: Path, data: ImageDataModule, k: int, writer: SummaryWriter) -> list[str]:
    """Write the two sheets of class k; returns their paths in the run directory."""
    name, draws, files = data.classes[k], class_draws(data, k), []
    for kind, augment in (("original", None), ("augmented", data.settings.augment)):
        buffer = io.BytesIO()
        Image.fromarray(arrange(draw_views(data, draws, augment, data.crop))).save(buffer, "PNG")
        files.append(f"sheets/{kind}/{name.replace('/', '_')}.png")
        write_sheet(folder, files[-1], buffer.getvalue(), writer, f"{kind}/{name}")
    return files


def write_sheet(folder: Path, file: str, sheet: bytes, writer: SummaryWriter, tag: str) -> None:
    """Write a PNG into the run directory and to TensorBoard."""
    (folder / file).parent.mkdir(parents=True, exist_ok=True)
    with directory.replacing(folder / file) as temporary:
        temporary.write_bytes(sheet)
    add_encoded(writer, tag, sheet, 0)


def class_draws(data: ImageDataModule, k: int) -> list[Draw]:
    """Return draws of up to 36 training images of class k, chosen by the seed."""
    members = np.flatnonzero(data.train.catalogue.labels() == k)
    rows = generator(SHEETS, data.settings.seed, k).permutation(members)[: SIDE * SIDE]
    return [Draw(int(row), 0, place) for place, row in enumerate(rows)]


def preset_sheet(data: ImageDataModule) -> bytes:
    """Return a PNG of the same nine training images, spread over the classes, under each of the study's presets."""
    draws = first_draws(data, 9)
    blocks = {}
    for name in PRESETS:
        shown = draw_views(data, draws, composed(f"augment={name}").augment, LONGEST)
        white = np.full((9 - len(shown), *shown.shape[1:]), 255, dtype=np.uint8)  # where there are fewer
        blocks[name] = np.concatenate([shown, white])
    return render(preset_plot(blocks))
