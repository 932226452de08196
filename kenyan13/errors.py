"""Mistakes that a user can mend: said on one screen, with the next step, exit code 2 and no traceback."""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from errno import EACCES, EDQUOT, EEXIST, EFBIG, EIO, EISDIR, EMFILE, ENOENT, ENOMEM, ENOSPC, ENOTDIR, EPERM, EROFS

from rich.console import Console
from rich.text import Text

from kenyan13.terminal import visible

# Hydra's own switch for full tracebacks, read here before main() sets it for another purpose; the second variable
# keeps it for the other processes of a data-parallel run.
FULL_ERROR = os.environ.get("KENYAN13_FULL_ERROR", os.environ.get("HYDRA_FULL_ERROR", "0")) not in ("", "0")

DISK_ERRORS = (EACCES, EEXIST, EISDIR, ENOENT, ENOTDIR, EPERM, EROFS)
ROOM = "make room, or raise the limit (ulimit -f, quota), or choose another disk: runs=DIR data.cache=DIR"
SMALLER = "a smaller model.batch_size, fewer data.workers, or trainer.accumulate_grad_batches=2"
# What the machine runs out of, by the words of the libraries that meet it.
SHORTAGES = {
    r"out of memory|can't allocate memory|bad_alloc|MemoryError": ("There is too little memory", SMALLER),
    r"DataLoader worker .*(killed by signal|exited unexpectedly)": (
        "A loader process was killed, perhaps for want of memory", SMALLER,
    ),
    r"TerminatedWorkerError": (  # of joblib, which then ends the others
        "A process of the sweep was killed, perhaps for want of memory, and with it all others",
        "the same command goes on; with fewer runs at once: hydra.launcher.n_jobs=1",
    ),
    r"PytorchStreamWriter|file write failed|unexpected pos": ("A file could not be written whole", ROOM),
}  # fmt: skip


class UserError(Exception):
    """What is wrong (naming the file, row or key), then one or more things to do about it."""

    exit_code = 2

    def __init__(self, problem: str, *next_steps: str) -> None:
        if problem.startswith("Caught "):  # a loader process hands on the text of its traceback, which ends with ours
            problem = problem.rpartition("UserError: ")[2].rstrip()
        super().__init__(problem, *next_steps)
        self.problem = problem
        self.next_steps = next_steps

    def __str__(self) -> str:
        return visible("\n".join([self.problem, *(f"  -> {step}" for step in self.next_steps)]))


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """Return " Did you mean 'x'?" for the closest known word, or an empty string when none is close."""
    close = get_close_matches(word, known, n=1, cutoff=0.5)
    return f" Did you mean '{close[0]}'?" if close else ""


def shorten(items: Sequence[object], most: int = 8) -> str:
    """Join items for a message; beyond `most` only their number is said, so that a message fits on one screen."""
    shown = ", ".join(str(item) for item in items[:most])
    return shown if len(items) <= most else f"{shown} and {len(items) - most:,} more"


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message; its type where there is none."""
    return (str(error).splitlines() or [type(error).__name__])[0]


class BusyError(UserError):
    """Another process is at work on the same run: no failure in a sweep that several processes share."""


class MachineError(UserError):
    """The machine lacks something, as memory or room on a disk: the same command goes on when it is there."""

    exit_code = 1


@contextmanager
def one_screen(explain: Callable[[Exception], UserError | None] = lambda error: None) -> Iterator[None]:
    """Print a UserError (or what `explain` makes one) and leave with its exit code; HYDRA_FULL_ERROR=1: a traceback."""
    try:
        yield
    except KeyboardInterrupt:
        Console(stderr=True).print("Interrupted. The same command goes on where it stopped.")
        raise SystemExit(130) from None
    except Exception as error:
        mistake = error if isinstance(error, UserError) else explain(error) or explain_machine(error)
        if FULL_ERROR or mistake is None:
            raise
        console = Console(stderr=True, highlight=False)
        console.print(Text.assemble(("Error: ", "bold red"), str(mistake)), soft_wrap=True)
        raise SystemExit(mistake.exit_code) from None


def explain_machine(error: BaseException) -> UserError | None:
    """Turn an unusable place into a UserError, want of room or memory into a MachineError, anything else into None."""
    if isinstance(error, OSError):
        place = error.filename or "The disk"
        if error.errno in DISK_ERRORS:
            return UserError(f"{place}: {error.strerror}.", "make room or give rights there, or choose another place")
        if error.errno in (ENOSPC, EDQUOT, EFBIG, EIO, EMFILE, ENOMEM):
            return MachineError(f"{place}: {error.strerror}.", SMALLER if error.errno == ENOMEM else ROOM)
    told = f"{type(error).__name__}: {error}"
    for words, (problem, step) in SHORTAGES.items():
        if isinstance(error, RuntimeError | MemoryError) and re.search(words, told):
            return MachineError(f"{problem}: {first_line(error)}", step)
    return None
