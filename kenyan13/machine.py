"""What this machine is: cores, versions of what a result depends on, and the state of the code."""

import ctypes
import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

PACKAGES = (
    "torch",
    "torchvision",
    "timm",
    "pytorch-lightning",
    "numpy",
    "scikit-learn",
    "pillow",
    "opencv-python-headless",
)


_sharers = 1


def available_cores() -> int:
    """Return the number of cores that this process may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // _sharers)


def share_cores(runs: int) -> None:
    """Leave the other runs of `runs` at the same time their part of the cores."""
    global _sharers
    _sharers = max(1, runs)


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that a result depends on."""
    return {"python": platform.python_version()} | {name: version(name) for name in PACKAGES}


def git_commit() -> str | None:
    """Return the commit of the code, with "+changes" where files differ from it; None outside a git checkout."""

    def git(*arguments: str) -> str:
        folder = Path(__file__).parent
        return subprocess.run(
            ["git", *arguments], cwd=folder, capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("+changes" if git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def keep_freed_memory() -> None:
    """Have the C library keep freed memory for the next allocation instead of handing it back to the system.

    Training on the CPU frees and takes the same large tensors at every step; clearing fresh pages for them can take as
    long as the arithmetic. Does nothing where the C library is not glibc.
    """
    m_trim_threshold, m_top_pad, m_mmap_max = -1, -2, -4  # from glibc's malloc.h
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    mallopt(m_mmap_max, 0)
    mallopt(m_trim_threshold, -1)  # never
    mallopt(m_top_pad, 64 * 2**20)
