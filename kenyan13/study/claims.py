"""The study's conclusions, each a claim with its test: confirmed, refuted or open. They are data: groups/*.yaml.

A claim compares the best of the runs `first` with the best of `second` (ids), or with `ensemble: AP` all of the group's
runs combined with the best of them. `expect: not_better` claims that first
does not beat second, by more than `margin` points.
"""

from collections.abc import Mapping, Sequence
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kenyan13.analysis.compare import SIGNIFICANT, best_first
from kenyan13.metrics.statistics import mcnemar
from kenyan13.report.tables import Column, Table
from kenyan13.runs.predictions import labelled, predicted_of
from kenyan13.runs.run import Run
from kenyan13.study.definitions import Group
from kenyan13.study.exposure import combine_unseen

CONFIRMED, REFUTED, OPEN = "confirmed", "refuted", "open"
COLUMNS = [
    Column("claim", "claim"), Column("verdict", "verdict"), Column("lead", "lead", 2), Column("images", "n", 0),
    Column("p", "p"), Column("runs", "runs", wide=True),
]  # fmt: skip
Runs = Mapping[str, Run]


def claims_table(group: Group, runs: Runs) -> Table:
    """Return a row a claim: its verdict, by how many points the first leads, on how many images, and p."""
    table = Table(f"{group.letter}-claims", "the study's conclusions, tested on our runs", COLUMNS)
    table.rows = [{"claim": claim["claim"], **test_claim(claim, group, runs)} for claim in group.claims]
    table.notes.append(
        "p: McNemar's exact test on the same images. The best of several runs is "
        f"chosen on these images, which flatters it. open: p is not below {SIGNIFICANT}, or runs are missing."
    )
    return table


def test_claim(claim: Mapping[str, Any], group: Group, runs: Runs) -> dict[str, Any]:
    """Return verdict, lead (points), images, p and the ids that were compared."""
    if "ensemble" in claim:
        own = [runs[id_] for id_ in group.experiments if id_ in runs]
        there = sorted((run for run in own if run.predictions is not None), key=best_first)
        if len(there) < 2:
            return {"verdict": OPEN}
        combined = combine_unseen({run.name: labelled(run.predictions) for run in there})  # type: ignore[arg-type]
        together = (combined[claim["ensemble"]] == combined["target"]).rename_axis("id")
        alone = right(there[0])
        common = together.index.intersection(alone.index)
        return verdict(claim, together[common].to_numpy(), alone[common].to_numpy()) | {"runs": f"{len(there)} runs"}
    first, second = (best(claim.get(side, ()), runs) for side in ("first", "second"))
    if first is None or second is None:
        return {"verdict": OPEN}
    ours, theirs = right(runs[first]), right(runs[second])
    common = ours.index.intersection(theirs.index)
    compared = verdict(claim, ours[common].to_numpy(), theirs[common].to_numpy()) if len(common) else {"verdict": OPEN}
    return compared | {"runs": f"{first} and {second}"}


def verdict(claim: Mapping[str, Any], first: NDArray[np.bool_], second: NDArray[np.bool_]) -> dict[str, Any]:
    """Return what McNemar's test says of a claim. first, second: which images each has right, bool [n]."""
    b, c, p = mcnemar(first, second)
    n, lead = len(first), (b - c) / len(first)
    if claim.get("expect") == "not_better":
        highest = lead + 1.96 * sqrt(max(b + c - (b - c) ** 2 / n, 0)) / n  # of the 95 % interval of a paired lead
        found = REFUTED if lead > 0 and p < SIGNIFICANT else CONFIRMED if 100 * highest < claim["margin"] else OPEN
    else:
        found = OPEN if p >= SIGNIFICANT else CONFIRMED if lead > 0 else REFUTED
    return {"verdict": found, "lead": 100 * lead, "images": n, "p": p}


def best(ids: Sequence[str], runs: Runs) -> str | None:
    """Return the id of the most accurate of some runs; None where none of them has predictions."""
    there = (id_ for id_ in ids if id_ in runs and runs[id_].predictions is not None)
    return min(there, key=lambda id_: best_first(runs[id_]), default=None)


def right(run: Run) -> Any:
    """Return which images of a class a run has right: bool by image id."""
    table = labelled(run.predictions)  # type: ignore[arg-type]
    return predicted_of(table) == table["target"]
