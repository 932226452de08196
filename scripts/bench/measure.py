"""Times of jobs that are compared, measured in turns, and the machine that they were measured on."""

import json
import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import torch

from kenyan13.machine import available_cores, git_commit, versions
from kenyan13.terminal import progress

CPU, WALL = "one core", "wall"  # CPU time of one core, and wall time
CLOCKS = {CPU: time.process_time, WALL: time.perf_counter}

Job = Callable[[], int]  # does its work once and returns the number of images


@dataclass(frozen=True)
class Rate:
    """How fast one thing is, under given circumstances."""

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


def write(file: Path, content: dict[str, Any]) -> None:
    """Write what was measured as JSON, with the folders above the file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content, indent=2) + "\n")
