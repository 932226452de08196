"""`kenyan13 study verify`: whether run directories are a group of the study, what came out beside it, and its claims.

Claims are the study's conclusions, each with its test, as data: groups/*.yaml. One compares the best of the runs
`first` with the best of `second` (ids), or with `ensemble: AP` all of the group's runs combined with the best of them.
`expect: not_better` claims that first does not beat second, by more than `margin` points.
"""

from collections.abc import Iterator, Mapping, Sequence
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t

from kenyan13.analysis.compare import SIGNIFICANT
from kenyan13.config.settings import Settings
from kenyan13.machine import git_commit, versions
from kenyan13.metrics.classification import mcnemar
from kenyan13.report.tables import Column, Table
from kenyan13.runs.directory import State
from kenyan13.runs.locate import changed_settings
from kenyan13.runs.predictions import labelled, predicted_of
from kenyan13.runs.run import Run
from kenyan13.study.definitions import TRAINING, Experiment, Group, other_network
from kenyan13.study.ensembles import combine_unseen, ranked
from kenyan13.study.group_tables import Runs, runs_of_settings, tables
from kenyan13.study.tables import STUDY_IMAGES, error_of_difference

POWER = 1.96 + 0.84  # standard errors of a difference that 80 % of repetitions find at p < 0.05
CONFIRMED, REFUTED, OPEN = "confirmed", "refuted", "open"
VERDICTS = [
    Column("id", "id"), Column("accuracy", "acc %", 2), Column("reported", "study", 2), Column("band", "+-", 2),
    Column("verdict", "verdict"), Column("power", "can tell", 1),
]  # fmt: skip
CLAIMS = [
    Column("claim", "claim"), Column("verdict", "verdict"), Column("lead", "lead", 2), Column("images", "n", 0),
    Column("p", "p"), Column("runs", "runs", wide=True),
]  # fmt: skip


def broken_rules(one: Experiment, settings: Settings, run: Run) -> Iterator[str]:
    """Yield what does not hold of a run of an experiment, which has these settings by definition."""
    result = run.result
    if run.state is not State.finished or result is None:
        yield f"has finished: {run.state.value}"
        return
    different = changed_settings(run.folder, settings)
    if different or settings.experiment != one.id:
        yield f"is the study's: {', '.join(different[:3]) or 'a variant: other settings or images'}"
    parts = [run.data.get(part, {}) for part in ("train", "validation")]
    found = [part.get("images") for part in parts]
    if not all(part.get("digest") for part in parts):
        yield "saw the images: no digest of the images"
    elif found != list(one.images):
        yield f"saw the images: {found} images to train and validate on, of {list(one.images)}"
    planned, done = settings.trainer["max_epochs"], result.epochs
    listed = [] if run.metrics is None else run.metrics["epoch"].tolist()
    if listed != list(range(1, done + 1)):
        yield f"trained as planned: metrics.csv has {len(listed)} epochs, result.json {done}"
    elif done != planned and not (settings.stop and done < planned):
        yield f"trained as planned: {done} epochs of {planned}"
    if result.precision != settings.trainer["precision"]:
        yield f"computed as asked: computed in {result.precision}, not {settings.trainer['precision']}"
    if "+" in run.commit or run.commit in ("", "None"):
        yield f"made by clean code: {'uncommitted changes' if '+' in run.commit else 'no commit'}"


def verdicts_table(group: Group, runs: Runs) -> Table:
    """Return whether each accuracy is within the tolerance of the study's, which is data of the group: both ways."""
    table = Table(f"{group.letter}-verdict", "accuracies against the study's", VERDICTS)
    errors = group.reference["tolerance_errors"]
    done = {id_: result for id_ in group.experiments if id_ in runs and (result := runs[id_].result)}
    for id_, result in done.items():
        reported = group.experiments[id_].reported.get("accuracy")
        if reported is None:
            continue
        accuracy = 100 * result.accuracy
        error = error_of_difference(accuracy, result.validation_images, reported)
        band, away = errors * error, accuracy - reported
        verdict = "worse" if away < -band else "better: a leak, or another split?" if away > band else "agrees"
        table.add(id_, accuracy, reported, band, verdict, POWER * error)
    table.notes.append(
        f"+-: {errors} standard errors of a difference, as both have some {STUDY_IMAGES:,} images. can tell: the "
        f"difference in points that one run finds four times in five. Source: {group.reference['source']}."
    )
    if len({group.experiments[id_].settings["seed"] for id_ in done}) > 1:
        ours = [100 * result.accuracy for result in done.values()]
        low, high = t.interval(0.95, len(ours) - 1, np.mean(ours), np.std(ours, ddof=1) / sqrt(len(ours)) or 1e-9)
        study = np.mean([one.reported["accuracy"] for one in group.experiments.values() if one.reported])
        interval = f"{np.mean(ours):.2f} %, 95 % interval {low:.2f} to {high:.2f}"
        table.notes.append(f"Mean of {len(ours)} seeds: {interval}; study {study:.2f}.")
    return table


