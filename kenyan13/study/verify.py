"""`kenyan13 study verify`: whether run directories are a group of the study, what came out beside it, and its claims.

Rules are functions of an experiment, its settings by definition, and our run; what they are compared with is in
groups/*.yaml.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import sqrt
from typing import Any

import numpy as np
from scipy.stats import t

from kenyan13.config.settings import Settings
from kenyan13.machine import git_commit, versions
from kenyan13.metrics.statistics import standard_error
from kenyan13.report.tables import Column, Table
from kenyan13.runs.directory import State
from kenyan13.runs.locate import differing_settings
from kenyan13.runs.run import Run
from kenyan13.study.claims import claims_table
from kenyan13.study.definitions import TRAINING, Experiment, Group
from kenyan13.study.group_tables import runs_of_settings, tables
from kenyan13.study.tables import STUDY_IMAGES

POWER = 1.96 + 0.84  # standard errors of a difference that 80 % of repetitions find at p < 0.05
Rule = Callable[[Experiment, Settings, Run], str]  # "" where it holds, else what does not


def has_finished(one: Experiment, settings: Settings, run: Run) -> str:
    """The run is there, whole."""
    return run.problem or ("" if run.state is State.finished else run.state.value)


def is_the_studys(one: Experiment, settings: Settings, run: Run) -> str:
    """Its settings are the definition's, on KenyanFood13's images."""
    different = differing_settings(run.folder, settings)
    return ", ".join(different[:3]) or ("" if settings.experiment == one.id else "a variant: other settings or images")


def trained_as_planned(one: Experiment, settings: Settings, run: Run) -> str:
    """Epochs are the plan's, or a stop rule's end, and each is in metrics.csv once."""
    planned, done = settings.trainer["max_epochs"], run.result.epochs if run.result else 0
    listed = [] if run.metrics is None else run.metrics["epoch"].tolist()
    if listed != list(range(1, done + 1)):
        return f"metrics.csv has {len(listed)} epochs, result.json {done}"
    return "" if done == planned or (settings.stop and done < planned) else f"{done} epochs of {planned}"


def saw_the_images(one: Experiment, settings: Settings, run: Run) -> str:
    """Training and validation images are as many as the study's, and their digests are known."""
    parts = [run.data.get(part, {}) for part in ("train", "validation")]
    found, expected = [part.get("images") for part in parts], one.images
    if not all(part.get("digest") for part in parts):
        return "no digest of the images"
    return "" if found == list(expected) else f"{found} images to train and validate on, of {list(expected)}"


def computed_as_asked(one: Experiment, settings: Settings, run: Run) -> str:
    """The arithmetic is the one of the settings."""
    used, asked = run.result.precision if run.result else "", settings.trainer["precision"]
    return "" if used == asked else f"computed in {used}, not {asked}"


def made_by_clean_code(one: Experiment, settings: Settings, run: Run) -> str:
    """The commit is known, and nothing was changed in it."""
    return "no commit" if run.commit in ("", "None") else "uncommitted changes" if "+" in run.commit else ""


RULES: tuple[Rule, ...] = (
    has_finished, is_the_studys, saw_the_images, trained_as_planned, computed_as_asked, made_by_clean_code,
)  # fmt: skip


def broken_rules(group: Group, chosen: Mapping[str, Settings], runs: Mapping[str, Run]) -> Iterator[str]:
    """Yield a line for each rule that an experiment's run breaks, and for versions that are not the same in all."""
    for id_, one in group.experiments.items():
        if one.kind != TRAINING:
            continue
        if id_ not in runs:
            yield f"{id_}: not started"
            continue
        for rule in RULES:
            if problem := rule(one, chosen[id_], runs[id_]):
                yield f"{id_}: {rule.__name__.replace('_', ' ')}: {problem}"
                if rule is has_finished:
                    break
    made = {str(sorted(run.versions.items())) for id_, run in runs.items() if id_ in group.experiments}
    if len(made) > 1:
        yield f"{group.letter}: {len(made)} sets of versions of the libraries"


COLUMNS = [
    Column("id", "id"), Column("accuracy", "acc %", 2), Column("reported", "study", 2), Column("band", "+-", 2),
    Column("verdict", "verdict"), Column("power", "can tell", 1),
]  # fmt: skip


def verdicts_table(group: Group, runs: Mapping[str, Run]) -> Table:
    """Return whether each accuracy is within the tolerance of the study's, which is data of the group: both ways."""
    table = Table(f"{group.letter}-verdict", "accuracies against the study's", COLUMNS)
    errors, images = group.reference["tolerance_errors"], group.reference["images"][1]
    for id_, one in group.experiments.items():
        run, reported = runs.get(id_), one.reported.get("accuracy")
        if run is None or run.result is None or reported is None:
            continue
        accuracy = run.result.accuracy
        found = standard_error(accuracy, run.result.validation_images), standard_error(reported / 100, images)
        error = 100 * sqrt(found[0] ** 2 + found[1] ** 2)
        away = (100 * accuracy - reported) / error if error else 0
        verdict = "worse" if away < -errors else "better: a leak, or another split?" if away > errors else "agrees"
        table.add(id_, 100 * accuracy, reported, errors * error, verdict, POWER * error)
    table.notes.append(
        f"+-: {errors} standard errors of a difference, as both have some {STUDY_IMAGES:,} images. can tell: the "
        f"difference in points that one run finds four times in five. Source: {group.reference['source']}."
    )
    table.notes += seeds_note(group, runs)
    return table


def seeds_note(group: Group, runs: Mapping[str, Run]) -> list[str]:
    """Return the 95 % interval of the mean over seeds, where the group varies the seed and two or more have ended."""
    done = {id_: runs[id_].result for id_ in group.experiments if id_ in runs and runs[id_].result}
    ours = [100 * result.accuracy for result in done.values() if result]
    if len({group.experiments[id_].settings["seed"] for id_ in done}) < 2:
        return []
    low, high = t.interval(0.95, len(ours) - 1, np.mean(ours), np.std(ours, ddof=1) / sqrt(len(ours)) or 1e-9)
    study = np.mean([one.reported["accuracy"] for one in group.experiments.values() if one.reported])
    return [
        f"Mean of {len(ours)} seeds: {np.mean(ours):.2f} %, 95 % interval {low:.2f} to {high:.2f}; study {study:.2f}."
    ]


def verify(letter: str, overrides: Sequence[str]) -> tuple[dict[str, Any], list[Table]]:
    """Return the certificate of a group's runs, fit for JSON, and its tables. overrides: what they were made with."""
    group, chosen, runs, said = runs_of_settings(letter, overrides)
    problems = list(broken_rules(group, chosen, runs))
    verdicts, claims = verdicts_table(group, runs), claims_table(group, runs)
    certificate = {
        "group": letter, "success": not problems, "does_not_hold": problems, "caution": said,
        "runs": {
            id_: {"folder": run.folder.name, "commit": run.commit, "data": dict(run.data)} for id_, run in runs.items()
        },
        "verdicts": verdicts.rows, "claims": claims.rows, "reference": dict(group.reference),
        "tables": {table.name: table.rows for table in tables(group, runs, said)},
        "checked_by": {"commit": git_commit(), **versions()},
    }  # fmt: skip
    return certificate, [verdicts, *([claims] if claims.rows else [])]
