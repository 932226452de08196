"""The study's tables made again from run directories, as the groups' files say; builders for those that are special."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

from kenyan13.config.compose import compose_settings
from kenyan13.config.settings import Layout, Settings
from kenyan13.errors import UserError
from kenyan13.report.tables import Column, Table
from kenyan13.runs.directory import CONFIG, METRICS, RESULT, SOFT, TEST, VALIDATION, replacing
from kenyan13.runs.locate import run_directory
from kenyan13.runs.predictions import read_predictions, scores
from kenyan13.runs.run import Run, read_run
from kenyan13.study import definitions
from kenyan13.study.definitions import Group, experiments, groups, other_network, run_key
from kenyan13.study.ensembles import ensembles_of_models, ensembles_of_seeds
from kenyan13.study.tables import beside, compared, measured, noise, noise_notes, within_noise

Runs = Mapping[str, Run]  # by id; those that there are
PACKED = (CONFIG, METRICS, RESULT, VALIDATION, TEST, SOFT)


def caution(experiment: str | None, layout: str, root: str, network: str = "") -> str:
    """Return what must be said of a run's numbers beside the study's: "" for the study's own experiments.

    network: what stands in the place of the study's (see `other_network`).
    """
    drawings = layout == Layout.demo.name
    if experiment and not drawings:
        return ""
    other = f"other settings or images than the study's: data.root={root}"
    return ", ".join(filter(None, (network, "synthetic drawings: the numbers mean nothing" if drawings else other)))


def tables(group: Group, runs: Runs, caution: str = "") -> list[Table]:
    """Return a group's tables, from our runs of `runs_of_settings`. caution: a part of their titles."""
    made = []
    for entry in group.tables:
        built = BUILDERS[entry.get("builder", "comparison")](group, entry, runs)
        built[0].notes += entry.get("notes", [])
        made += built
    for table in made:
        table.title += f"  ({caution})" if caution else ""
    return made


def runs_of_settings(letter: str, overrides: Sequence[str] = ()) -> tuple[Group, dict[str, Settings], Runs, str]:
    """Return a group, its experiments' settings with the given Hydra overrides, our runs of them, and the caution.

    Overrides of Hydra itself (hydra/launcher=joblib) change no run and are left out. Of experiments that are
    one run with the overrides the first stays, as in a sweep. Raises UserError for an unknown group or override.
    """
    others = [word for word in overrides if not word.lstrip("+").startswith(("hydra.", "hydra/"))]
    if letter not in groups():
        raise UserError(f"The study has no group {letter}.", f"groups: {', '.join(groups())}")
    group = groups()[letter]
    different: dict[tuple[str, ...], tuple[str, Settings]] = {}
    own = [id_ for one in (letter, *group.ensembles_of) for id_ in groups()[one].experiments]
    for id_ in dict.fromkeys([*own, *(id_ for claim in group.claims for id_ in claim.get("second", ()))]):
        settings = compose_settings([f"experiment={id_}", *others])
        different.setdefault(run_key(experiments()[id_], settings), (id_, settings))
    chosen = dict(different.values())
    group = replace(group, experiments={id_: one for id_, one in group.experiments.items() if id_ in chosen})
    folders = {id_: run_directory(settings) for id_, settings in chosen.items()}
    runs = {id_: read_run(folder) for id_, folder in folders.items() if (folder / CONFIG).is_file()}
    said = max(
        caution(one.experiment, one.data.layout.name, one.data.root, other_network(id_, one.model.backbone))
        for id_, one in chosen.items()
    )
    return group, chosen, runs, said


def tables_of_settings(letter: str, overrides: Sequence[str] = ()) -> list[Table]:
    """Return a group's tables, for runs made with the given Hydra overrides; see `runs_of_settings`."""
    group, _, runs, said = runs_of_settings(letter, overrides)
    return tables(group, runs, said)


def pack(letter: str, overrides: Sequence[str], file: Path) -> int:
    """Write the runs' settings, metrics and predictions into a zip archive; returns how many runs there are.

    Unpacked, they are run directories: study table and study verify take them as runs=DIR. Raises UserError where there
    is none.
    """
    runs = runs_of_settings(letter, overrides)[2]
    if not runs:
        raise UserError(f"There are no runs of group {letter}.", f"make reproduce-group-{letter} makes them")
    with replacing(file) as temporary, ZipFile(temporary, "w", ZIP_DEFLATED) as archive:
        for run in runs.values():
            for name in [*PACKED, *(one.name for one in run.folder.glob("confusion_*.csv"))]:
                if (run.folder / name).is_file():
                    archive.write(run.folder / name, f"{run.folder.name}/{name}")
    return len(runs)


COMPARISON = [
    Column("id", "id"), Column("experiment", "experiment"), *compared("min_val_loss", "loss", 3),
    *compared("accuracy", "acc %", 2), Column("noise", "noise"), *compared("overfitting", "overfit", 3),
    Column("precision", "precision", wide=True), Column("device", "device", wide=True),
    Column("threads", "threads", 0, wide=True), Column("deterministic", "deterministic", wide=True),
]  # fmt: skip


