"""What a sweep (train.py -m) prints: plan, costs (--dry-run), time left, runs with their metrics."""

from collections import Counter
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from kenyan13.cli.app import console, print_next
from kenyan13.config.arguments import differing
from kenyan13.config.identity import differences
from kenyan13.config.settings import Layout, Settings
from kenyan13.errors import UserError
from kenyan13.runs.directory import CONFIG, TEST, State, read_state
from kenyan13.runs.locate import changed_settings, run_directory
from kenyan13.runs.result import Result, read_result
from kenyan13.study.definitions import CASCADE, Experiment, run_key
from kenyan13.terminal import align, duration, fit

INTENTS = {
    State.not_started: "to do",
    State.interrupted: "goes on where it stopped",
    State.failed: "failed before: tried again",
    State.finished: "finished before",
    State.running: "running elsewhere",
}
HEAD = ("", "run", "val loss", "accuracy", "F1", "epochs", "time")
WIDEST = 30  # of a name, so that the tables fit 80 columns
STATES = 4  # of each parameter, float32: the best weights, and the last with Adam's two moments


@dataclass(frozen=True)
class Planned:
    """One run of a sweep."""

    job: Sequence[str]
    settings: Settings
    folder: Path
    experiment: Experiment | None
    intent: str

    @property
    def is_cascade(self) -> bool:
        """Whether it puts others of the sweep together, which may have been trained again: it is made anew, at last."""
        return self.experiment is not None and self.experiment.kind == CASCADE

    @property
    def due(self) -> bool:
        """Whether it is to be run now. What runs elsewhere is tried at its turn: it may have been broken off."""
        return self.is_cascade or self.intent != INTENTS[State.finished]


def make_plan(jobs: Sequence[tuple[Sequence[str], Settings, Experiment | None]]) -> list[Planned]:
    """Return the runs of a sweep, each folder once. Raises UserError where different runs would share a folder."""
    planned: dict[tuple[str, ...], Planned] = {}
    for job, settings, experiment in jobs:
        folder = run_directory(settings)
        if any(one.folder == folder and differences(one.settings, settings) for one in planned.values()):
            raise UserError(f"Several runs of this sweep would be called {folder.name}.", "leave out name=")
        key = run_key(experiment, settings) if experiment else ("", str(folder))
        state = read_state(folder)
        if state is State.finished:
            state = State.not_started  # a damaged or another one, too, will be refused by its own words
            with suppress(UserError):
                read_result(folder)
                if not changed_settings(folder, settings):
                    done = not settings.data.test or (folder / TEST).exists()
                    state = State.finished if done else State.interrupted
        planned.setdefault(key, Planned(job, settings, folder, experiment, INTENTS[state]))
    return list(planned.values())


def result_of(folder: Path) -> Result | None:
    """Return a run's result; None, too, for a damaged one: the others go on."""
    try:
        return read_result(folder)
    except UserError:
        return None


def print_plan(planned: Sequence[Planned]) -> None:
    """Print how many runs there are, and what will be done about each."""
    counts = Counter(one.intent for one in planned)
    listed = ", ".join(f"{count} {words}" for words, count in counts.items())
    console.print(f"{len(planned)} run{'' if len(planned) == 1 else 's'}: {listed}", style="bold")
    if any(one.settings.data.layout is Layout.demo for one in planned):
        console.print("Synthetic drawings: the metrics say nothing about photographs.", style="yellow")
    if planned:
        console.print(align([("", label, one.intent) for label, one in zip(run_labels(planned), planned, strict=True)]))
        console.print("* behind an epoch's loss: the lowest of the run so far", style="dim")


