"""The report's sections of the study's groups: question, tables, plots, and what follows from them."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from kenyan13.config.presets import load_plain
from kenyan13.errors import UserError
from kenyan13.plots.accuracy import interval_plot
from kenyan13.plots.predictions import confusion_plot
from kenyan13.plots.style import MARKERS, OURS, STUDY, new_figure, styled
from kenyan13.report.run_page import among, anchor_of
from kenyan13.report.sections import draw_sizes, draw_sweep
from kenyan13.report.tables import Column, Folder, Plot, Section, Table
from kenyan13.runs.directory import CONFIG, RESULT, SHEETS, SOFT, State
from kenyan13.runs.run import Run
from kenyan13.study import definitions
from kenyan13.study.definitions import Group, experiments, groups, key_without_model, other_network
from kenyan13.study.ensembles import draw_ensembles, numbers
from kenyan13.study.group_tables import caution, tables
from kenyan13.study.tables import WITHIN
from kenyan13.study.verify import claims_table, verdicts_table

Found = Mapping[str, Run]  # the study's id -> our run of it


def study_jobs(runs: Sequence[Run], output: Path) -> list[Callable[[], Section]]:
    """Return what makes the sections of groups that have runs, and others for runs that are variants of the study's.

    If there are any, the last one is the ledger of deviations.
    """
    jobs: list[Callable[[], Section]] = []
    for number, (said, found) in enumerate(by_kind(runs).items()):
        for group in groups().values():
            if found.keys() & group.experiments.keys():
                folder = Folder(output, f"group-{group.letter}" + (f"-{number}" if number else ""))
                jobs.append(partial(group_section, group, found, said, folder))
    return [*jobs, deviations_section] if jobs else []


def deviations_section() -> Section:
    """Return the ledger of deviations: where we differ from the study, and what it does not tell."""
    ledger = load_plain(definitions.FILES.with_name("deviations.yaml"))
    headings = {"deviations": ("what", "study", "here", "why"), "not told by the study": ("what", "here")}
    section = Section("deviations", "Where we differ from the study")
    for key, names in headings.items():
        rows = [dict(zip(names, row, strict=True)) for row in ledger[key]]
        section.tables.append(Table(key, key, [Column(name, name) for name in names], rows))
    return section


def by_kind(runs: Sequence[Run]) -> dict[str, dict[str, Run]]:
    """Return runs by what sets them apart from the study's (see `caution`), and by id, which their configuration tells.

    Of several runs of an experiment this is a finished one, and of several finished ones the newest.
    """
    known, found = experiments().values(), defaultdict[str, dict[str, Run]](dict)

    def age(run: Run) -> tuple[bool, float]:
        # Files other than these do not count: predictions may be made years after a run.
        written = (run.folder / name for name in (RESULT, SHEETS, SOFT, CONFIG))
        return run.state is State.finished, next((one.stat().st_mtime for one in written if one.is_file()), 0.0)

    for run in sorted(runs, key=age):
        experiment, layout, root = (run.setting(key) for key in ("experiment", "data.layout", "data.root"))
        name = f"{run.setting('name')}-"  # begins with an experiment's where the run is a variant of it
        id_ = next((one.id for one in known if one.id == experiment or name.startswith(f"{one.name}-")), None)
        if not run.problem and id_:
            network = other_network(id_, str(run.setting("model.backbone") or ""))
            found[caution(experiment, layout, root, network)][id_] = run
    return dict(sorted(found.items()))


def group_section(group: Group, found: Found, said: str, folder: Folder) -> Section:
    """Return the section of one group. said: what sets these runs apart from the study's; "" for the study's own."""
    title = f"Group {group.letter}: {group.title}" + (f" ({said})" if said else "")
    section = Section(folder.name, title, [group.question])
    mine = {id_: run for id_, run in found.items() if id_ in group.experiments}
    if any(other_network(id_, str(run.setting("model.backbone"))) for id_, run in mine.items()):
        # With one network for all, experiments that differ in theirs only are one run.
        done = {key_without_model(group.experiments[id_]) for id_ in mine}
        own = {id_: one for id_, one in group.experiments.items() if id_ in mine or key_without_model(one) not in done}
        group = replace(group, experiments=own)
    try:
        section.tables = tables(group, found, said)
        section.details = [table for table in (verdicts_table(group, found), claims_table(group, found)) if table.rows]
        if group.letter in ("C", "G"):  # whose networks are of many sizes
            sized = {id_: (run, group.experiments[id_].series) for id_, run in mine.items()}
            section.plots = draw_sizes(sized, folder)
        elif group.letter in PLOTS:
            section.plots = PLOTS[group.letter](found if group.ensembles_of else mine, section.tables, folder)
        section.plots += draw_intervals(section.tables, folder)
    except (UserError, ValueError, KeyError) as error:
        section.texts.append(f"Not all can be shown: {error}")
    section.links = {id_: anchor_of(run) for id_, run in found.items()}
    section.conclusions = among(list(mine.values()))
    rows = [row for table in section.tables for row in table.rows if "id" in row and "accuracy_difference" in row]
    if rows and not said:
        beyond = [f"{row['id']} ({row['accuracy_difference']:+.1f})" for row in rows if row["noise"] != WITHIN]
        within = f"{len(rows) - len(beyond)} of {len(rows)} are within noise (two standard errors of a difference)"
        told = f"; beyond it: {', '.join(beyond)} points." if beyond else "."
        section.conclusions.insert(0, f"Beside the study's accuracies, {within}{told}")
    return section


def plots_a(runs: Found, tables: Sequence[Table], folder: Folder) -> list[Plot]:
    """Seconds an epoch by loader workers."""
    workers, seconds, study = (numbers(tables[0], key) for key in ("workers", "seconds", "seconds_study"))
    if not any(seconds):
        return []
    text = "Seconds an epoch against the number of loader workers, ours and the study's; table A1 has the values."
    return [folder.draw("workers", "Loader workers", text, worker_plot, workers, seconds, study)]


def plots_b(runs: Found, tables: Sequence[Table], folder: Folder) -> list[Plot]:
    """Losses and accuracy against the learning rate, a plot a model."""
    drawn = []
    rate = {id_: float(one.settings["optim.lr"]) for id_, one in groups()["B"].experiments.items()}
    for letter, row in zip("ABC", tables[0].rows, strict=True):
        done = {id_: run for id_, run in runs.items() if experiments()[id_].series == row["model"] and run.result}
        if done:
            values = ([rate[id_] for id_ in done], list(done.values()), folder, f"rates_{letter}")
            drawn.append(draw_sweep(row["model"], "learning rate", *values, rate[row["id_study"]]))
    return drawn


def plots_e(runs: Found, tables: Sequence[Table], folder: Folder) -> list[Plot]:
    """The confusion matrices of the two stages and of both together."""
    composed = next((run for id_, run in runs.items() if experiments()[id_].kind == definitions.CASCADE), None)
    if composed is None:
        return []
    titles = {"stage1": "First stage", "hard": "Both stages, hard gating", "soft": "Both stages, soft gating"}
    drawn = []
    for k, file in enumerate(sorted(composed.folder.glob("confusion_*.csv"))):
        matrix, name = pd.read_csv(file, index_col="target"), file.stem.removeprefix("confusion_")
        counts, title = matrix.to_numpy(), titles.get(name, f"Second stage: {name}")
        text = f"{np.trace(counts)} of {counts.sum()} images on the diagonal."
        drawn.append(folder.draw(f"confusion_{k}", title, text, confusion_plot, counts, list(matrix.columns)))
    return drawn


def draw_intervals(tables: Sequence[Table], folder: Folder) -> list[Plot]:
    """Draw the accuracies of each table of experiments with their intervals, beside the study's."""
    drawn = []
    for table in tables:
        rows = [row for row in table.rows if "experiment" in row and "accuracy" in row]
        if rows:
            names = [f"{row['id']} {row['experiment']}" for row in rows]
            images = [row["validation_images"] for row in rows]
            study = [row["accuracy_study"] / 100 if "accuracy_study" in row else None for row in rows]
            text = f"Accuracies of table {table.name} with 95 % intervals, and the study's."
            values = (names, [row["accuracy"] / 100 for row in rows], images)
            title = f"Accuracies of {table.name}: {table.title}"
            drawn.append(folder.draw(f"accuracy_{table.name}", title, text, interval_plot, *values, study=study))
    return drawn