def claims_table(group: Group, runs: Runs) -> Table:
    """Return a row a claim: its verdict, by how many points the first leads, on how many images, and p."""
    table = Table(f"{group.letter}-claims", "the study's conclusions, tested on our runs", CLAIMS)
    table.rows = [{"claim": claim["claim"], **test_claim(claim, group, runs)} for claim in group.claims]
    table.notes.append(
        "p: McNemar's exact test on the same images. The best of several runs is "
        f"chosen on these images, which flatters it. open: p is not below {SIGNIFICANT}, or runs are missing."
    )
    return table


def test_claim(claim: Mapping[str, Any], group: Group, runs: Runs) -> dict[str, Any]:
    """Return verdict, lead (points), images, p and the ids that were compared."""

    def right(run: Run) -> Any:  # bool by image id
        table = labelled(run.predictions)  # type: ignore[arg-type]
        return predicted_of(table) == table["target"]

    if "ensemble" in claim:
        there = ranked(runs, group.experiments)
        if len(there) < 2:
            return {"verdict": OPEN}
        combined = combine_unseen({run.name: labelled(run.predictions) for run in there.values()})  # type: ignore[arg-type]
        first = (combined[claim["ensemble"]] == combined["target"]).rename_axis("id")
        second, compared = right(next(iter(there.values()))), f"{len(there)} runs"
    else:
        sides = [next(iter(ranked(runs, claim.get(side, ())).items()), None) for side in ("first", "second")]
        if sides[0] is None or sides[1] is None:
            return {"verdict": OPEN}
        first, second = right(sides[0][1]), right(sides[1][1])
        compared = f"{sides[0][0]} and {sides[1][0]}"
    common = first.index.intersection(second.index)
    return verdict(claim, first[common].to_numpy(), second[common].to_numpy()) | {"runs": compared}


def verdict(claim: Mapping[str, Any], first: NDArray[np.bool_], second: NDArray[np.bool_]) -> dict[str, Any]:
    """Return what McNemar's test says of a claim. first, second: which images each has right, bool [n]."""
    if not len(first):
        return {"verdict": OPEN}
    b, c, p = mcnemar(first, second)
    n, lead = len(first), (b - c) / len(first)
    if claim.get("expect") == "not_better":
        highest = lead + 1.96 * sqrt(max(b + c - (b - c) ** 2 / n, 0)) / n  # of the 95 % interval of a paired lead
        found = REFUTED if lead > 0 and p < SIGNIFICANT else CONFIRMED if 100 * highest < claim["margin"] else OPEN
    else:
        found = OPEN if p >= SIGNIFICANT else CONFIRMED if lead > 0 else REFUTED
    return {"verdict": found, "lead": 100 * lead, "images": n, "p": p}


def verify(letter: str, overrides: Sequence[str]) -> tuple[dict[str, Any], list[Table]]:
    """Return the certificate of a group's runs, fit for JSON, and its tables. overrides: what they were made with."""
    group, chosen, runs, said = runs_of_settings(letter, overrides)
    problems: list[str] = []
    for id_, one in group.experiments.items():
        if one.kind == TRAINING:
            broken = broken_rules(one, chosen[id_], runs[id_]) if id_ in runs else ["not started"]
            problems += [f"{id_}: {problem}" for problem in broken]
    made = {str(sorted(run.versions.items())) for id_, run in runs.items() if id_ in group.experiments}
    if len(made) > 1:
        problems.append(f"{letter}: {len(made)} sets of versions of the libraries")
    verdicts, claims = verdicts_table(group, runs), claims_table(group, runs)
    networks = {other_network(id_, one.model.backbone) for id_, one in chosen.items()}
    certificate = {
        "group": letter, "network": max(networks), "success": not problems, "does_not_hold": problems, "caution": said,
        "runs": {
            id_: {"folder": run.folder.name, "commit": run.commit, "data": dict(run.data)} for id_, run in runs.items()
        },
        "verdicts": verdicts.rows, "claims": claims.rows, "reference": dict(group.reference),
        "tables": {table.name: table.rows for table in tables(group, runs, said)},
        "checked_by": {"commit": git_commit(), **versions()},
    }  # fmt: skip
    return certificate, [verdicts, *([claims] if claims.rows else [])]