def compare_experiments(group: Group, entry: Mapping[str, Any], runs: Runs) -> list[Table]:
    """What the group, or one series of it, trains: lowest loss, accuracy there and overfitting, beside the study's."""
    table = Table(entry["name"], entry.get("title") or entry["series"], COMPARISON)
    results = []
    ids = dict.fromkeys([*group.reported, *group.experiments])  # in the order of the study's tables, others behind
    for one in (group.experiments[id_] for id_ in ids if id_ in group.experiments):
        if one.kind == definitions.TRAINING and entry.get("series") in (None, one.series):
            result = runs[one.id].result if one.id in runs else None
            results += [result] if result else []
            metrics = beside(measured(result), one.reported)
            table.rows.append({"id": one.id, "experiment": one.label, **metrics, "noise": noise(result, one)})
    table.notes = noise_notes(results, table.rows)
    return [table]


def loader_times(group: Group, entry: Mapping[str, Any], runs: Runs) -> list[Table]:
    """Seconds an epoch by loader workers."""
    columns = [Column("id", "id"), Column("workers", "workers", 0), *compared("seconds", "seconds an epoch", 1)]
    table = Table(entry["name"], entry["title"], columns)
    for one in (one for one in group.experiments.values() if "data.workers" in one.settings):
        run, ours = runs.get(one.id), {}
        if run and run.result and run.metrics is not None and len(run.metrics) > 1:
            # (end of the last epoch - end of the first) / (epochs - 1), as the study has it
            ours = {"seconds": float(run.metrics["seconds"][1:].mean())}
        study = {"seconds": one.reported["seconds_per_epoch"]}
        table.rows.append({"id": one.id, "workers": one.settings["data.workers"], **beside(ours, study)})
    table.notes.append("The study's times are of its machine and include decoding; ours are of images decoded once.")
    return [table]


def best_rates(group: Group, entry: Mapping[str, Any], runs: Runs) -> list[Table]:
    """The best rate of each model; and behind it, all rates of each."""
    best = Table(entry["name"], entry["title"], BEST_RATES)
    behind: list[Table] = []
    found = {id_: result for id_ in group.experiments if id_ in runs and (result := runs[id_].result)}
    for model in dict.fromkeys(one.series for one in group.experiments.values()):
        ones = {id_: one for id_, one in group.experiments.items() if one.series == model}
        name = f"{entry['name']}{'abc'[len(behind)]}"
        rates = {id_: f"{one.settings['optim.lr']:.2e}" for id_, one in ones.items()}
        rows = [{"id": id_, "lr": rates[id_], **measured(found.get(id_))} for id_ in ones]
        behind.append(Table(name, f"all rates of {model}", ALL_RATES, rows))
        ours = min(ones.keys() & found.keys(), key=lambda id_: (found[id_].min_val_loss, id_), default="")
        study = next(one for one in ones.values() if one.reported)
        row = {"model": model, "id": ours or None, "lr": rates.get(ours)}
        row |= {"id_study": study.id, "lr_study": rates[study.id], "noise": noise(found.get(ours), study)}
        best.rows.append(row | beside(measured(found.get(ours)), study.reported))
    best.notes = noise_notes(list(found.values()), best.rows)
    return [best, *behind]


ALL_RATES = [
    Column("id", "id"), Column("lr", "rate"), Column("min_val_loss", "min loss", 3), Column("auc_loss", "AUC loss", 2),
    Column("accuracy", "accuracy %", 2),
]  # fmt: skip
BEST_RATES = [
    Column("model", "model"), Column("id", "best"), Column("lr", "rate"), Column("id_study", "study's"),
    Column("lr_study", "rate", wide=True), *compared("min_val_loss", "loss", 3),
    *compared("auc_loss", "AUC loss", 2, wide=True), *compared("accuracy", "acc %", 2), Column("noise", "noise"),
]  # fmt: skip


def two_stages(group: Group, entry: Mapping[str, Any], runs: Runs) -> list[Table]:
    """The stages, and the two stages together."""
    (table,) = compare_experiments(group, entry, runs)
    composed = next(one for one in group.experiments.values() if one.kind == definitions.CASCADE)
    run = runs.get(composed.id)
    for gating, file, study in (("hard", VALIDATION, composed.reported), ("soft", SOFT, {})):
        ours, within = {}, "missing"
        if run and (run.folder / SOFT).exists():
            found = scores(read_predictions(run.folder, file))
            ours = {"accuracy": 100 * found["accuracy"], "validation_images": found["images"]}
            within = within_noise(ours["accuracy"], study.get("accuracy"), found["images"])
        names = {"id": composed.id, "experiment": f"TwoStage, {gating} gating"}
        table.rows.append({**names, **beside(ours, study), "noise": within})
    return [table]


BUILDERS: dict[str, Callable[[Group, Mapping[str, Any], Runs], list[Table]]] = {
    "comparison": compare_experiments,
    "loader_times": loader_times,
    "best_rates": best_rates,
    "two_stages": two_stages,
    "ensembles_of_models": ensembles_of_models,
    "ensembles_of_seeds": ensembles_of_seeds,
}
