"""The report's sections: runs by their validation images, sweeps over one setting, and how all was made."""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

from kenyan13.analysis.compare import best_first, origins
from kenyan13.errors import shorten
from kenyan13.metrics.classification import standard_error
from kenyan13.plots.accuracy import Point, interval_plot, scatter_plot
from kenyan13.plots.training import sweep_plot
from kenyan13.report.run_page import among, anchor_of, grouped, is_synthetic, notes, results, same_images
from kenyan13.report.tables import Column, Folder, Plot, Row, Section, Table
from kenyan13.runs.predictions import labelled
from kenyan13.runs.run import Run, differing_settings

USUAL = ["model.backbone", "freeze.level", "optim.lr"]  # settings that are shown of a single run
SETTINGS = 5  # that a table shows
MOST = 60  # runs in a plot of intervals
VALUES = 3  # that make a sweep
METRICS = [
    Column("run", "run"), Column("accuracy", "accuracy %", 2), Column("standard_error", "± %", 2),
    Column("macro_f1", "macro F1", 3), Column("min_val_loss", "lowest loss", 3), Column("auc_loss", "AUC loss", 2),
    Column("overfitting", "overfitting per epoch", 3), Column("epochs", "epochs", 0), Column("minutes", "minutes", 2),
    Column("parameters", "million parameters", 2),
]  # fmt: skip
SO_FAR = [
    Column("run", "run"), Column("state", "state"), Column("epochs", "epochs", 0),
    Column("min_val_loss", "lowest loss so far", 3), Column("problem", "remark"),
]  # fmt: skip


def overview(runs: Sequence[Run], output: Path) -> Section:
    """Return the first page: finished runs by their validation images, photographs first, and the others.

    Runs of the same images share a table, the most accurate first, and plots: their accuracies compare.
    """
    states = Counter("unreadable" if run.problem else run.state.value for run in runs)
    counted = ", ".join(f"{number} {name}" for name, number in states.most_common())
    section = Section("overview", "Overview", [f"{counted}.", *notes(runs)])
    section.links = {run.name: anchor_of(run) for run in runs}
    sets = sorted(same_images(runs), key=lambda same: (is_synthetic(same[0]), -results(same)[0].validation_images))
    for number, same in enumerate(sets, start=1):
        ranked = sorted(same, key=best_first)
        section.tables.append(run_table(set_title(same), ranked))
        if len(same) == 1:
            section.texts.append(in_words(same[0]))
        else:
            folder = Folder(output, f"overview-{number}" if number > 1 else "overview")
            names, some = [run.name for run in ranked[:MOST]], results(ranked[:MOST])
            values = [one.accuracy for one in some], [one.validation_images for one in some]
            text = f"Accuracies of {len(some)} runs with 95 % intervals; the table has the values."
            title = f"Accuracy: {set_title(same)}"
            section.plots.append(folder.draw("accuracy", title, text, interval_plot, names, *values))
            families = {run.name: (run, str(run.setting("model.backbone"))) for run in ranked}
            section.plots += draw_sizes(families, folder)
    section.conclusions = among(runs) if any(len(same) > 1 for same in sets) else []
    rows: list[Row] = [
        {"run": run.name, "state": "unreadable", "problem": run.problem} if run.problem
        else {"run": run.name, "state": run.state.value, "problem": run.failure, **asdict(run.summary)}
        for run in runs if not run.result
    ]  # fmt: skip
    section.tables += [Table("", "Other runs", SO_FAR, rows)] if rows else []
    return section


def set_title(runs: Sequence[Run]) -> str:
    """Return what runs on the same images were validated on."""
    classes = len(runs[0].data.get("classes", []))
    kind = "synthetic drawings" if is_synthetic(runs[0]) else "validation images"
    roots = sorted({str(run.setting("data.root")) for run in runs})
    return f"{results(runs)[0].validation_images:,} {kind} of {classes} classes, {shorten(roots, 3)}"


def in_words(run: Run) -> str:
    """Return what a run that has none to be compared with has reached."""
    (result,), found = results([run]), run.summary
    interval = f"95 % interval {found.accuracy_low:.1%} to {found.accuracy_high:.1%}"
    text = (
        f"{run.name} names {round(result.accuracy * result.validation_images):,} of {set_title([run])} rightly: "
        f"{result.accuracy:.1%} ({interval}), macro F1 {result.macro_f1:.3f}."
    )
    if run.predictions is None:
        return text
    shares = labelled(run.predictions)["target"].value_counts(normalize=True)
    return f"{text} The largest class has {shares.max():.1%} of them."


