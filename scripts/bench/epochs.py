"""Whole training epochs by two loops on the same images: a plain one with the study's input, and ours."""

import os
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

from bench.peers import Items, open_rgb, study_transforms
from torch.utils.data import DataLoader

from kenyan13.config.settings import Layout, Settings
from kenyan13.data.datamodule import default_workers
from kenyan13.training.bench import WALL, Job, Rate, Step, measure, open_data, train_loader

PLAIN, OURS = "plain loop, the study's input", "kenyan13"

_jobs: list[Job] = []  # the plain loop's, in its process


def compare(files: Sequence[Path], settings: Settings, rounds: int) -> list[Rate]:
    """Measure an epoch of both loops in turns, with all cores and the same number of loader processes.

    files: images below train/ in folders of classes. The plain loop has a process of its own, as torch makes it:
    without what `train.py` asks of memory and threads.
    """
    with tempfile.TemporaryDirectory(prefix="kenyan13-bench-") as cache, plain_process(files, settings) as plain:
        chosen = replace(settings.data, layout=Layout.folder, root=str(files[0].parents[2]), cache=cache)
        data = open_data(replace(settings, data=chosen))
        ours = Step(settings, len(data.classes)).epoch(data, train_loader(data, settings.data.workers))
        name = settings.model.backbone
        return measure({(PLAIN, name): plain, (OURS, name): ours}, rounds, 0, WALL)


@contextmanager
def plain_process(files: Sequence[Path], settings: Settings) -> Iterator[Job]:
    """Give the job of one epoch of the plain loop, made in another process."""
    policy = os.environ.get("OMP_WAIT_POLICY", "")
    os.environ["OMP_WAIT_POLICY"] = ""  # torch's own way: kenyan13 chooses one only where the variable is missing
    with ProcessPoolExecutor(1, get_context("spawn"), prepare, (list(files), settings)) as process:
        process.submit(len, "").result()  # starts it
        os.environ["OMP_WAIT_POLICY"] = policy
        yield lambda: process.submit(one_epoch).result()


def prepare(files: Sequence[Path], settings: Settings) -> None:
    """Keep an epoch of Pillow's images, in float32 and contiguous memory, for the calls that will come."""
    items = Items(files, open_rgb, study_transforms(settings.model.crop, settings.augment))
    loader = DataLoader(items, settings.model.batch_size, num_workers=default_workers(len(files)))
    step = Step(settings, classes=2, plain=True)
    device = step.fabric.device
    _jobs.append(lambda: step.finish(sum(step.train(images.to(device), y.to(device)) for images, y in loader)))


def one_epoch() -> int:
    """Make an epoch of the plain loop and return the number of its images."""
    return _jobs[0]()
