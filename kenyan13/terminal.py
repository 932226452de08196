"""The terminal: progress bars on standard error, so that what a command prints can be piped."""

from collections.abc import Iterable
from typing import TypeVar

from rich.console import Console
from rich.progress import track

T = TypeVar("T")


def progress(items: Iterable[T], label: str, total: int | None = None) -> Iterable[T]:
    """Yield items behind a progress bar with an estimate of the time left; no bar where nobody watches."""
    console = Console(stderr=True)
    return track(items, label, total, console=console, transient=True, disable=not console.is_terminal)
