"""What can and cannot be concluded from runs, given how few images they were validated on."""

from collections.abc import Sequence

from kenyan13.analysis.compare import best_first, compare
from kenyan13.analysis.compare_text import conclusion
from kenyan13.analysis.run_metrics import measure
from kenyan13.errors import shorten
from kenyan13.report.runs import same_images
from kenyan13.runs.run import Run

NAMED = 8  # runs that a sentence lists
ONE_SEED = (
    "Each run is one seed. How much another seed, or another split, would change is not in these metrics; the best of "
    "many runs on the same images is partly luck."
)


def among(runs: Sequence[Run]) -> list[str]:
    """Return sentences on which runs can be told from the most accurate one, for each set of validation images."""
    sets = [conclude(sorted(some, key=best_first)) for some in same_images(runs) if len(some) > 1]
    return [*sets, ONE_SEED] if sets else ["One run, or runs on different images: there is nothing to compare."]


def conclude(runs: Sequence[Run]) -> str:
    """Return which runs are the equals of the first, the most accurate one, as far as these images can tell."""
    best = measure(runs[0])
    ties = [run.name for run in runs[1:] if measure(run).accuracy == best.accuracy]
    tied = f", with {shorten(ties, NAMED)} as accurate" if ties else ""
    interval = f"{best.accuracy:.1%}, 95 % interval {best.accuracy_low:.1%} to {best.accuracy_high:.1%}"
    start = f"On the same {best.images:,} images, {runs[0].name} is the most accurate of {len(runs)} runs ({interval})"
    return " ".join([f"{start}{tied}.", *conclusion(compare(runs), lambda index: runs[index].name)])
