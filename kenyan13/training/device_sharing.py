"""Sharing one machine among runs that start at the same time: each takes a GPU, and its part of the cores.

Slurm allocates GPUs itself. `python train.py -m hydra/launcher=joblib` does not, so its runs take one here: a lock on a
file stands for a GPU, and lasts as long as the process.
"""

import getpass
import os
import re
import tempfile
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from time import sleep
from typing import Any

from filelock import FileLock, Timeout
from hydra.conf import HydraConf
from hydra.types import RunMode

from kenyan13.machine import available_cores

CORES_A_RUN = 4

_held: list[FileLock] = []  # lost with the process, however it ends


def visible_gpus() -> list[str]:
    """Return the GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    import torch

    count = torch.cuda.device_count()  # by NVML, which leaves CUDA itself untouched
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    return [name.strip() for name in named.split(",")][:count] if named else [str(k) for k in range(count)]


def runs_at_once() -> int:
    """Return how many runs this machine trains at the same time: one a GPU, else one for each four cores."""
    return len(visible_gpus()) or max(1, available_cores() // CORES_A_RUN)


@contextmanager
def launched(hydra: HydraConf, trainer: Mapping[str, Any]) -> Iterator[None]:
    """Make a process that a sweep's launcher has started ready for a run; elsewhere, nothing is done."""
    launcher = hydra.runtime.choices["hydra/launcher"]
    if hydra.mode is not RunMode.MULTIRUN or launcher == "basic":
        yield
        return
    os.environ["TTY_COMPATIBLE"] = "0"  # rich: no progress bars, which several processes would draw over each other
    if launcher == "joblib":
        share_machine(hydra.launcher.n_jobs, trainer)
    try:
        yield
    except Exception as error:
        # A traceback does not survive the way back to the sweep; notes do.
        error.add_note(traceback.format_exc())
        raise


def share_machine(runs: int, trainer: Mapping[str, Any]) -> None:
    """Take one of `runs` parts of the cores and, if the run trains on one, a GPU; once in the life of a process."""
    os.environ.setdefault("LOKY_MAX_CPU_COUNT", str(max(1, available_cores() // (runs or 1))))
    # before torch is imported, which reads it; joblib has set it already
    os.environ.setdefault("OMP_NUM_THREADS", str(available_cores()))
    if trainer.get("devices") == 1 and trainer.get("accelerator") in ("auto", "gpu", "cuda") and not _held:
        names = visible_gpus()
        if len(names) > 1:
            os.environ["CUDA_VISIBLE_DEVICES"], lock = take_gpu(names, lock_folder())
            _held.append(lock)


def take_gpu(names: Sequence[str], folder: Path, seconds: float = 5) -> tuple[str, FileLock]:
    """Return the first GPU that no other process has, and the lock that keeps it; while all are taken, wait."""
    locks = {name: FileLock(folder / re.sub(r"[^\w-]", "_", f"gpu-{name}"), thread_local=False) for name in names}
    waiting = False
    while True:
        for name, lock in locks.items():
            with suppress(Timeout):
                lock.acquire(timeout=0)
                return name, lock
        if not waiting:
            print(f"All {len(names)} GPUs are taken by other sweeps' runs: waiting for one ({folder}).", flush=True)
        waiting = True
        sleep(seconds)


def lock_folder() -> Path:
    """Return this user's folder for the locks, on this machine's own disk."""
    folder = Path(tempfile.gettempdir()) / f"kenyan13-{getpass.getuser()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder
