"""What a report asks of its runs, and what can be concluded from them, given how few images they were validated on."""

import json
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence

from kenyan13.analysis.compare import best_first, compare
from kenyan13.analysis.compare_text import NAMED, conclusion
from kenyan13.analysis.run_metrics import measure
from kenyan13.config.settings import Layout
from kenyan13.errors import shorten
from kenyan13.runs.result import Result
from kenyan13.runs.run import Run, labels

ONE_SEED = (
    "Each run is one seed. How much another seed, or another split, would change is not in these metrics; the best of "
    "many runs on the same images is partly luck."
)


def anchor_of(run: Run) -> str:
    """Return the id of the run's page."""
    return f"run-{run.name}"


def results(runs: Iterable[Run]) -> list[Result]:
    """Return the results of those runs that are finished."""
    return [run.result for run in runs if run.result]


def is_synthetic(run: Run) -> bool:
    """Return whether a run's images are synthetic drawings."""
    return bool(run.setting("data.layout") == Layout.demo.name)


def notes(runs: Sequence[Run]) -> list[str]:
    """Return what must be said of images that are no photographs."""
    if any(is_synthetic(run) for run in runs):
        return ["The demo's images are synthetic drawings: accuracies on them say nothing about photographs."]
    return []


def grouped(runs: Iterable[Run], key: Callable[[Run], Hashable]) -> list[list[Run]]:
    """Return runs with the same key together."""
    groups: dict[Hashable, list[Run]] = defaultdict(list)
    for run in runs:
        groups[key(run)].append(run)
    return list(groups.values())


def same_images(runs: Iterable[Run]) -> list[list[Run]]:
    """Return the finished runs that were validated on the same images, with the same labels, together."""
    finished = [run for run in runs if run.result]
    return grouped(finished, lambda run: json.dumps([run.data.get("validation"), run.data.get("classes")]))


def among(runs: Sequence[Run]) -> list[str]:
    """Return sentences on which runs can be told from the most accurate one, for each set of validation images."""
    sets = [conclude(sorted(some, key=best_first)) for some in same_images(runs) if len(some) > 1]
    return [*sets, ONE_SEED] if sets else ["One run, or runs on different images: there is nothing to compare."]


def conclude(runs: Sequence[Run]) -> str:
    """Return which runs are the equals of the first, the most accurate one, as far as these images can tell."""
    names, best = labels(runs), measure(runs[0])
    ties = [name for name, run in zip(names[1:], runs[1:], strict=True) if measure(run).accuracy == best.accuracy]
    tied = f", with {shorten(ties, NAMED)} as accurate" if ties else ""
    interval = f"{best.accuracy:.1%}, 95 % interval {best.accuracy_low:.1%} to {best.accuracy_high:.1%}"
    start = f"On the same {best.images:,} images, {names[0]} is the most accurate of {len(runs)} runs ({interval})"
    return " ".join([f"{start}{tied}.", *conclusion(compare(runs), names.__getitem__)])
