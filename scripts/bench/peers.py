"""Training input of the study, torchvision, timm and kenyan13 on the same files.

Each ends with float32 batches [n, 3, crop, crop], normalised and erased, made on one core in this process.
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchvision.transforms as pil
from bench.measure import CPU, Job, Rate, measure, one_core
from PIL import Image
from timm.data.loader import create_loader
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import InterpolationMode, v2

from kenyan13.config.settings import AugmentSettings
from kenyan13.data.augmentation import erase_and_add_noise, normalise
from kenyan13.data.batches import ImageDataset, Images
from kenyan13.data.catalogue import Catalogue
from kenyan13.data.datamodule import whole
from kenyan13.data.images import load, resize_length
from kenyan13.data.sampling import EpochSampler
from kenyan13.data.store import Store

OURS = "kenyan13, from its store"
STUDY = "study: Pillow, from JPEG"
TORCHVISION = "torchvision v2, from decoded tensors"
TIMM = "timm create_loader, from JPEG"
STUDY_DECODE = "study: decode and resize only"
BUILD = "kenyan13: build the store"
BATCH = 16
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's

Epoch = Callable[[], Iterator[Tensor]]  # makes each image once more: float32 [n, 3, crop, crop]


def compare(
    files: Sequence[Path], crops: Sequence[int], augment: AugmentSettings, rounds: int, seconds: float
) -> list[Rate]:
    """Measure the input of all libraries at all crops, in turns, on the same files."""
    with one_core(), tempfile.TemporaryDirectory(prefix="kenyan13-bench-") as cache:
        jobs: dict[tuple[str, str], Job] = {}
        for crop in crops:
            images = stored(files, crop, Path(cache))
            inputs = {
                STUDY: study(files, crop, augment),
                TORCHVISION: torchvision_v2(images, crop, augment),
                TIMM: timm(files, crop, augment),
                OURS: ours(images, crop, augment),
            }
            jobs |= {(name, str(crop)): count(epoch) for name, epoch in inputs.items()}
            jobs |= {(STUDY_DECODE, str(crop)): decode_all(files, crop), (BUILD, str(crop)): build_store(files, crop)}
        return measure(jobs, rounds, seconds, CPU)


def ratios(rates: Sequence[Rate]) -> dict[str, dict[str, float]]:
    """Return, crop by crop, how many times as long as ours the others take; of our store, as decoding alone."""
    found: dict[str, dict[str, float]] = {}
    for crop in dict.fromkeys(rate.detail for rate in rates):
        seconds = {rate.name: rate.seconds for rate in rates if rate.detail == crop}
        found[crop] = {name: seconds[name] / seconds[OURS] for name in (STUDY, TORCHVISION, TIMM)}
        found[crop][BUILD] = seconds[BUILD] / seconds[STUDY_DECODE]
    return found


def stored(files: Sequence[Path], crop: int, cache: Path) -> Images:
    """Return the files' images in a store, for views of this crop."""
    store = Store(files, resize_length(crop), cache)
    targets = np.zeros(len(files), dtype=np.int64)
    catalogue = Catalogue(tuple(file.stem for file in files), tuple(files), targets, ("any",))
    return Images(catalogue, store, np.arange(len(files)))


class Items(Dataset[tuple[Any, int]]):
    """What `read` returns for each item, through the transform that a library sets; the target is always 0."""

    def __init__(
        self, items: Sequence[Any], read: Callable[[Any], Any], transform: Callable[[Any], Any] | None
    ) -> None:
        self.items, self.read, self.transform = items, read, transform

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        item = self.read(self.items[index])
        return (item if self.transform is None else self.transform(item)), 0


def open_rgb(file: Path) -> Image.Image:
    """Decode a file as the study did."""
    return Image.open(file).convert("RGB")


def count(epoch: Epoch) -> Job:
    """Return the job of making all batches of an epoch."""
    return lambda: sum(len(images) for images in epoch())


def batches(loader: DataLoader[Any]) -> Epoch:
    """Return the epoch that a loader of (images, targets) makes."""
    return lambda: (images for images, _ in loader)


