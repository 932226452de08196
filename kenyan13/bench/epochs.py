"""Whole training epochs by two loops on the same images: a plain one with the study's input, and ours."""

import multiprocessing
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader

from kenyan13.bench.images import stored
from kenyan13.bench.peers import MEAN, STD, Items, open_rgb, study_steps
from kenyan13.bench.stages import Step
from kenyan13.bench.timing import WALL, Effort, Figure, Job, measure
from kenyan13.config.settings import Settings
from kenyan13.data.augmentation import erase_and_add_noise, normalise
from kenyan13.data.batches import ImageDataset, RawBatch, collate
from kenyan13.data.datamodule import default_workers, use_one_thread
from kenyan13.data.sampling import EpochSampler

PLAIN, OURS = "plain loop, the study's input", "kenyan13"
CLASSES = 13


def compare_epochs(files: Sequence[Path], settings: Settings, effort: Effort) -> list[Figure]:
    """Measure an epoch of both loops in turns, with all cores and the same number of loader processes.

    The plain loop has a process of its own, as torch makes it: without what `train.py` asks of memory and threads.
    """
    with tempfile.TemporaryDirectory(prefix="kenyan13-bench-") as cache, plain_process(files, settings) as plain:
        jobs = {
            (PLAIN, settings.model.backbone): plain,
            (OURS, settings.model.backbone): our_epoch(files, settings, Path(cache)),
        }
        return measure(jobs, effort, WALL)


@contextmanager
def plain_process(files: Sequence[Path], settings: Settings) -> Iterator[Job]:
    """Give the job of one epoch of the plain loop, made in another process."""
    here, there = multiprocessing.Pipe()
    policy = os.environ.pop("OMP_WAIT_POLICY", "")
    os.environ["OMP_WAIT_POLICY"] = ""  # torch's own way: kenyan13 chooses one only where the variable is missing
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=serve, args=(there, list(files), settings))
    process.start()
    there.close()  # or this process would wait for ever if the other one broke off
    os.environ["OMP_WAIT_POLICY"] = policy

    def job() -> int:
        here.send("epoch")
        images: int = here.recv()
        return images

    try:
        yield job
    finally:
        here.send(None)
        process.join()


def serve(connection: Connection, files: Sequence[Path], settings: Settings) -> None:
    """Make an epoch of the plain loop each time it is asked for, and send the number of its images."""
    job = plain_epoch(files, settings)
    while connection.recv() is not None:
        connection.send(job())


def plain_epoch(files: Sequence[Path], settings: Settings) -> Job:
    """Return an epoch with Pillow's images, in float32 and contiguous memory."""
    items = Items(files, open_rgb, study_steps(settings.model.crop, settings.augment))
    loader = DataLoader(items, settings.model.batch_size, num_workers=default_workers(len(files)))
    step = Step(settings, CLASSES, plain=True)
    return lambda: (
        sum(step.train(images.to(step.device), targets.to(step.device)) for images, targets in loader) + step.wait()
    )


def our_epoch(files: Sequence[Path], settings: Settings, cache: Path) -> Job:
    """Return an epoch as train.py makes it, from a store that is built before."""
    dataset = ImageDataset(stored(files, settings.model.crop, cache), settings.model.crop, 0, settings.augment)
    rows = np.arange(len(dataset))
    workers = default_workers(len(dataset))
    loader: DataLoader[RawBatch] = DataLoader(
        dataset,  # type: ignore[arg-type]  # collate makes batches of its samples
        settings.model.batch_size,
        sampler=EpochSampler(lambda epoch: rows, len(rows)),
        num_workers=workers,
        persistent_workers=workers > 0,
        worker_init_fn=use_one_thread,
        collate_fn=collate,
    )
    step = Step(settings, CLASSES)
    mean, std = torch.tensor(MEAN, device=step.device), torch.tensor(STD, device=step.device)

    def job() -> int:
        done = 0
        for raw in loader:
            images = normalise(raw.images.to(step.device), mean, std)
            erase_and_add_noise(images, raw.erased, raw.noise, raw.seed, settings.augment)
            done += step.train(images, raw.targets.to(step.device))
        return done + step.wait()

    return job