def run_table(title: str, runs: Sequence[Run], first: str | None = None) -> Table:
    """Return a row a finished run: its metrics, and the settings in which the runs differ. first: one to begin with."""
    keys = [key for key in differing(runs) or USUAL if key != first]
    shown = [*([first] if first else []), *keys[:SETTINGS]]
    headings = [Column(key, key.replace(".", " ").replace("_", " ")) for key in shown]
    table = Table("", title, [METRICS[0], *headings, *METRICS[1:]])
    for run, result in zip(runs, results(runs), strict=True):
        values = {key: run.setting(key) for key in shown}  # of paths, the file is shown
        cells = {key: float(one) if is_number(one) else str(one).rpartition("/")[2] for key, one in values.items()}
        table.rows.append({
            "run": run.name, **cells, **asdict(result),
            "accuracy": 100 * result.accuracy,
            "standard_error": 100 * standard_error(result.accuracy, result.validation_images),
            "minutes": result.seconds / 60, "parameters": result.parameters / 1e6,
        })  # fmt: skip
    table.notes = ["± %: one standard error of the accuracy. AUC loss: the sum of the validation losses over epochs."]
    if len(keys) > SETTINGS:
        table.notes.append(f"The runs differ also in {shorten(keys[SETTINGS:])}; kenyan13 compare shows all settings.")
    return table


def differing(runs: Sequence[Run]) -> list[str]:
    """Return the settings that matter and are not the same in all runs, the usual ones first."""
    return sorted(differing_settings(runs), key=lambda key: key not in USUAL)


def draw_sizes(runs: Mapping[str, tuple[Run, str]], folder: Folder) -> list[Plot]:
    """Draw the accuracy of runs against their number of parameters, where these differ, and against training time.

    runs: name -> run and family of its model; runs that have not finished are left out.
    """
    done = [(name, run.result, family) for name, (run, family) in runs.items() if run.result]
    if not done:
        return []
    best = max(result.accuracy for _, result, _ in done)
    text = f"The highest accuracy is {best:.1%}, of {len(done)} runs; the table has all. The grey line joins the named."
    panels = {"size": ("model size", "Parameters, millions"), "time": ("training time", "Training time, minutes")}
    drawn = []
    for name, (title, label) in panels.items():
        # Times are in tenths of a second: that of a run of a moment is 0, which a logarithmic axis does not have.
        xs = [one.parameters / 1e6 if name == "size" else max(one.seconds, 0.1) / 60 for _, one, _ in done]
        points = [
            Point(run, x, result.accuracy, result.validation_images, family)
            for (run, result, family), x in zip(done, xs, strict=True)
        ]
        if name == "time" or len(set(xs)) > 1:
            drawn.append(folder.draw(name, f"Accuracy against {title}", text, scatter_plot, points, label))
    return drawn


def how_made(runs: Sequence[Run]) -> Section:
    """Return the last page: on what images, with what versions and of what commit the runs were made."""
    section = Section("made", "How it was made", ["What the runs' config.yaml says; each run's page has all settings."])
    columns = [Column("what", "what"), Column("value", "value"), Column("runs", "runs", 0)]
    found: Counter[tuple[str, str]] = Counter()
    for run in runs:
        if not run.problem:
            device = {"device": run.result.device} if run.result else {}
            found.update({"data": str(run.setting("data.root")), **origins(run), **device}.items())
    table = Table("", "Data, versions and commits", columns)
    for (what, value), count in sorted(found.items()):
        table.add(what, shorten(value.split(", "), 13), count)
    section.tables = [table]
    return section


def sweep_jobs(runs: Sequence[Run], output: Path) -> list[Callable[[], Section]]:
    """Return what makes the sections of sweeps. Runs of named experiments belong to these, and are left out.

    A sweep: a setting with three or more numbers as values, in runs that share all other settings, and images.
    """
    others = [run for run in runs if run.result and not run.setting("experiment")]
    jobs: list[Callable[[], Section]] = []
    for key in differing(others) if len(others) >= VALUES else []:

        def shared(run: Run, key: str = key) -> str:
            rest = {name: value for name, value in run.relevant.items() if name != key}
            return json.dumps([rest, run.data], sort_keys=True)

        for same in grouped([run for run in others if is_number(run.setting(key))], shared):
            if len({run.setting(key) for run in same}) >= VALUES:
                swept = sorted(same, key=lambda run: float(run.setting(key)))
                jobs.append(partial(sweep_section, key, swept, Folder(output, f"sweep-{len(jobs) + 1}")))
    return jobs


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
