"""What this machine is: cores, versions of what a result depends on, and the state of the code."""

import ctypes
import os
import platform
import subprocess
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

PACKAGES = (
    "torch", "torchvision", "timm", "pytorch-lightning", "numpy", "scikit-learn", "pillow", "opencv-python-headless",
)  # fmt: skip


def available_cores() -> int:
    """Return the number of cores that this process may use: by its affinity, its container, LOKY_MAX_CPU_COUNT."""
    from joblib import cpu_count  # here, as it takes a tenth of a second

    return int(cpu_count())


def is_first_process() -> bool:
    """Return whether this is the first process of a data-parallel run, or the only one: by torch's rank, or Slurm's."""
    return os.environ.get("LOCAL_RANK", os.environ.get("SLURM_PROCID", "0")) == "0"


def processor() -> tuple[str, set[str]]:
    """Return the processor's name and flags, as amx_bf16; without flags where the system is not Linux on x86."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor(), set()
    fields = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return fields.get("model name", ""), set(fields.get("flags", "").split())


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that a result depends on."""
    return {"python": platform.python_version()} | {name: version(name) for name in PACKAGES}


def git_commit() -> str | None:
    """Return the commit of the code, with "+changes" where files differ from it; None outside a git checkout."""
    command = ["git", "describe", "--always", "--exclude=*", "--abbrev=40", "--dirty=+changes"]
    with suppress(OSError, subprocess.CalledProcessError):
        return subprocess.check_output(command, cwd=Path(__file__).parent, stderr=subprocess.DEVNULL, text=True).strip()
    return None


def keep_freed_memory() -> None:
    """Have glibc, where it is the C library, keep freed memory for the next allocation: the same tensors come back.

    Clearing fresh pages for them took a fifth of the wall time on the CPU (MobileNetV2 at 224 px, 2026-11-27).
    """
    m_trim_threshold, m_top_pad, m_mmap_max = -1, -2, -4  # from glibc's malloc.h
    with suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL("libc.so.6").mallopt
        for option, value in ((m_mmap_max, 0), (m_trim_threshold, -1), (m_top_pad, 64 * 2**20)):
            mallopt(option, value)


def give_memory_back() -> None:
    """Have the C library hand all freed memory back to the system. Does nothing where it is not glibc."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)
