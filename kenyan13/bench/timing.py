"""Rates of competitors measured in turns, so that whatever else the machine does hits all of them alike."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from statistics import median

import cv2
import torch

from kenyan13.terminal import progress

Job = Callable[[], int]  # does its work once and returns the number of images

CPU, WALL = "CPU time of one core", "wall time"
CLOCKS = {CPU: time.process_time, WALL: time.perf_counter}


@dataclass(frozen=True)
class Effort:
    """How often and how long each thing is measured."""

    rounds: int
    seconds: float  # the least in a round, so that the shortest jobs are not at the mercy of a moment


@dataclass(frozen=True)
class Figure:
    """One measured rate: of a competitor or a stage, under given circumstances."""

    name: str
    detail: str
    seconds: float  # an image, the median of the rounds
    clock: str

    @property
    def rate(self) -> float:
        """Images a second."""
        return 1 / self.seconds

    def plain(self) -> dict[str, str | float]:
        """Return the figure as plain values, for JSON."""
        return asdict(self) | {"images_per_second": self.rate}


def measure(jobs: Mapping[tuple[str, str], Job], effort: Effort, clock: str) -> list[Figure]:
    """Measure jobs, given by (name, detail), all of them in turn for several rounds; the first one warms up."""
    now = CLOCKS[clock]
    seconds: dict[tuple[str, str], list[float]] = {key: [] for key in jobs}
    turns = [(key, job) for _ in range(effort.rounds + 1) for key, job in jobs.items()]
    for key, job in progress(turns, "Measuring"):
        start = now()
        images = job()
        while now() - start < effort.seconds:
            images += job()
        seconds[key].append((now() - start) / images)
    return [Figure(*key, median(taken[1:]), clock) for key, taken in seconds.items()]


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
