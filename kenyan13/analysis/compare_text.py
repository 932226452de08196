"""What a comparison of runs says, as sentences. Runs are called A, B, C in the order of the comparison."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from string import ascii_uppercase

from kenyan13.analysis import compare
from kenyan13.analysis.compare import SIGNIFICANT, Comparison
from kenyan13.analysis.run_metrics import measure
from kenyan13.errors import shorten
from kenyan13.runs.directory import FAILED, State
from kenyan13.runs.run import Run

NAMED = 8  # runs that a sentence lists


def letter(index: int) -> str:
    """Return the name of the run at an index: A to Z, AA, AB and so on."""
    return (letter(index // 26 - 1) if index >= 26 else "") + ascii_uppercase[index % 26]


def listed(names: Sequence[str]) -> str:
    """Return several names in a sentence: A, B and C; of more than eight only the first, and how many others."""
    if len(names) > NAMED:
        return shorten(names, NAMED)
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def letters(indices: Iterable[int]) -> str:
    """Return the names of several runs: A, B and C."""
    return listed([letter(index) for index in indices])


def p_value(p: float) -> str:
    """Return a p-value as it is written: p = 0.68, p < 0.001."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"


def origins(runs: Sequence[Run]) -> list[str]:
    """Return a sentence for each thing that the runs were made of and that is not the same in all."""
    found: dict[str, dict[str, list[int]]] = {}  # thing -> text -> indices of runs
    for index, run in enumerate(runs):
        for thing, text in compare.origins(run).items():
            found.setdefault(thing, {}).setdefault(text, []).append(index)
    sentences = []
    for thing, texts in found.items():
        parts = [f"{shorten(text.split(', '), 6)} in {letters(indices)}" for text, indices in texts.items()]
        sentences += [f"Other {thing}: {'; '.join(parts)}."] if len(parts) > 1 else []
    return sentences


def remarks(runs: Sequence[Run], left_out: Mapping[Path, State], comparisons: Sequence[Comparison]) -> list[str]:
    """Return what a reader of the metrics must know: runs that are not finished, left out, or cannot be tested."""
    sentences = [
        f"{letter(k)} is {run.state.value}: its metrics are of {measure(run).epochs} epochs so far."
        for k, run in enumerate(runs)
        if run.state is not State.finished
    ]
    for folder, state in left_out.items():
        more = f", see {folder / FAILED}" if state is State.failed else ""
        sentences.append(f"Left out: {folder} has no metrics ({state.value}{more}).")
    tested = [one for one in comparisons if one.p is not None]
    if any(one.images != measure(runs[k]).images for one in tested for k in (one.run, one.against)):
        sentences.append("The runs' validation images differ: intervals are of each run's own, tests of common ones.")
    obstacles: dict[str, list[int]] = {}
    for one in comparisons:
        if one.obstacle:
            more = f" than {letter(one.against)}" if "other" in one.obstacle else ""
            obstacles.setdefault(one.obstacle + more, []).append(one.run)
    return [*sentences, *(f"No test of {letters(indices)}: {why}." for why, indices in obstacles.items())]


def conclusion(comparisons: Sequence[Comparison], name: Callable[[int], str] = letter) -> list[str]:
    """Return in some sentences whether the runs differ by more than chance gives; none where nothing was tested.

    name: of the run at an index.
    """
    tested = [one for one in comparisons if one.p is not None]
    if len(tested) > 1:
        return conclude_many(tested, name)
    return [conclude_pair(one, name) for one in tested]


def conclude_pair(one: Comparison, name: Callable[[int], str]) -> str:
    """Return the conclusion of a single test."""
    assert one.p is not None
    both, images = f"{name(one.against)} and {name(one.run)}", f"{one.images:,} images"
    if one.only_run + one.only_against == 0:
        return f"{both} have the same of the {images} right."
    if one.lead == 0:
        differ = f"differ on {one.only_run + one.only_against:,} of them"
        return f"{both} have the same number of the {images} right, and {differ}."
    difference = f"The difference of {abs(100 * one.lead):.1f} points"
    if one.p < SIGNIFICANT:
        better = name(one.run if one.lead > 0 else one.against)
        return f"{difference} is more than chance gives on {images} ({p_value(one.p)}): {better} is better."
    return f"{difference} is within what chance gives on {images} ({p_value(one.p)})."


def conclude_many(tested: Sequence[Comparison], name: Callable[[int], str]) -> list[str]:
    """Return the conclusions of several tests against the same run."""
    against = name(tested[0].against)
    sentences = []
    for word, sign in (("Worse", -1), ("Better", 1)):
        runs = [name(one.run) for one in tested if one.significant and one.lead * sign > 0]
        if runs:
            beyond = f"by more than chance gives (corrected p < {SIGNIFICANT})"
            sentences.append(f"{word} than {against} {beyond}: {listed(runs)}.")
    unsure = [name(one.run) for one in tested if not one.significant]
    if unsure:
        sentences.append(f"Not to be told from {against}, as the difference is within chance: {listed(unsure)}.")
    sentences.append(f"{against} was chosen as the most accurate on these images, so that part of its lead is luck.")
    return sentences
