"""What limits training on this machine: decoding, augmentation, loader, model step and whole epochs, each measured."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from lightning_fabric import Fabric
from torch import Tensor
from torch.optim import Adam
from torch.utils.benchmark import Timer

from kenyan13.config import targets
from kenyan13.config.settings import Settings
from kenyan13.data.batches import ImageDataset
from kenyan13.data.datamodule import ImageDataModule
from kenyan13.data.images import load, resize_length
from kenyan13.data.sampling import Draw
from kenyan13.model.backbones import build
from kenyan13.terminal import progress
from kenyan13.training.inference import open_data
from kenyan13.training.trainer import one_device, precision

DECODE, AUGMENTATION, LOADER, STEP, EPOCH = "decoding", "augmentation", "loader", "model step", "whole epoch"
IMAGES = 64  # that decoding and augmentation are measured on

Job = Callable[[], int]  # does its work once and returns the number of images


class Rate(NamedTuple):
    """Images a second of one stage, and what it was measured with."""

    stage: str
    of: str
    images_per_second: float


def measure_stages(settings: Settings, seconds: float = 2.0) -> list[Rate]:
    """Measure every stage of training as the settings choose it, each for `seconds` or more.

    Decoding and augmentation are measured on one core; loader, model and whole epochs on the settings' device.
    """
    data = open_data(settings)
    crop, paths = settings.model.crop, data.train.catalogue.paths[:IMAGES]
    views, loader = ImageDataset(data.train, crop, settings.seed, settings.augment), data.train_dataloader()
    step = Step(settings, len(data.classes))
    name, workers = settings.model.backbone.partition(".")[0], f"workers: {loader.num_workers}"
    jobs: list[tuple[str, str, Job]] = [
        (DECODE, "one core", lambda: len([load(path, resize_length(crop)) for path in paths])),
        (AUGMENTATION, "one core", lambda: len([views.view(Draw(row, 0, row)) for row in range(len(paths))])),
        (LOADER, workers, lambda: sum(len(raw.targets) for raw in loader)),
        (STEP, f"{name}, {step.fabric.device.type}", lambda: step.synthetic(settings)),
        (EPOCH, workers, lambda: step.epoch(data)),
    ]
    return [Rate(stage, of, measure(job, seconds, "core" in of)) for stage, of, job in progress(jobs, "Measuring")]


def measure(job: Job, seconds: float, one_thread: bool) -> float:
    """Return the images a second of a job, done once before and then again until `seconds` have passed."""
    images = job()
    threads = 1 if one_thread else torch.get_num_threads()
    timer = Timer("job()", globals={"job": job}, num_threads=threads)
    return images / float(timer.blocked_autorange(min_run_time=seconds).median)


class Step:
    """A network with an optimiser, and training steps of it, without Lightning's loop."""

    def __init__(self, settings: Settings, classes: int) -> None:
        self.fabric = Fabric(accelerator=one_device(settings).type, devices=1, precision=precision(settings))
        network = build(settings.model, classes, pretrained=False).train()
        freeze = targets.build("freeze", settings.freeze)
        freeze.apply(network, freeze.level)
        if settings.model.channels_last:
            network = network.to(memory_format=torch.channels_last)
        self.network, self.optimizer = self.fabric.setup(network, Adam(network.parameters(), fused=True))

    def train(self, images: Tensor, targets: Tensor) -> int:
        """Train on a batch, float32 [n, 3, crop, crop] and int64 [n], and return n; a GPU is not waited for."""
        loss = F.cross_entropy(self.network(images), targets)
        self.optimizer.zero_grad()
        self.fabric.backward(loss)
        self.optimizer.step()
        return len(targets)

    def synthetic(self, settings: Settings) -> int:
        """Train four steps on images that need no input."""
        shape = (settings.model.batch_size, 3, settings.model.crop, settings.model.crop)
        images = torch.zeros(shape, device=self.fabric.device).contiguous(memory_format=torch.channels_last)
        targets = torch.zeros(len(images), dtype=torch.int64, device=self.fabric.device)
        return sum(self.train(images, targets) for _ in range(4))

    def epoch(self, data: ImageDataModule) -> int:
        """Train one epoch."""
        done = 0
        for raw in data.train_dataloader():
            batch = data.on_after_batch_transfer(data.transfer_batch_to_device(raw, self.fabric.device, 0), 0)
            done += self.train(batch.images, batch.targets)
        return done


def verdict(rates: Sequence[Rate]) -> str:
    """Return which of input and model limits the epoch, and what share of the model's own rate an epoch reaches."""
    by_stage = {rate.stage: rate.images_per_second for rate in rates}
    loader, step, epoch = by_stage[LOADER], by_stage[STEP], by_stage[EPOCH]
    limit = (
        f"The input limits: {loader:,.0f} images/s; the model trains on {step:,.0f}."
        if loader < step
        else f"The model limits: {step:,.0f} images/s; the input makes {loader / step:.1f} x as many."
    )
    return f"{limit}\nA whole epoch reaches {epoch / step:.0%} of the model's rate with synthetic images."
