"""Sections for runs outside the study: learning-rate sweeps, and all runs that were validated on the same images."""

import json
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from functools import partial
from pathlib import Path

from kenyan13.config.identity import relevant
from kenyan13.errors import shorten
from kenyan13.plots.accuracy import interval_figure
from kenyan13.report.conclusions import among
from kenyan13.report.group_figures import draw_rates, draw_sizes
from kenyan13.report.parts import Section, write_figure
from kenyan13.report.runs import anchor_of, notes, study_id
from kenyan13.runs.run import Run
from kenyan13.study.tables import Column, Table, Value, noise_notes

RATES = 3  # that make a sweep
MOST = 60  # runs in a figure of intervals
SETTINGS = 5  # that a table shows


def other_jobs(runs: Sequence[Run], output: Path) -> list[Callable[[], Section]]:
    """Return what makes the sections of finished training runs that are no experiments of the study."""
    others = [run for run in runs if run.result and study_id(run) is None]
    data = [group for group in grouped(others, validation_set) if len(group) > 1]
    sweeps = [group for group in grouped(others, all_but_rate) if len({rate(run) for run in group}) >= RATES]
    return [
        *(partial(data_section, group, f"data-{place}", output) for place, group in enumerate(data, start=1)),
        *(partial(rate_section, group, f"rates-{place}", output) for place, group in enumerate(sweeps, start=1)),
    ]


def grouped(runs: Sequence[Run], key: Callable[[Run], Hashable]) -> list[list[Run]]:
    """Return runs with the same key together."""
    groups: dict[Hashable, list[Run]] = defaultdict(list)
    for run in runs:
        groups[key(run)].append(run)
    return list(groups.values())


def validation_set(run: Run) -> Hashable:
    """Return what tells the images that a run was validated on, and their labels, from others."""
    return json.dumps([run.data.get("validation"), run.data.get("classes")])


def all_but_rate(run: Run) -> Hashable:
    """Return what runs of a learning-rate sweep share: images and all settings that matter but the rate."""
    settings = {key: value for key, value in relevant(run.settings).items() if key != "optim.lr"}
    return json.dumps([settings, run.data], sort_keys=True)


def rate(run: Run) -> float:
    """Return a run's learning rate."""
    return float(run.setting("optim.lr"))


COLUMNS = [
    Column("run", "run"), Column("lr", "rate"), Column("min_loss", "min loss", 3), Column("auc_loss", "AUC loss", 2),
    Column("accuracy", "accuracy %", 2), Column("macro_f1", "macro F1", 3), Column("overfitting", "overfitting", 3),
    Column("minutes", "minutes", 2),
]  # fmt: skip


def run_table(title: str, runs: Sequence[Run]) -> Table:
    """Return a row a run: its figures, and the settings in which the runs differ."""
    keys = differing(runs)
    shown = [Column(key, key.replace(".", " ").replace("_", " ")) for key in keys[:SETTINGS]]
    table = Table("", title, [*COLUMNS, *shown])
    results = [run.result for run in runs if run.result]
    for run, result in zip(runs, results, strict=True):
        figures: list[Value] = [result.min_val_loss, result.auc_loss, 100 * result.accuracy, result.macro_f1]
        chosen = [str(run.setting(key)).rpartition("/")[2] for key in keys[:SETTINGS]]  # of paths, the file
        row = [run.name, f"{rate(run):.2e}", *figures, result.overfitting, result.seconds / 60, *chosen]
        table.rows.append(row)
    table.notes = noise_notes(results)
    if len(keys) > SETTINGS:
        table.notes.append(f"The runs differ also in {shorten(keys[SETTINGS:])}; kenyan13 compare shows all settings.")
    return table


def differing(runs: Sequence[Run]) -> list[str]:
    """Return the settings that matter and are not the same in all runs, but for the rate, which has its own column."""
    settings = [relevant(run.settings) for run in runs]
    keys = dict.fromkeys(key for one in settings for key in one if key not in ("optim.lr", "data.root"))
    return [key for key in keys if any(one.get(key) != settings[0].get(key) for one in settings)]


def data_section(runs: Sequence[Run], anchor: str, output: Path) -> Section:
    """Return what runs on the same images tell together."""
    classes, images = runs[0].data.get("classes", []), runs[0].result.validation_images if runs[0].result else 0
    title = f"Runs on {images:,} validation images of {len(classes)} classes"
    roots = sorted({str(run.setting("data.root")) for run in runs})
    section = Section(
        anchor, title, [f"Which of these runs is best, and by how much? Data: {shorten(roots)}.", *notes(runs)]
    )
    ranked = sorted(runs, key=lambda run: -run.result.accuracy if run.result else 0)
    section.tables = [run_table(title, ranked)]
    families = {run.name: str(run.setting("model.backbone")) for run in runs}
    section.images = draw_sizes({run.name: run for run in ranked}, families, output, anchor)
    results = [run.result for run in ranked[:MOST] if run.result]
    figure = interval_figure(
        [run.name for run in ranked[:MOST]],
        [result.accuracy for result in results],
        [result.validation_images for result in results],
    )
    alt = f"Accuracies of {len(results)} runs with 95 % intervals; the table has the values."
    section.images.append(write_figure(output, f"figures/{anchor}/accuracy.png", "Accuracies", alt, figure))
    section.links = {run.name: anchor_of(run) for run in runs}
    section.conclusions = among(runs)
    return section


def rate_section(runs: Sequence[Run], anchor: str, output: Path) -> Section:
    """Return a learning-rate sweep: runs that differ in nothing else."""
    ranked = sorted(runs, key=rate)
    name = f"{ranked[0].setting('model.backbone')}, pt{ranked[0].setting('freeze.level')}"
    section = Section(anchor, f"Learning rate: {name}", ["At which learning rate does this network train best?"])
    section.tables = [run_table(f"{len(ranked)} rates of {name}", ranked)]
    file = f"figures/{anchor}/rates.png"
    section.images = [draw_rates(name, [rate(run) for run in ranked], ranked, output, file)]
    section.links = {run.name: anchor_of(run) for run in runs}
    section.conclusions = among(runs)
    return section