def print_costs(planned: Sequence[Planned]) -> None:
    """Print images, time and disk of the runs that have not finished. Raises UserError for data that cannot be read.

    Time is by images, that of finished runs of the network at the size; disk is decoded images and checkpoints.
    """
    import torch

    from kenyan13.data.catalogue import read
    from kenyan13.data.images import resize_length
    from kenyan13.data.split import split
    from kenyan13.model.backbones import build
    from kenyan13.runs.run import read_all

    due = [one for one in planned if one.due and not one.is_cascade and result_of(one.folder) is None]
    rates: dict[tuple[str, int], float] = {}  # seconds an image, of each network and size
    places = {one.folder.parent for one in planned}
    for run in read_all([file.parent for place in places for file in place.glob(f"*/{CONFIG}")]):
        if run.result and (seen := run.result.epochs * run.result.train_images):
            rates[run.setting("model.backbone"), run.setting("model.crop")] = run.result.seconds / seen
    images, seconds, unknown, disk, stores = 0, 0.0, 0, 0.0, {}
    for one in due:
        model, data = one.settings.model, one.settings.data
        train, validation = split(read(data), data)
        with torch.device("meta"):
            disk += 4 * STATES * sum(value.numel() for value in build(model, 1, pretrained=False).parameters())
        stores[data.root, model.crop] = (len(train) + len(validation)) * 4 * resize_length(model.crop) ** 2
        epochs = one.settings.trainer.get("max_epochs", 0)
        views = len(train) * (epochs if isinstance(epochs, int) else 8)
        images += views
        rate = rates.get((model.backbone, model.crop))
        seconds, unknown = seconds + views * (rate or 0), unknown + (rate is None)
    console.print(f"{len(due)} to do: at most {images:,} images trained on")
    console.print(f"Time: about {duration(seconds)} for {len(due) - unknown}, by finished runs of their networks;")
    console.print(f"      not known for {unknown}, of whose network at its size no run has finished here")
    console.print(f"Disk: about {(disk + sum(stores.values())) / 1e9:,.1f} GB, {disk / 1e9:,.1f} of it checkpoints")
    console.print("Nothing was started (--dry-run).")


def print_time_left(planned: Sequence[Planned], ahead: Sequence[Planned]) -> None:
    """Print how many runs are ahead, and by the mean time of those that have finished how long they will take."""
    seconds = [result.seconds for one in planned if (result := result_of(one.folder))]
    left = sum(not one.is_cascade and result_of(one.folder) is None for one in ahead)
    if seconds and left:
        mean = sum(seconds) / len(seconds)
        console.print(f"{left} to do: about {duration(mean * left)}, by the mean time of {len(seconds)} finished")


def run_labels(planned: Sequence[Planned]) -> list[str]:
    """Return what tells each run from the others: its experiment, and the settings that the sweep varies."""
    jobs, labels = [one.job for one in planned], []
    for one in planned:
        words = differing(one.job, jobs) if len(jobs) > 1 else []
        if one.experiment:
            words = [one.experiment.name, *(word for word in words if not word.startswith("experiment="))]
        labels.append(fit(" ".join(words) or one.folder.name, WIDEST))
    return labels


def print_outcome(planned: Sequence[Planned], failed: Collection[Path]) -> None:
    """Print a row a run, the best marked, and the next commands. failed: folders of runs that have just failed."""
    results = {one.folder: result for one in planned if (result := result_of(one.folder))}
    ranked = sorted(results, key=lambda folder: results[folder].min_val_loss)
    comparable = len({repr(one.settings.data) for one in planned if one.folder in results}) == 1 and len(ranked) > 1
    rows: list[tuple[str, ...]] = [HEAD]
    for one, label in zip(planned, run_labels(planned), strict=True):
        mark = "*" if comparable and one.folder == ranked[0] else ""
        texts = ("failed" if one.folder in failed else read_state(one.folder).value, "", "", "", "")
        if result := results.get(one.folder):
            minutes, seconds = divmod(round(result.seconds), 60)
            shares = f"{result.accuracy:.2%}", f"{result.macro_f1:.3f}"
            texts = (f"{result.min_val_loss:.4f}", *shares, str(result.epochs), f"{minutes}:{seconds:02d}")
        rows.append((mark, label, *texts))
    console.print("\n" + align(rows, right=range(2, len(HEAD))))
    if comparable:
        console.print("* lowest validation loss")
    if any(read_state(one.folder) is State.running for one in planned):
        console.print("Some are at work in another process; the same command shows what became of them.")
    if planned:
        compare = [["kenyan13", "compare", *map(str, ranked[:2])]] if comparable else []
        print_next(["kenyan13", "report", planned[0].settings.runs], *compare)