PLOTS: dict[str, Callable[[Found, Sequence[Table], Folder], list[Plot]]] = {
    "A": plots_a, "B": plots_b, "E": plots_e, "H": draw_ensembles,
}  # fmt: skip


@styled
def worker_plot(workers: Sequence[int], seconds: Sequence[float | None], study: Sequence[float | None]) -> Figure:
    """Draw seconds an epoch over the number of loader processes, ours and the study's; None is left out."""
    figure = new_figure(7.0, 4.2)
    axes = figure.add_subplot()
    fastest = []
    for k, (name, values) in enumerate((("Ours", seconds), ("Study", study))):
        known = sorted((n, one) for n, one in zip(workers, values, strict=True) if one is not None)
        xs, ys = np.array(known).reshape(-1, 2).T
        axes.plot(xs, ys, color=(OURS, STUDY)[k], linestyle="-:"[k], marker=MARKERS[k], markersize=5.5, label=name)
        if known:
            best, least = min(known, key=lambda point: point[1])
            fastest.append(f"{name}: fastest with {best} process{'es' * (best != 1)}, {least:.3g} s an epoch")
    axes.set_title("; ".join(fastest) or "No values")
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(MaxNLocator(16, integer=True, min_n_ticks=1))
    axes.set(xlabel="Loader worker processes", ylabel="Seconds an epoch")
    axes.legend(loc="upper right")
    return figure
