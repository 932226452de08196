"""What a sweep (python train.py -m) is about to do, and what came of it. Imports no torch."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import indent

from rich.console import Console

from kenyan13.config.identity import differences
from kenyan13.config.settings import Settings, Task
from kenyan13.errors import UserError
from kenyan13.machine import available_cores
from kenyan13.runs.directory import TEST, State, read_state
from kenyan13.runs.locate import differing_settings, run_directory
from kenyan13.runs.result import read_result
from kenyan13.terminal import align, duration

console = Console(highlight=False, soft_wrap=True, markup=False)
SKIPPED = "skipped: more workers than cores"
ELSEWHERE = "running elsewhere"
ANEW = "put together anew"  # it takes seconds, and its stages may have been trained again
NEXT = {
    State.not_started: "to do",
    State.interrupted: "goes on where it stopped",
    State.failed: "failed before: tried again",
    State.finished: "finished before",
    State.running: ELSEWHERE,
}


@dataclass
class Planned:
    """One run of a sweep: its overrides, settings and folder, and in words what will be done about it."""

    job: Sequence[str]
    settings: Settings
    folder: Path
    intent: str

    @property
    def due(self) -> bool:
        """Whether it is to be run now. What runs elsewhere is tried at its turn: it may have been broken off."""
        return self.intent not in (NEXT[State.finished], SKIPPED)


def make_plan(jobs: Sequence[tuple[Sequence[str], Settings]], named: Collection[str]) -> list[Planned]:
    """Return the runs of a sweep, each folder once.

    `named` are the experiments that were asked for by their whole id: only those time more workers than there are
    cores. Raises UserError where different runs would share a folder.
    """
    planned: dict[Path, Planned] = {}
    for job, settings in jobs:
        folder = run_directory(settings)
        if folder in planned and differences(planned[folder].settings, settings):
            raise UserError(f"Several runs of this sweep would be called {folder.name}.", "leave out name=")
        planned.setdefault(folder, Planned(job, settings, folder, intent(job, settings, folder, named)))
    return list(planned.values())


def intent(job: Sequence[str], settings: Settings, folder: Path, named: Collection[str]) -> str:
    """Return in words what will be done about a run."""
    state = read_state(folder)
    if state is State.finished and differing_settings(folder, settings):
        return NEXT[State.not_started]  # and will be refused by its own words
    if state is State.finished and settings.task is Task.cascade:
        return ANEW
    if state is State.finished and settings.data.test and not (folder / TEST).exists():
        return NEXT[State.interrupted]
    chosen = [word.removeprefix("experiment=") for word in job if word.startswith("experiment=")]
    too_many = (settings.data.workers or 0) > available_cores()
    if too_many and state is not State.finished and chosen and chosen[-1] not in named:
        return SKIPPED
    return NEXT[state]


def print_plan(planned: Sequence[Planned]) -> None:
    """Say how many runs there are, and what will be done about each."""
    counts = Counter(one.intent for one in planned)
    listed = ", ".join(f"{count} {words}" for words, count in counts.items())
    console.print(f"{len(planned)} run{'' if len(planned) == 1 else 's'}: {listed}", style="bold")
    if any(one.settings.smoke for one in planned):
        console.print("Smoke runs: toy size, on synthetic drawings. Their figures say nothing.", style="yellow")
    if planned:
        rows = [(str(one.folder), varied(one, planned), one.intent) for one in planned]
        console.print(indent(align(rows), "  "))
    if any(one.intent == SKIPPED for one in planned):
        console.print(f"This machine has {available_cores()} cores; to time more workers, name the ids: experiment=ACP")
    console.print()


def differing(job: Sequence[str], jobs: Sequence[Sequence[str]]) -> list[str]:
    """Return the overrides of a job that not all jobs have; of a single job, all."""
    common = set(jobs[0]).intersection(*jobs) if len(jobs) > 1 else set()
    return [word.lstrip("+") for word in job if word not in common]


def varied(one: Planned, planned: Sequence[Planned]) -> str:
    """Return what a run's name does not say of what the sweep varies; of a single run, nothing."""
    words = differing(one.job, [other.job for other in planned]) if len(planned) > 1 else []
    return " ".join(word for word in words if not word.startswith("experiment="))


def print_outcome(planned: Sequence[Planned], failed: Collection[Path]) -> None:
    """Print a row a run: state and figures. failed: folders of runs that have just failed."""
    head: tuple[str, ...] = ("run", "settings", "state", "val loss", "accuracy", "macro F1", "epochs", "time")
    rows: list[tuple[str, ...]] = [
        (one.folder.name, varied(one, planned), outcome(one, failed), *figures(one.folder)) for one in planned
    ]
    if not any(row[1] for row in rows):  # the study's experiments: their names say it
        head, rows = head[:1] + head[2:], [row[:1] + row[2:] for row in rows]
    console.print("\n" + align([head, *rows], right=range(len(head) - 5, len(head))))
    elsewhere = sum(ELSEWHERE in row for row in rows)
    if elsewhere:
        console.print(f"{elsewhere} still at work in another process; the same command shows what became of it.")


def outcome(one: Planned, failed: Collection[Path]) -> str:
    """Return in a word or two how a run of the sweep has ended."""
    if one.folder in failed:
        return "failed"
    state = read_state(one.folder)
    return SKIPPED if one.intent == SKIPPED else ELSEWHERE if state is State.running else state.value


def figures(folder: Path) -> tuple[str, ...]:
    """Return a finished run's figures as texts; dashes for others."""
    result = read_result(folder)
    if result is None:
        return ("-",) * 5
    minutes, seconds = divmod(round(result.seconds), 60)
    return (
        f"{result.min_val_loss:.4f}",
        f"{result.accuracy:.2%}",
        f"{result.macro_f1:.3f}",
        str(result.epochs),
        f"{minutes}:{seconds:02d}",
    )


def print_progress(done: int, total: int, seconds: float) -> None:
    """Say how many runs of a sweep are made, and by their mean time how long the rest will take.

    seconds: that the runs made have taken together.
    """
    if 0 < done < total:
        left = duration(seconds / done * (total - done))
        console.print(f"{done} of {total} runs made, about {left} left by their mean time")
