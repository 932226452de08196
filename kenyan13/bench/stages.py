"""The stages of a training run, each measured by itself, and whole epochs: what limits this machine."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim import Adam, Optimizer
from torch.utils.data import DataLoader

from kenyan13.bench.images import read_paths, stored
from kenyan13.bench.peers import build_store, decode_all
from kenyan13.bench.timing import CPU, WALL, Effort, Figure, Job, measure, one_core
from kenyan13.config import targets
from kenyan13.config.settings import AugmentSettings, Sampling, Settings
from kenyan13.data.batches import ImageDataset, Images, RawBatch
from kenyan13.data.datamodule import ImageDataModule
from kenyan13.data.images import resize_length
from kenyan13.data.sampling import Draw, EpochSampler, epoch_order
from kenyan13.data.synthetic import draw_if_missing
from kenyan13.model.backbones import build, normalisation
from kenyan13.model.freezing import Freeze
from kenyan13.model.optimisation import create_optimizer
from kenyan13.training.device import one_device, precision

DECODE, BUILD, AUGMENTATION = "decode and resize", "store build", "augmentation"
SAMPLER, LOADER, STEP, EPOCH = "sampler, plain crops", "loader", "model step", "whole epoch"


def measure_input(
    settings: Settings, presets: Mapping[str, AugmentSettings], crops: Sequence[int], images: int, effort: Effort
) -> list[Figure]:
    """Measure decoding, store building and augmentation on one core, from the data set's own files."""
    files = read_paths(settings.data, images)
    jobs: dict[tuple[str, str], Job] = {}
    with one_core(), tempfile.TemporaryDirectory(prefix="kenyan13-bench-") as cache:
        for crop in crops:
            length = f"{resize_length(crop)} px"
            jobs |= {(DECODE, length): decode_all(files, crop), (BUILD, length): build_store(files, crop)}
            views = stored(files, crop, Path(cache))
            jobs |= {
                (SAMPLER, f"{times} x the ids, crop {crop}"): draw_some(views, crop, times) for times in (1, 10, 100)
            }
            jobs |= {
                (AUGMENTATION, f"{name}, crop {crop}"): view_all(ImageDataset(views, crop, settings.seed, augment))
                for name, augment in presets.items()
            }
        return measure(jobs, effort, CPU)


def draw_some(images: Images, crop: int, times: int) -> Job:
    """Return the drawing of an epoch's order over the images repeated, and the making of as many as there are files.

    What it takes should not grow with the number of ids.
    """
    labels = images.catalogue.labels()
    repeated = replace(images, store_rows=np.tile(images.store_rows, times), catalogue=images.catalogue.take(
        np.tile(np.arange(len(labels)), times)
    ))  # fmt: skip
    dataset = ImageDataset(repeated, crop, seed=0)
    order = epoch_order(Sampling.weighted, repeated.catalogue.labels(), np.bincount(labels), seed=0)
    sampler = EpochSampler(order, len(dataset))

    def job() -> int:
        draws = islice(sampler, len(labels))
        return sum(1 for draw in draws if dataset[draw].target >= 0)

    return job


def view_all(dataset: ImageDataset) -> Job:
    """Return the making of one view of every image."""

    def job() -> int:
        for row in range(len(dataset)):
            dataset[Draw(row, 0, row)]
        return len(dataset)

    return job


def measure_training(settings: Settings, most_workers: int, effort: Effort) -> list[Figure]:
    """Measure the loader with 0 to n workers, the model step, and whole training epochs, on the settings' device."""
    draw_if_missing(settings.data)
    colours = normalisation(settings.model)
    data = ImageDataModule(settings, colours.mean, colours.std)
    step = Step(settings, len(data.classes))
    synthetic = torch.randn(settings.model.batch_size, 3, settings.model.crop, settings.model.crop, device=step.device)
    targets = torch.zeros(settings.model.batch_size, dtype=torch.int64, device=step.device)
    jobs: dict[tuple[str, str], Job] = {}
    for workers in range(most_workers + 1):
        jobs[LOADER, f"{workers} workers"] = load_all(data, workers)
    model = f"{settings.model.backbone}, crop {settings.model.crop}, {step.device.type}"
    images = synthetic.contiguous(memory_format=torch.channels_last)
    jobs[STEP, model] = lambda: sum(step.train(images, targets) for _ in range(4)) + step.wait()
    loader = data.train_dataloader()
    jobs[EPOCH, f"{loader.num_workers} workers"] = train_all(step, data, loader)
    return measure(jobs, effort, WALL)


class Step:
    """A network with its optimiser, and one training step of it, as the settings say.

    plain: in float32 and contiguous memory, with torch's ordinary Adam, as a simple training loop has it.
    """

    def __init__(self, settings: Settings, classes: int, plain: bool = False) -> None:
        self.device = one_device(settings)
        self.network = build(settings.model, classes, pretrained=False).to(self.device).train()
        freeze: Freeze = targets.build("freeze", settings.freeze)
        freeze.apply(self.network, freeze.level)
        if settings.model.channels_last and not plain:
            self.network.to(memory_format=torch.channels_last)
        self.optimizer: Optimizer = (
            Adam(self.network.parameters(), settings.optim["lr"])
            if plain
            else create_optimizer(settings.optim, self.network)
        )
        self.low = precision(settings) == "bf16-mixed" and not plain

    def train(self, images: Tensor, targets: Tensor) -> int:
        """Train on a batch and return its size; on a GPU, without waiting for the end."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.low):
            loss = F.cross_entropy(self.network(images), targets)
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        return len(targets)

    def wait(self) -> int:
        """Wait until the device has done everything; returns 0 images."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return 0


def load_all(data: ImageDataModule, workers: int) -> Job:
    """Return the making of an epoch's batches by a number of loader processes, left on the host."""
    settings = data.settings
    data.settings = replace(settings, data=replace(settings.data, workers=workers))
    loader = data.train_dataloader()
    data.settings = settings
    return lambda: sum(len(raw.targets) for raw in loader)


def train_all(step: Step, data: ImageDataModule, loader: DataLoader[RawBatch]) -> Job:
    """Return one training epoch."""

    def job() -> int:
        done = 0
        for raw in loader:
            images = raw.images.to(step.device, non_blocking=True)
            batch = data.on_after_batch_transfer(raw._replace(images=images), 0)
            done += step.train(batch.images, batch.targets.to(step.device))
        return done + step.wait()

    return job


def verdict(figures: Sequence[Figure]) -> str:
    """Say which of input and model limits the epoch, and what share of the model's own rate an epoch reaches."""
    loader = max(figure.rate for figure in figures if figure.name == LOADER)
    step, epoch = (next(figure.rate for figure in figures if figure.name == name) for name in (STEP, EPOCH))
    if loader < step:
        limit = f"The input limits: at {loader:,.0f} images/s it is slower than the model, which trains on {step:,.0f}."
    else:
        limit = (
            f"The model limits: it trains on {step:,.0f} images/s, and the input makes {loader / step:.1f} x as many."
        )
    return f"{limit} A whole epoch reaches {epoch / step:.0%} of the model's rate with synthetic images."
