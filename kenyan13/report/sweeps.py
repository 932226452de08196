"""Sections of sweeps: runs that differ in nothing but the value of one setting, such as the learning rate."""

import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from kenyan13.plots.sweep import sweep_plot
from kenyan13.report.overview import differing, run_table
from kenyan13.report.parts import Folder, Plot, Section
from kenyan13.report.runs import among, anchor_of, grouped, results
from kenyan13.runs.run import Run

VALUES = 3  # that make a sweep
Sweep = tuple[str, list[Run]]  # the setting, and the runs by its value


def sweep_jobs(runs: Sequence[Run], output: Path) -> list[Callable[[], Section]]:
    """Return what makes the sections of sweeps. Runs of named experiments belong to these, and are left out."""
    others = [run for run in runs if run.result and not run.setting("experiment")]
    return [
        partial(sweep_section, key, swept, Folder(output, f"sweep-{number}"))
        for number, (key, swept) in enumerate(sweeps(others), start=1)
    ]


def sweeps(runs: Sequence[Run]) -> Iterator[Sweep]:
    """Yield settings with three or more numbers as values, in runs that share all other settings, and images."""
    for key in differing(runs) if len(runs) >= VALUES else []:

        def shared(run: Run, key: str = key) -> str:
            others = {name: value for name, value in run.relevant.items() if name != key}
            return json.dumps([others, run.data], sort_keys=True)

        for same in grouped([run for run in runs if is_number(run.setting(key))], shared):
            if len({run.setting(key) for run in same}) >= VALUES:
                yield key, sorted(same, key=lambda run: float(run.setting(key)))


def is_number(value: object) -> bool:
    """Return whether a setting's value is a number; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def sweep_section(key: str, runs: Sequence[Run], folder: Folder) -> Section:
    """Return the section of a sweep over a setting, in which the runs are sorted by its value."""
    name = f"{runs[0].setting('model.backbone')}, pt{runs[0].setting('freeze.level')}"
    section = Section(folder.name, f"Sweep of {key}: {name}", [f"At which {key} does this network train best?"])
    section.tables = [run_table(f"{len(runs)} values of {key}", runs, first=key)]
    section.plots = [draw_sweep(name, key, [float(run.setting(key)) for run in runs], runs, folder, "sweep")]
    section.links = {run.name: anchor_of(run) for run in runs}
    section.conclusions = among(runs)
    return section


def draw_sweep(
    title: str, key: str, values: Sequence[float], runs: Sequence[Run], folder: Folder, file: str,
    study_best: float | None = None,
) -> Plot:  # fmt: skip
    """Draw lowest loss, sum of losses and accuracy of finished runs against their values of a setting."""
    found = results(runs)
    losses, accuracies = [result.min_val_loss for result in found], [result.accuracy for result in found]
    best = min(range(len(losses)), key=losses.__getitem__)
    text = (
        f"Metrics at {len(values)} values of {key} from {min(values):.3g} to {max(values):.3g}; "
        f"lowest loss {losses[best]:.3f} at {values[best]:.3g}, with accuracy {accuracies[best]:.1%}."
    )
    sums = [result.auc_loss for result in found]
    return folder.draw(file, f"{key}: {title}", text, sweep_plot, key, values, losses, sums, accuracies, study_best)
