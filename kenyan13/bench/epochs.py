"""Whole training epochs by two loops on the same pictures: a plain one with the study's input, and ours."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader

from kenyan13.bench.peers import MEAN, STD, Items, open_rgb, study_steps
from kenyan13.bench.pictures import stored
from kenyan13.bench.stages import Step
from kenyan13.bench.timing import WALL, Effort, Figure, Job, measure
from kenyan13.data.augmentation import erase_and_add_noise, normalise
from kenyan13.data.batches import PictureDataset, RawBatch, collate
from kenyan13.data.datamodule import default_workers, use_one_thread
from kenyan13.data.sampling import EpochSampler
from kenyan13.settings import Settings

PLAIN, OURS = "plain loop, the study's input", "kenyan13"
CLASSES = 13


def compare_epochs(files: Sequence[Path], settings: Settings, effort: Effort) -> list[Figure]:
    """Measure an epoch of both loops in turns, with all cores and the same number of loader processes."""
    with tempfile.TemporaryDirectory(prefix="kenyan13-bench-") as cache:
        jobs = {
            (PLAIN, settings.model.backbone): plain_epoch(files, settings),
            (OURS, settings.model.backbone): our_epoch(files, settings, Path(cache)),
        }
        return measure(jobs, effort, WALL)


def plain_epoch(files: Sequence[Path], settings: Settings) -> Job:
    """Return an epoch with Pillow's pictures, in float32 and contiguous memory."""
    items = Items(files, open_rgb, study_steps(settings.model.crop, settings.augment))
    loader = DataLoader(items, settings.model.batch_size, num_workers=default_workers(len(files)))
    step = Step(settings, CLASSES, plain=True)
    return lambda: (
        sum(step.train(pictures.to(step.device), targets.to(step.device)) for pictures, targets in loader) + step.wait()
    )


def our_epoch(files: Sequence[Path], settings: Settings, cache: Path) -> Job:
    """Return an epoch as train.py makes it, from a store that is built before."""
    dataset = PictureDataset(stored(files, settings.model.crop, cache), settings.model.crop, 0, settings.augment)
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
            pictures = normalise(raw.pictures.to(step.device), mean, std)
            erase_and_add_noise(pictures, raw.erased, raw.noise, raw.seed, settings.augment)
            done += step.train(pictures, raw.targets.to(step.device))
        return done + step.wait()

    return job
