"""Whole training epochs by two loops on the same images: a plain one with the study's input, and ours."""

import os
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import torch
import torch.nn.functional as F
from bench.measure import WALL, Job, Rate, measure
from bench.peers import Items, open_rgb, study_transforms
from bench.stages import Step
from torch.utils.data import DataLoader

from kenyan13.config.settings import Layout, Settings
from kenyan13.machine import available_cores
from kenyan13.model.backbones import build
from kenyan13.training.inference import open_data
from kenyan13.training.trainer import one_device

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
        step, name = Step(settings, len(data.classes)), settings.model.backbone
        ours = finished(one_device(settings), lambda: step.epoch(data))
        return measure({(PLAIN, name): plain, (OURS, name): ours}, rounds, 0, WALL)


def finished(device: torch.device, job: Job) -> Job:
    """Return a job that waits until the device has done everything."""

    def waiting() -> int:
        images = job()
        if device.type == "cuda":
            torch.cuda.synchronize()
        return images

    return waiting


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
    loader = DataLoader(items, settings.model.batch_size, num_workers=max(1, min(8, available_cores() - 1)))
    device = one_device(settings)
    network = build(settings.model, 2, pretrained=False).train().to(device)
    optimizer = torch.optim.Adam(network.parameters())

    def epoch() -> int:
        done = 0
        for images, targets in loader:
            loss = F.cross_entropy(network(images.to(device)), targets.to(device))
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            done += len(targets)
        return done

    _jobs.append(finished(device, epoch))


def one_epoch() -> int:
    """Make an epoch of the plain loop and return the number of its images."""
    return _jobs[0]()
