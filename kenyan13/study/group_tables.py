"""The tables of each group of the study, from run directories: A1, B1, C1 to C3, D1, E1, F1, G1; H's stand beside."""

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

import pandas as pd

from kenyan13.analysis.cascade import read_summary
from kenyan13.config.compose import compose_settings
from kenyan13.config.settings import Settings
from kenyan13.errors import UserError
from kenyan13.report.tables import Column, Table, Value
from kenyan13.runs.directory import CASCADE, METRICS, SHEETS, Result, read_result
from kenyan13.runs.locate import run_directory
from kenyan13.study.definitions import experiments
from kenyan13.study.ensemble_tables import ensembles_of_models, ensembles_of_seeds
from kenyan13.study.references import reference, reference_tables
from kenyan13.study.tables import compared, comparison, noise_notes, number, triple, within_noise

Folders = Mapping[str, Path]  # by id; they need not exist
Runs = dict[str, tuple[str, Path]]  # id -> the study's name, folder of our run


def tables(group: str, folders: Folders) -> list[Table]:
    """Return a group's tables (group: A to H), from the folders of its experiments' runs; for H those of G, too.

    Raises UserError for an unknown group.
    """
    if group not in BUILDERS:
        raise UserError(f"The study has no group {group}.", f"groups: {', '.join(BUILDERS)}")
    return BUILDERS[group](folders)


def tables_of_settings(group: str, overrides: Sequence[str] = ()) -> list[Table]:
    """Return a group's tables, for runs made with the given Hydra overrides.

    Those of Hydra itself (hydra/launcher=joblib) change no run and are left out. Raises UserError for an unknown group
    or override.
    """
    others = [word for word in overrides if not word.lstrip("+").startswith(("hydra.", "hydra/"))]
    needed = "GH" if group == "H" else group
    chosen = {id_: compose_settings([f"experiment={id_}", *others]) for id_ in experiments() if id_[0] in needed}
    made = tables(group, {id_: run_directory(settings) for id_, settings in chosen.items()})
    for table in made:
        table.title += caution(chosen.values())
    return made


def caution(chosen: Collection[Settings]) -> str:
    """Return what a title must say of runs that are not all the study's own experiments; "" for those that are."""
    if any(settings.smoke for settings in chosen):
        return f"  ({SMOKE})"
    other = next((settings for settings in chosen if settings.experiment is None), None)
    return f"  ({OTHER}: data.root={other.data.root})" if other else ""


SMOKE = "SMOKE RUNS at toy size on drawings: the figures say nothing"
OTHER = "OTHER SETTINGS OR IMAGES THAN THE STUDY'S"


def runs_of(prefix: str, folders: Folders) -> Runs:
    """Return name and folder of the experiments whose ids begin with `prefix`."""
    return {
        id_: (experiments()[id_].name.partition("_")[2], folder)
        for id_, folder in folders.items()
        if id_.startswith(prefix)
    }


def group_a(folders: Folders) -> list[Table]:
    """Contact sheets and the subset's runs, and A1: seconds an epoch by loader workers."""
    checks = Table(
        "A", "checks of data and pipeline", [Column("id", "id"), Column("name", "name"), Column("made", "made")]
    )
    for id_, (name, folder) in runs_of("AA", folders).items():
        there = (folder / SHEETS).exists()
        checks.rows.append([id_, name, f"contact sheets: {folder / 'sheets'}" if there else None])
    for id_, (name, folder) in runs_of("AB", folders).items():
        result = read_result(folder)
        checks.rows.append([id_, name, f"{result.accuracy:.2%} after {result.epochs} epochs" if result else None])
    columns = [Column("id", "id"), Column("workers", "workers", 0), *compared("seconds", "seconds an epoch", 1)]
    timing = Table("A1", "time of an epoch by loader workers, ResNet-18 PT0", columns)
    reported = reference_tables()["A1_seconds_per_epoch_by_workers"]
    study = dict(zip(reported["id"], reported["seconds"], strict=True))
    for workers, (id_, (_, folder)) in enumerate(runs_of("AC", folders).items(), start=1):
        timing.rows.append([id_, float(workers), *triple(seconds_an_epoch(folder), float(study[id_]))])
    timing.notes.append("The study's times are of its machine and include decoding; ours are of images decoded once.")
    return [checks, timing]


def seconds_an_epoch(folder: Path) -> float | None:
    """Return (end of the last epoch - end of the first) / (epochs - 1), as the study has it; None before the end, or
    without metrics.csv."""
    result = read_result(folder)
    if result is None or result.epochs < 2 or not (folder / METRICS).is_file():
        return None
    seconds = pd.read_csv(folder / METRICS)["seconds"]
    return float(seconds[1:].mean())