def study(files: Sequence[Path], crop: int, augment: AugmentSettings) -> Epoch:
    """Return the study's training input: torchvision's transforms of Pillow's images."""
    return batches(DataLoader(Items(files, open_rgb, study_transforms(crop, augment)), BATCH))


def study_transforms(crop: int, augment: AugmentSettings) -> Callable[[Any], Any]:
    """Return the study's training transforms (study, Input transforms)."""
    steps = [pil.Resize(resize_length(crop)), *views(pil, crop, augment), pil.ToTensor(), *after(pil, augment)]
    composed: Callable[[Any], Any] = pil.Compose(steps)
    return composed


def torchvision_v2(images: Images, crop: int, augment: AugmentSettings) -> Epoch:
    """Return torchvision's v2 transforms of uint8 tensors that are decoded and resized already."""
    tensors = [torch.from_numpy(np.array(images.store[row]).transpose(2, 0, 1).copy()) for row in images.store_rows]
    steps = [*views(v2, crop, augment), v2.ToDtype(torch.float32, scale=True), *after(v2, augment)]
    return batches(DataLoader(Items(tensors, lambda tensor: tensor, v2.Compose(steps)), BATCH))


def views(library: Any, crop: int, augment: AugmentSettings) -> list[Any]:
    """Return the steps on whole images, of torchvision's first or second transforms."""
    shift = (augment.translation, augment.translation)
    bilinear = InterpolationMode.BILINEAR
    return [
        library.ColorJitter(tuple(augment.brightness), tuple(augment.contrast), tuple(augment.saturation), augment.hue),
        library.RandomVerticalFlip(augment.vertical_flip),
        library.RandomHorizontalFlip(augment.horizontal_flip),
        library.RandomAffine(augment.rotation, shift, tuple(augment.scale), augment.shear or None, bilinear),
        library.CenterCrop(crop),
    ]


def after(library: Any, augment: AugmentSettings) -> list[Any]:
    """Return the steps on float tensors."""
    erasing = augment.erasing
    erase = library.RandomErasing(erasing.probability, tuple(erasing.area), tuple(erasing.ratio))
    return [library.Normalize(MEAN, STD), erase]


def timm(files: Sequence[Path], crop: int, augment: AugmentSettings) -> Epoch:
    """Return timm's own loader: a random resized crop where the others have an affine map, which timm lacks."""
    jitter: Any = (*(1 - pair[0] for pair in (augment.brightness, augment.contrast, augment.saturation)), augment.hue)
    items: Any = Items(files, open_rgb, None)
    loader = create_loader(
        items, (3, crop, crop), min(BATCH, len(files)),  # it drops a last batch that is not full
        is_training=True, use_prefetcher=False, num_workers=0, persistent_workers=False, interpolation="bilinear",
        hflip=augment.horizontal_flip, vflip=augment.vertical_flip, color_jitter=jitter,
        re_prob=augment.erasing.probability, re_mode="const", mean=MEAN, std=STD,
    )  # fmt: skip
    return batches(loader)


def ours(images: Images, crop: int, augment: AugmentSettings) -> Epoch:
    """Return our training input, with what a training step does on the device."""
    dataset: Any = ImageDataset(images, crop, seed=0, augment=augment)
    rows = np.arange(len(dataset))
    sampler = EpochSampler(lambda epoch: rows, len(rows))
    loader: DataLoader[Any] = DataLoader(dataset, BATCH, sampler=sampler, collate_fn=whole)
    mean, std = torch.tensor(MEAN), torch.tensor(STD)

    def epoch() -> Iterator[Tensor]:
        sampler.set_epoch(sampler.epoch + 1)  # other views each time, as the others draw them
        for raw in loader:
            finished = normalise(raw.images, mean, std)
            erase_and_add_noise(finished, raw.erased, raw.noise, raw.seed, augment)
            yield finished

    return epoch


def decode_all(files: Sequence[Path], crop: int) -> Job:
    """Return the decoding and resizing of every file."""
    return lambda: len([load(file, resize_length(crop)) for file in files])


def build_store(files: Sequence[Path], crop: int) -> Job:
    """Return the writing of a store of all files."""

    def job() -> int:
        with tempfile.TemporaryDirectory(prefix="kenyan13-bench-") as folder:
            Store(files, resize_length(crop), Path(folder))
        return len(files)

    return job
