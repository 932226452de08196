"""The run directory: the files that training writes and everything later reads, listed in docs/architecture.md."""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import Enum
from pathlib import Path
from zipfile import ZipFile

from filelock import FileLock, Timeout

from kenyan13.errors import BusyError, MachineError, UserError, explain_machine, first_line

CONFIG, METRICS, RESULT = "config.yaml", "metrics.csv", "result.json"
VALIDATION, TEST = "predictions.csv", "predictions_test.csv"
OUT_OF_FOLD = "predictions_out_of_fold.csv"  # of training images, by head=linear
SHEETS, SOFT = "sheets/presets.png", "predictions_soft.csv"  # what contact sheets, and two stages together, end with
FAILED, LOCK = "failed.txt", ".lock"  # the lock is held by the process that trains
MEMBERS = "members"
BEST, LAST = Path("checkpoints/best.ckpt"), Path("checkpoints/last.ckpt")


class State(Enum):
    """How far a run is; the values are what people read."""

    not_started = "not started"
    running = "running"
    interrupted = "interrupted"
    failed = "failed"
    finished = "finished"


def read_state(folder: Path) -> State:
    """Return how far the run in a folder is."""
    if not (folder / CONFIG).exists():
        return State.not_started
    if any((folder / end).exists() for end in (RESULT, SHEETS, SOFT)):
        return State.finished
    ended = State.failed if (folder / FAILED).exists() else State.interrupted
    if not (folder / LOCK).exists():
        return ended
    try:
        with FileLock(folder / LOCK, timeout=0):
            return ended
    except Timeout:
        return State.running
    except OSError:  # a folder that cannot be written to: nobody trains there
        return ended


def checkpoint_problem(file: Path) -> str:
    """Return why a checkpoint of a run is of no use; "" where each of its checksums is right.

    torch writes zip files, with a checksum for each tensor, and does not look at these when it reads.
    """
    try:
        with ZipFile(file) as archive:
            wrong = archive.testzip()
    except FileNotFoundError:
        return f"{file} is missing"
    except Exception as error:  # of zip, whatever the bytes are taken for
        return f"{file} is damaged: {first_line(error)}"
    return f"{file} is damaged: a wrong checksum" if wrong else ""


@contextmanager
def only_process(folder: Path) -> Iterator[None]:
    """Make the run directory and hold its lock; an error on the way is kept in failed.txt until the next try.

    Raises BusyError while another process holds it, and MachineError, which names the folder, for want of memory or
    room on the disk.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / LOCK, timeout=1):  # somebody may just be asking for its state
            (folder / FAILED).unlink(missing_ok=True)
            try:
                yield
            except Exception as error:
                with suppress(OSError):  # of a full disk
                    (folder / FAILED).write_text("".join(traceback.format_exception(error)))
                lack = None if isinstance(error, UserError) else explain_machine(error)
                if isinstance(lack, MachineError):
                    again = f"the same command goes on with {folder} after its last whole epoch"
                    raise MachineError(f"{folder}: {lack.problem}", *lack.next_steps, again) from error
                raise
    except Timeout:
        problem = f"Another process is training {folder}."
        raise BusyError(problem, "wait for it", "another name, as in name=second") from None


@contextmanager
def replacing(file: Path) -> Iterator[Path]:
    """Give a temporary path beside `file`, renamed to it at the end: the file is there whole, old or new.

    An error of the disk that names no file then names this one.
    """
    temporary = file.with_name(f".{file.name}.partial")
    try:
        yield temporary
        temporary.replace(file)
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = str(file)
        raise
    finally:
        temporary.unlink(missing_ok=True)
