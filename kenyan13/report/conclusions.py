"""What can and cannot be concluded from runs, given how few images they were validated on."""

from collections import defaultdict
from collections.abc import Sequence

from kenyan13.analysis.compare import best_first, compare
from kenyan13.analysis.compare_text import conclusion
from kenyan13.analysis.run_metrics import measure
from kenyan13.errors import shorten
from kenyan13.runs.directory import State
from kenyan13.runs.predictions import labelled
from kenyan13.runs.run import Run, labels

NAMED = 8  # runs that a sentence lists
ONE_SEED = (
    "Each run is one seed. How much another seed, or another split, would change is not in these metrics; the best of "
    "many runs on the same images is partly luck."
)


def among(runs: Sequence[Run]) -> list[str]:
    """Return sentences on which runs can be told from the most accurate one, for each set of validation images."""
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
    names, best = labels(runs), measure(runs[0])
    ties = [name for name, run in zip(names[1:], runs[1:], strict=True) if measure(run).accuracy == best.accuracy]
    tied = f", with {shorten(ties, NAMED)} as accurate" if ties else ""
    interval = f"{best.accuracy:.1%}, 95 % interval {best.accuracy_low:.1%} to {best.accuracy_high:.1%}"
    start = f"On the same {best.images:,} images, {names[0]} is the most accurate of {len(runs)} runs ({interval})"
    return " ".join([f"{start}{tied}.", *conclusion(compare(runs), names.__getitem__)])
