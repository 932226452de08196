"""What a report asks of the runs that it is about."""

import json
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence

from kenyan13.config.settings import Layout
from kenyan13.runs.result import Result
from kenyan13.runs.run import Run


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