def group_b(folders: Folders) -> list[Table]:
    """B1: the best rate of each model; and behind it, all rates of each."""
    best = Table("B1", "best learning rate of each model, by lowest loss", B1_COLUMNS)
    behind: list[Table] = []
    found: dict[str, Result] = {}
    for letter in "ABC":
        runs = runs_of(f"B{letter}", folders)
        model = next(iter(runs.values()))[0].partition("_")[0]
        every = Table(f"B1{letter.lower()}", f"all rates of {model}", RATE_COLUMNS)
        results = {id_: result for id_, (_, folder) in runs.items() if (result := read_result(folder))}
        for id_ in runs:
            every.rows.append([id_, f"{rate(id_):.2e}", *rate_figures(results.get(id_))])
        ours = min(results, key=lambda id_: results[id_].min_val_loss) if results else None
        study = next(id_ for id_ in reference() if id_ in runs)
        figures = rate_figures(results[ours] if ours else None)
        row: list[Value] = [model, ours, f"{rate(ours):.2e}" if ours else None, study, f"{rate(study):.2e}"]
        for value, key in zip(figures, ("min_val_loss", "auc_loss", "accuracy"), strict=True):
            row += triple(value, number(reference()[study][key]))
        row.append(within_noise(row[-3:], results[ours].validation_images) if ours else "missing")
        best.rows.append(row)
        behind.append(every)
        found |= results
    best.notes = noise_notes(list(found.values()), best.rows)
    return [best, *behind]


def rate(id_: str) -> float:
    """Return the learning rate of an experiment."""
    return float(experiments()[id_].settings["optim.lr"])


def rate_figures(result: Result | None) -> list[float | None]:
    """Return lowest loss, sum of losses, and accuracy in percent."""
    return [result.min_val_loss, result.auc_loss, 100 * result.accuracy] if result else [None] * 3


RATE_COLUMNS = [
    Column("id", "id"), Column("lr", "rate"), Column("min_loss", "min loss", 3), Column("auc_loss", "AUC loss", 2),
    Column("accuracy", "accuracy %", 2),
]  # fmt: skip
B1_COLUMNS = [
    Column("model", "model"), Column("id", "best"), Column("lr", "rate"), Column("id_study", "study's"),
    Column("lr_study", "rate"), *compared("min_loss", "min loss", 3), *compared("auc_loss", "AUC loss", 2),
    *compared("accuracy", "accuracy %", 2), Column("noise", "noise"),
]  # fmt: skip


def group_c(folders: Folders) -> list[Table]:
    """C1 to C3: sizes of EfficientNet by the layers that train."""
    runs = runs_of("C", folders)
    titles = ("head only (PT0)", "head and two fifths (PT2)", "all layers (PT5)")
    return [
        comparison(f"C{place}", title, {id_: run for id_, run in runs.items() if id_[2] == letter})
        for place, (letter, title) in enumerate(zip("ABC", titles, strict=True), start=1)
    ]


def group_e(folders: Folders) -> list[Table]:
    """E1: the stages, and the two stages together."""
    runs = runs_of("E", folders)
    composed = runs.pop("EAE")
    table = comparison("E1", "two stages", runs)
    figures = read_summary(composed[1]) if (composed[1] / CASCADE).exists() else None
    blank: list[Value] = [None] * 3
    for gating, study in (("hard", number(reference()["EAE"]["accuracy"])), ("soft", None)):
        accuracies = triple(100 * figures["gating"][gating]["accuracy"] if figures else None, study)
        noise = within_noise(accuracies, figures["images"]) if figures else "missing"
        table.rows.append(["EAE", f"TwoStage, {gating} gating", *blank, *accuracies, noise, *blank])
    return [table]


def group_f(folders: Folders) -> list[Table]:
    """F1: from scratch."""
    table = comparison("F1", "from scratch", runs_of("F", folders))
    about = reference_tables()["F"]["FBA_accuracy_after_160_epochs_about"]
    table.notes.append(f"The study's FBA: about {about:.0f} % after 160 epochs.")
    return [table]


def group_g(folders: Folders) -> list[Table]:
    """G1: 25 models, in the order of the study's accuracies."""
    runs = runs_of("G", folders)
    ordered = {id_: runs[id_] for id_ in reference() if id_ in runs}
    return [comparison("G1", "comparison of models, all layers", ordered)]


def group_h(folders: Folders) -> list[Table]:
    """H1: ensembles of group G's models; H2: ensembles of the fifteen seeds; H3: the seeds one by one."""
    runs = runs_of("H", folders)
    models = [folder for _, folder in runs_of("G", folders).values()]
    seeds = [folder for _, folder in runs.values()]
    return [ensembles_of_models(models), ensembles_of_seeds(seeds), comparison("H3", "15 seeds", runs)]


BUILDERS: dict[str, Callable[[Folders], list[Table]]] = {
    "A": group_a,
    "B": group_b,
    "C": group_c,
    "D": lambda folders: [comparison("D1", "regularisation and imbalance", runs_of("D", folders))],
    "E": group_e,
    "F": group_f,
    "G": group_g,
    "H": group_h,
}
