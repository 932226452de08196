"""task=contact_sheets: 36 training pictures a class in a 6 x 6 sheet, as they are and as they are augmented."""

import json
from pathlib import Path

import numpy as np
from PIL import Image
from torch.utils.tensorboard import SummaryWriter

from kenyan13.data.batches import Batch, PictureDataset, collate
from kenyan13.data.datamodule import PictureData
from kenyan13.data.sampling import SHEETS, Draw, generator
from kenyan13.data.synthetic import draw_if_missing
from kenyan13.model.backbones import normalisation
from kenyan13.naming import run_directory
from kenyan13.settings import Settings
from kenyan13.terminal import progress
from kenyan13.training import directory
from kenyan13.training.display import console
from kenyan13.training.run import describe
from kenyan13.training.sheets import SIDE, arrange, visible


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
