"""What limits training on this machine: decoding, augmentation, loader, model step and whole epochs, each measured."""

import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from lightning_fabric import Fabric
from torch import Tensor
from torch.optim import Adam
from torch.utils.data import DataLoader

from kenyan13.config import targets
from kenyan13.config.settings import Settings
from kenyan13.data.batches import ImageDataset, RawBatch
from kenyan13.data.datamodule import ImageDataModule
from kenyan13.data.images import load, resize_length
from kenyan13.data.sampling import Draw
from kenyan13.data.synthetic import draw_if_missing
from kenyan13.machine import available_cores, git_commit, versions
from kenyan13.model.backbones import build, normalisation
from kenyan13.model.freezing import Freeze
from kenyan13.terminal import progress
from kenyan13.training.device import one_device, precision

DECODE, AUGMENTATION, LOADER, STEP, EPOCH = "decoding", "augmentation", "loader", "model step", "whole epoch"
CPU, WALL = "one core", "wall"  # CPU time of one core, and wall time
CLOCKS = {CPU: time.process_time, WALL: time.perf_counter}

Job = Callable[[], int]  # does its work once and returns the number of images


@dataclass(frozen=True)
class Rate:
    """How fast one stage is, under given circumstances."""

    name: str
    detail: str
    seconds: float  # an image, the median of the rounds
    clock: str
    images_per_second: float


def measure(jobs: Mapping[tuple[str, str], Job], rounds: int, seconds: float, clock: str) -> list[Rate]:
    """Measure jobs, given by (name, detail), in turns, so that what else the machine does hits all of them alike.

    Each is done again until it has taken `seconds`, in `rounds` rounds after one that warms up.
    """
    now = CLOCKS[clock]
    taken: dict[tuple[str, str], list[float]] = {key: [] for key in jobs}
    turns = [(key, job) for _ in range(rounds + 1) for key, job in jobs.items()]
    for key, job in progress(turns, "Measuring"):
        start = now()
        images = job()
        while now() - start < seconds:
            images += job()
        taken[key].append((now() - start) / images)
    each = {key: median(times[1:]) for key, times in taken.items()}
    return [Rate(*key, time, clock, 1 / time) for key, time in each.items()]


@contextmanager
def one_core() -> Iterator[None]:
    """Keep torch and OpenCV from starting threads, so that CPU time is the time on one core."""
    before = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        cv2.setNumThreads(before[1])


def open_data(settings: Settings) -> ImageDataModule:
    """Return the data with which the settings train, decoded; the demo's images are drawn where there are none."""
    draw_if_missing(settings.data)
    colours = normalisation(settings.model)
    return ImageDataModule(settings, colours.mean, colours.std)


def measure_stages(settings: Settings, images: int, rounds: int, seconds: float) -> list[Rate]:
    """Measure every stage of training as the settings choose it.

    Decoding and augmentation are measured on up to `images` images, on one core; the loader with 0, 1, 2, 4 ... worker
    processes, the model and whole epochs on the settings' device.
    """
    data = open_data(settings)
    crop = settings.model.crop
    length = resize_length(crop)
    rows = np.linspace(0, len(data.train.catalogue) - 1, min(images, len(data.train.catalogue))).astype(int).tolist()
    views = ImageDataset(data.train, crop, settings.seed, settings.augment)
    on_one_core: dict[tuple[str, str], Job] = {
        (DECODE, f"{length} px"): lambda: len([load(data.train.catalogue.paths[row], length) for row in rows]),
        (AUGMENTATION, f"crop {crop}"): lambda: len([views[Draw(row, 0, row)] for row in rows]),
    }
    with one_core():
        rates = measure(on_one_core, rounds, seconds, CPU)
    step = Step(settings, len(data.classes))
    workers = [0, *(2**k for k in range(available_cores().bit_length()))] if seconds else [0, 1]
    jobs: dict[tuple[str, str], Job] = {}
    for number in workers:
        jobs[LOADER, f"{number} workers"] = epoch_of_batches(train_loader(data, number))
    name = settings.model.backbone.partition(".")[0]  # without its tag
    jobs[STEP, f"{name}, crop {crop}, {step.fabric.device.type}"] = step.synthetic_batches(settings)
    loader = train_loader(data, settings.data.workers)
    jobs[EPOCH, f"{loader.num_workers} workers"] = step.epoch(data, loader)
    return rates + measure(jobs, rounds, seconds, WALL)


