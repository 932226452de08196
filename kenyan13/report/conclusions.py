"""What can and cannot be concluded from runs, given how few images they were validated on."""

from collections import defaultdict
from collections.abc import Sequence

from kenyan13.analysis.compare import best_first, compare
from kenyan13.analysis.compare_text import conclusion
from kenyan13.analysis.run_metrics import measure
from kenyan13.errors import shorten
from kenyan13.runs.directory import State
from kenyan13.runs.predictions import labelled
from kenyan13.runs.run import Run
from kenyan13.study.tables import WITHIN, Table

NAMED = 8  # runs that a sentence lists
ONE_SEED = (
    "Each run is one seed. How much another seed, or another split, would change is not in these metrics; the best of "
    "many runs on the same images is partly luck."
)
SMOKE = "These are smoke runs: tiny networks on synthetic drawings. Nothing can be concluded from them about images."


def among(runs: Sequence[Run]) -> list[str]:
    """Return sentences on which runs can be told from the most accurate one, for each set of validation images."""
    if runs and all(run.setting("smoke") for run in runs):
        return [SMOKE]
    sets = [conclude(some) for some in same_images(runs) if len(some) > 1]
    return [*sets, ONE_SEED] if sets else ["One run, or runs on different images: there is nothing to compare."]


def same_images(runs: Sequence[Run]) -> list[list[Run]]:
    """Return the finished runs that were validated on the same images with the same labels, the most accurate first."""
    sets: dict[tuple[tuple[str, str], ...], list[Run]] = defaultdict(list)
    for run in runs:
        if run.state is State.finished and run.predictions is not None:
            sets[tuple(sorted((str(k), str(v)) for k, v in labelled(run.predictions)["target"].items()))].append(run)
    return [sorted(some, key=best_first) for images, some in sets.items() if images]


def conclude(runs: Sequence[Run]) -> str:
    """Return which runs are the equals of the first, the most accurate one, as far as these images can tell."""
    best = measure(runs[0])
    ties = [run.name for run in runs[1:] if measure(run).accuracy == best.accuracy]
    tied = f", with {shorten(ties, NAMED)} as accurate" if ties else ""
    interval = f"{best.accuracy:.1%}, 95 % interval {best.accuracy_low:.1%} to {best.accuracy_high:.1%}"
    start = f"On the same {best.images:,} images, {runs[0].name} is the most accurate of {len(runs)} runs ({interval})"
    return " ".join([f"{start}{tied}.", *conclusion(compare(runs), lambda index: runs[index].name)])


def against_study(tables: Sequence[Table]) -> list[str]:
    """Return how many accuracies differ from the study's by more than noise, and which."""
    within, beyond = 0, []
    for table in tables:
        places = {column.key: place for place, column in enumerate(table.columns)}
        if not {"id", "accuracy_difference", "noise"} <= set(places):
            continue
        for row in table.rows:
            difference, noise = row[places["accuracy_difference"]], row[places["noise"]]
            if noise == WITHIN:
                within += 1
            elif isinstance(difference, float):
                beyond.append(f"{row[places['id']]} ({difference:+.1f})")
    total = within + len(beyond)
    if not total:
        return []
    said = f"Beside the study's accuracies, {within} of {total} are within noise (two standard errors of a difference)"
    return [f"{said}; beyond it: {', '.join(beyond)} points." if beyond else f"{said}."]
