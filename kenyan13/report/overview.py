"""The report's first page, with all runs in one table, and its last, on how they were made."""

from collections import Counter
from collections.abc import Sequence

from kenyan13.metrics.statistics import standard_error
from kenyan13.report.parts import Section
from kenyan13.report.runs import anchor_of, notes
from kenyan13.runs.run import Run
from kenyan13.study.tables import Column, Table, Value

COLUMNS = [
    Column("run", "run"), Column("state", "state"), Column("accuracy", "accuracy %", 2),
    Column("standard_error", "± SE", 2), Column("macro_f1", "macro F1", 3), Column("min_loss", "min loss", 3),
    Column("overfitting", "overfitting", 3), Column("epochs", "epochs", 0), Column("backbone", "backbone"),
    Column("level", "layers"), Column("lr", "rate"), Column("parameters", "million parameters", 2),
    Column("minutes", "minutes", 2), Column("images", "images", 0),
]  # fmt: skip


def overview(runs: Sequence[Run]) -> Section:
    """Return the first page: how many runs there are, and their table, the most accurate first."""
    states = Counter(state(run) for run in runs)
    counted = ", ".join(f"{number} {name}" for name, number in states.most_common())
    section = Section("overview", "Overview", [f"{counted}.", *notes(runs)])
    section.texts += [f"{run.folder} cannot be read: {run.problem}" for run in runs if run.problem]
    section.texts += [f"{run.name} has failed: {why}" for run in runs if (why := run.failure)]
    table = Table("", "All runs", COLUMNS)
    table.rows = [overview_row(run) for run in sorted(runs, key=accuracy, reverse=True)]
    table.notes = [
        "± SE: one standard error of the accuracy, by the number of validation images.",
        "Accuracies of runs with different validation images do not compare.",
    ]
    if any(run.metrics is not None and not run.result for run in runs):
        table.notes.append("Of runs that have not finished, epochs and lowest loss are those so far.")
    section.tables = [table]
    section.links = {run.name: anchor_of(run) for run in runs}
    return section


def state(run: Run) -> str:
    """Return how far a run is, in words."""
    return "unreadable" if run.problem else run.state.value


def accuracy(run: Run) -> float:
    """Return a run's accuracy, 0..1; -1 without one."""
    return run.result.accuracy if run.result else -1.0


def overview_row(run: Run) -> list[Value]:
    """Return a run's cells of COLUMNS."""
    level, rate = run.setting("freeze.level"), run.setting("optim.lr")
    what: list[Value] = [
        str(run.setting("model.backbone") or "-"),
        None if level is None else f"pt{level}",
        f"{rate:.2e}" if isinstance(rate, float) else None,
    ]
    result = run.result
    if result is None:
        return [run.name, state(run), *[None] * 3, *so_far(run), *what, *[None] * 3]
    error = 100 * standard_error(result.accuracy, result.validation_images)
    figures: list[Value] = [100 * result.accuracy, error, result.macro_f1, result.min_val_loss, result.overfitting]
    end: list[Value] = [result.parameters / 1e6, result.seconds / 60, float(result.validation_images)]
    return [run.name, state(run), *figures, float(result.epochs), *what, *end]


def so_far(run: Run) -> list[Value]:
    """Return lowest loss, overfitting and number of the epochs of a run that has not finished."""
    if run.metrics is None or run.metrics["val_loss"].isna().all():
        return [None] * 3
    return [float(run.metrics["val_loss"].min()), None, float(len(run.metrics))]


def how_made(runs: Sequence[Run]) -> Section:
    """Return the last page: on what images, with what versions and of what commit the runs were made."""
    section = Section("made", "How it was made", ["What the runs' config.yaml says; each run's page has all settings."])
    readable = [run for run in runs if not run.problem]
    columns = [Column("what", "what"), Column("value", "value"), Column("runs", "runs", 0)]
    table = Table("", "Data, versions and commits", columns)
    found: Counter[tuple[str, str]] = Counter()
    for run in readable:
        found.update(
            [
                ("commit", run.commit),
                *((f"version of {name}", str(version)) for name, version in run.versions.items()),
                *((f"{part} images", fingerprint(run, part)) for part in ("train", "validation")),
                ("data", str(run.setting("data.root"))),
                ("device", run.result.device if run.result else "-"),
            ]
        )
    table.rows = [[what, value, float(count)] for (what, value), count in sorted(found.items())]
    section.tables = [table]
    return section


def fingerprint(run: Run, part: str) -> str:
    """Return the number of images and the digest of ids, labels and contents that a run's configuration has."""
    said = run.data.get(part)
    return f"{said.get('images')}, digest {said.get('digest')}" if isinstance(said, dict) else "-"