def train_loader(data: ImageDataModule, workers: int | None) -> DataLoader[RawBatch]:
    """Return the loader of training batches with a number of worker processes; None: as training chooses it."""
    data.settings = replace(data.settings, data=replace(data.settings.data, workers=workers))
    return data.train_dataloader()


def epoch_of_batches(loader: DataLoader[RawBatch]) -> Job:
    """Return the making of an epoch's batches, left on the host."""
    return lambda: sum(len(raw.targets) for raw in loader)


class Step:
    """A network with an optimiser, and one training step of it, without Lightning's loop.

    plain: in float32 and contiguous memory, with torch's ordinary Adam, as a simple training loop has it.
    """

    def __init__(self, settings: Settings, classes: int, plain: bool = False) -> None:
        kind = one_device(settings).type
        self.fabric = Fabric(accelerator=kind, devices=1, precision="32-true" if plain else precision(settings))
        network = build(settings.model, classes, pretrained=False).train()
        freeze: Freeze = targets.build("freeze", settings.freeze)
        freeze.apply(network, freeze.level)
        if settings.model.channels_last and not plain:
            network = network.to(memory_format=torch.channels_last)
        optimizer = Adam(network.parameters(), fused=None if plain else True)
        self.network, self.optimizer = self.fabric.setup(network, optimizer)

    def train(self, images: Tensor, targets: Tensor) -> int:
        """Train on a batch, float32 [n, 3, crop, crop] and int64 [n], and return n; a GPU is not waited for."""
        loss = F.cross_entropy(self.network(images), targets)
        self.optimizer.zero_grad()
        self.fabric.backward(loss)
        self.optimizer.step()
        return len(targets)

    def finish(self, images: int) -> int:
        """Wait until the device has done everything; returns `images`."""
        if self.fabric.device.type == "cuda":
            torch.cuda.synchronize()
        return images

    def synthetic_batches(self, settings: Settings) -> Job:
        """Return four steps on images that need no input."""
        shape = (settings.model.batch_size, 3, settings.model.crop, settings.model.crop)
        images = torch.randn(shape, device=self.fabric.device).contiguous(memory_format=torch.channels_last)
        targets = torch.zeros(len(images), dtype=torch.int64, device=self.fabric.device)
        return lambda: self.finish(sum(self.train(images, targets) for _ in range(4)))

    def epoch(self, data: ImageDataModule, loader: DataLoader[RawBatch]) -> Job:
        """Return one training epoch."""

        def job() -> int:
            done = 0
            for raw in loader:
                images = raw.images.to(self.fabric.device, non_blocking=True)
                batch = data.on_after_batch_transfer(raw._replace(images=images), 0)
                done += self.train(batch.images, batch.targets.to(self.fabric.device))
            return self.finish(done)

        return job


def verdict(rates: Sequence[Rate]) -> str:
    """Say which of input and model limits the epoch, and what share of the model's own rate an epoch reaches."""
    fastest = {name: max(r.images_per_second for r in rates if r.name == name) for name in (LOADER, STEP, EPOCH)}
    loader, step, epoch = fastest.values()
    limit = (
        f"The input limits: {loader:,.0f} images/s; the model trains on {step:,.0f}."
        if loader < step
        else f"The model limits: {step:,.0f} images/s; the input makes {loader / step:.1f} x as many."
    )
    return f"{limit}\nA whole epoch reaches {epoch / step:.0%} of the model's rate with synthetic images."


def describe_machine() -> str:
    """Describe this machine in a line: processor, cores, graphics card, system."""
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    card = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    processor = names[0] if names else platform.processor() or platform.machine()
    return f"{processor}, {available_cores()} cores, {card}, {platform.system()} {platform.release()}"


def document(rates: Sequence[Rate], **facts: Any) -> dict[str, Any]:
    """Return what was measured, where and with what, as plain values for JSON."""
    where = {"date": date.today().isoformat(), "machine": describe_machine(), "versions": versions()}
    return {**where, "commit": git_commit(), **facts, "rates": [asdict(rate) for rate in rates]}
