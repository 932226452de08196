"""What can and cannot be concluded from runs, given how few images they were validated on."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kenyan13.errors import shorten
from kenyan13.metrics.statistics import holm, mcnemar, wilson
from kenyan13.report.runs import Run, predictions
from kenyan13.runs.directory import State

LEVEL = 0.05
NAMED = 8  # runs that a sentence lists
ONE_SEED = (
    "Each run is one seed. How much another seed, or another split, would change is not in these numbers; the best of "
    "many runs on the same images is partly luck."
)


def among(runs: Sequence[Run]) -> list[str]:
    """Return sentences on which runs can be told from the most accurate one, for each set of validation images."""
    sets = [right for right in same_images(runs) if len(right) > 1]
    sentences = [sentence(right) for right in sets]
    return (
        [*sentences, ONE_SEED] if sentences else ["One run, or runs on different images: there is nothing to compare."]
    )


def same_images(runs: Sequence[Run]) -> list[dict[str, NDArray[np.bool_]]]:
    """Return, for each set of validation images with their labels, which of them each finished run has right."""
    sets: dict[tuple[tuple[str, ...], ...], dict[str, NDArray[np.bool_]]] = defaultdict(dict)
    for run in runs:
        saved = predictions(run.folder) if run.state is State.finished else None
        if saved is not None:
            labels = tuple(np.array(saved.classes)[saved.targets])
            sets[saved.ids, labels][run.name] = saved.probabilities.argmax(axis=1) == saved.targets
    return list(sets.values())


def sentence(right: dict[str, NDArray[np.bool_]]) -> str:
    """Return which runs are the most accurate one's equals, as far as these images can tell."""
    best = max(right, key=lambda name: right[name].mean())
    others = [name for name in right if name != best]
    p_values = dict(zip(others, holm([mcnemar(right[best], right[name]).p for name in others]), strict=True))
    equal = [name for name in others if p_values[name] >= LEVEL]
    images = len(right[best])
    low, high = wilson(int(right[best].sum()), images)
    interval = f"{right[best].mean():.1%}, 95 % interval {low:.1%} to {high:.1%}"
    ties = [name for name in others if right[name].sum() == right[best].sum()]
    tied = f", with {shorten(ties, NAMED)} as accurate" if ties else ""
    start = f"On the same {images:,} images, {best} is the most accurate of {len(right)} runs ({interval}){tied}."
    test = f"McNemar's test, p < {LEVEL} after Holm's correction"
    if not equal:
        return f"{start} All others are less accurate beyond chance ({test})."
    listed = shorten(equal, NAMED)
    told = "none of the others can be told from it" if len(equal) == len(others) else f"{listed} cannot be told from it"
    worse = len(others) - len(equal)
    rest = f"; {worse} {'is' if worse == 1 else 'are'} less accurate beyond chance ({test})" if worse else f" ({test})"
    return f"{start} By these images, {told}{rest}."
