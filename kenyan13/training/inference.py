"""What a finished run is used for: its validation figures again from the checkpoint, and new predictions."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pytorch_lightning import Trainer

from kenyan13.config.settings import OnBad, Settings
from kenyan13.data.augmentation import centre_crop, normalise
from kenyan13.data.batches import Images
from kenyan13.data.catalogue import Catalogue, images_below, read
from kenyan13.data.datamodule import ImageDataModule
from kenyan13.data.images import UNREADABLE, Pixels, load, resize_length
from kenyan13.data.stages import stage_view
from kenyan13.errors import UserError, shorten
from kenyan13.machine import available_cores
from kenyan13.model.backbones import build, check_name, checkpoint_classes, load_weights, normalisation
from kenyan13.model.classifier import Classifier
from kenyan13.runs import directory
from kenyan13.terminal import progress
from kenyan13.training.device import one_device, precision
from kenyan13.training.display import quiet_libraries

AHEAD = 64  # images that are decoded before they are asked for


@dataclass(frozen=True)
class Run:
    """A trained run: its folder, settings and classes, and the network with the best epoch's weights."""

    folder: Path
    settings: Settings
    classes: tuple[str, ...]
    network: torch.nn.Module


def open_run(folder: Path, overrides: Sequence[str] = ()) -> Run:
    """Load a run from its directory, wherever that has been moved to.

    Raises UserError when the folder is no run directory, has no checkpoint, or an override does not fit.
    """
    settings = directory.read_settings(folder, overrides)
    checkpoint = folder / directory.BEST
    if not checkpoint.is_file():
        step = "give a run that was trained, with trainer.enable_checkpointing=true"
        raise UserError(f"{folder} has no {directory.BEST}: it has no network.", step)
    classes = checkpoint_classes(checkpoint)
    check_name(settings.model.backbone)
    network = build(settings.model, len(classes), pretrained=False)
    load_weights(network, checkpoint, classes)
    return Run(folder, settings, classes, network)


def evaluate(run: Run) -> dict[str, float]:
    """Return loss, accuracy and macro F1 on the run's validation images, computed as in training.

    Raises UserError when the data now has other classes than the run.
    """
    quiet_libraries()
    colours = normalisation(run.settings.model)
    data = ImageDataModule(run.settings, colours.mean, colours.std)
    check_classes(run, data.classes)
    network = run.network
    if run.settings.model.channels_last:
        network = network.to(memory_format=torch.channels_last)
    classifier = Classifier(network, run.classes)
    trainer = Trainer(
        accelerator="cpu" if run.settings.trainer.get("accelerator") == "cpu" else "auto",
        devices=1,
        precision=precision(run.settings),
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        deterministic="warn",
    )
    figures = trainer.validate(classifier, datamodule=data, verbose=False)[0]
    return {name.removeprefix("val_"): float(value) for name, value in figures.items()}


def check_classes(run: Run, classes: tuple[str, ...]) -> None:
    """Raise UserError when data has other classes than the run was trained on."""
    if classes != run.classes:
        raise UserError(
            f"{run.folder} was trained on other classes ({shorten(run.classes, 13)}) than the data in "
            f"{run.settings.data.root} has ({shorten(classes, 13)}).",
            "give the data of the run: data.root=DIR",
        )


def find_images(places: Sequence[Path]) -> list[Path]:
    """Return the images named, and those anywhere below the folders named. Raises UserError for what is not there."""
    found: list[Path] = []
    for place in places:
        if place.is_dir():
            found += images_below(place)
        elif place.is_file():
            found.append(place)
        else:
            raise UserError(f"There is no image or folder {place}.", "give the path of a photo or a folder of photos")
    if not found:
        raise UserError(f"There are no images in {shorten(places)}.", "images end in .jpg, .png, .webp and the like")
    return found


def test_images(run: Run) -> Catalogue:
    """Return the test images of the run's data set, in the run's classes. Raises UserError when it has none."""
    chosen = run.settings.data
    test = read(chosen).test
    if test is None or not len(test):
        raise UserError(
            f"The data in {chosen.root} has no test images.",
            "the competition's layout lists them in test.csv, the folder layout has them in test/",
        )
    test = stage_view(test, chosen.groups, chosen.stage)
    check_classes(run, test.classes)
    return test


def predict(run: Run, paths: Sequence[Path]) -> tuple[NDArray[np.float32], dict[int, str]]:
    """Return class probabilities, float32 [n, classes], of image files, and row -> reason for those left out.

    Files that cannot be read stop with one UserError that lists them, or with data.on_bad=skip are left out (their rows
    are not a number).
    """
    bad: dict[int, str] = {}

    def readable() -> Iterator[Pixels]:
        for row, crop in enumerate(crops_of(paths, run)):
            if isinstance(crop, str):
                bad[row] = crop
            else:
                yield crop

    known = forward(run, readable(), len(paths))
    probabilities = np.full((len(paths), len(run.classes)), np.nan, dtype=np.float32)
    probabilities[[row for row in range(len(paths)) if row not in bad]] = known
    if bad and run.settings.data.on_bad is OnBad.stop:
        listed = "\n    ".join(f"{paths[row]}: {reason}" for row, reason in list(bad.items())[:15])
        raise UserError(
            f"{len(bad):,} of {len(paths):,} images cannot be read:\n    {listed}",
            "repair or remove these files, or leave them out: data.on_bad=skip",
        )
    return probabilities, bad


def predict_stored(run: Run, images: Images) -> NDArray[np.float32]:
    """Return class probabilities, float32 [n, classes], of images that lie decoded in a store."""
    crop = run.settings.model.crop
    crops = (centre_crop(images.store[row], crop) for row in images.store_rows)
    return forward(run, crops, len(images.store_rows))


def forward(run: Run, crops: Iterator[Pixels], total: int) -> NDArray[np.float32]:
    """Return class probabilities, float32 [n, classes], of crops, uint8 [crop, crop, 3] each.

    total: how many crops there are at most.
    """
    device = one_device(run.settings)
    network = run.network.to(memory_format=torch.channels_last).to(device).eval()
    colours = normalisation(run.settings.model)
    mean, std = torch.tensor(colours.mean, device=device), torch.tensor(colours.std, device=device)
    low = precision(run.settings) == "bf16-mixed"
    size = run.settings.model.batch_size
    parts = [np.zeros((0, len(run.classes)), dtype=np.float32)]
    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=low):
        for _ in progress(range(0, total, size), "Predicting"):
            batch = list(islice(crops, size))
            if batch:
                logits = network(normalise(torch.from_numpy(np.stack(batch)).to(device), mean, std))
                parts.append(logits.float().softmax(dim=1).cpu().numpy())
    return np.concatenate(parts)


def crops_of(paths: Sequence[Path], run: Run) -> Iterator[Pixels | str]:
    """Yield each image's centre crop, uint8 [crop, crop, 3], or the reason why it cannot be read."""
    crop = run.settings.model.crop

    def one(path: Path) -> Pixels | str:
        try:
            return centre_crop(load(path, resize_length(crop)), crop)
        except UNREADABLE as error:
            return str(error) or type(error).__name__

    with ThreadPoolExecutor(available_cores()) as pool:
        for start in range(0, len(paths), AHEAD):  # not all at once: they would all be held in memory
            yield from pool.map(one, paths[start : start + AHEAD])
