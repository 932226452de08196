"""Runs side by side: in what they differ, and whether their accuracies differ by more than chance. Imports no torch.

In sentences runs are called A, B, C in the order of the comparison.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path
from string import ascii_uppercase

from kenyan13.errors import UserError, shorten
from kenyan13.metrics.classification import holm, mcnemar
from kenyan13.runs.directory import FAILED, State
from kenyan13.runs.predictions import classes_of, labelled, predicted_of
from kenyan13.runs.run import Run, read_run

SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Comparison:
    """McNemar's test of a run against another (their indices), on the images (their number) that both have predicted.

    only_run, only_against: how many only one of them has right; corrected: p after Holm's correction. Where there is no
    test, `obstacle` says why, and p is None.
    """

    run: int
    against: int
    images: int
    only_run: int = 0
    only_against: int = 0
    p: float | None = None
    corrected: float | None = None
    obstacle: str = ""

    @property
    def lead(self) -> float:
        """By how much more of the images the run has right than the other, -1..1."""
        return (self.only_run - self.only_against) / self.images

    @property
    def significant(self) -> bool:
        """Whether the difference is more than chance gives."""
        return self.corrected is not None and self.corrected < SIGNIFICANT


def read_runs(folders: Sequence[Path]) -> tuple[list[Run], dict[Path, State]]:
    """Read runs: the most accurate first (ties: the lower loss, then the name), and those without any metrics apart.

    Raises UserError for fewer than two runs, one given twice, a folder that is no run, and damaged files.
    """
    check_several(folders, "A comparison", "runs/first runs/second")
    runs = [read_run(folder) for folder in folders]
    empty = {run.folder: run.state for run in runs if run.summary.min_val_loss is None and run.predictions is None}
    if len(runs) - len(empty) < 2:
        named = shorten([f"{folder} ({state.value})" for folder, state in empty.items()], 4)
        raise UserError(f"Fewer than two runs have metrics: none are in {named}.", "train these runs first")
    return sorted((run for run in runs if run.folder not in empty), key=best_first), empty


def best_first(run: Run) -> tuple[float, float, str]:
    """Return what runs are ordered by: the highest accuracy, then the lowest loss, then the folder's name."""
    accuracy, loss = run.summary.accuracy, run.summary.min_val_loss
    return -1.0 if accuracy is None else -accuracy, inf if loss is None else loss, str(run.folder)


def check_several(folders: Sequence[Path], purpose: str, example: str) -> None:
    """Raise UserError for fewer than two runs, and for one given twice."""
    if len(folders) < 2:
        raise UserError(f"{purpose} needs two or more runs.", f"give several run directories, as in {example}")
    twice = [folder for folder in dict.fromkeys(folders) if folders.count(folder) > 1]
    if twice:
        raise UserError(f"Given twice: {shorten(twice)}.", "give each run once")


def origins(run: Run) -> dict[str, str]:
    """Return what a run was made of, each thing as a text that is equal where it is the same."""
    if not run.settings:
        return {}
    found = {"classes": ", ".join(run.data.get("classes", []))}
    for part, label in (("train", "training images"), ("validation", "validation images")):
        if isinstance(known := run.data.get(part), dict):
            found[label] = f"{known.get('images')} (digest {str(known.get('digest'))[:8]})"
    commit, _, changes = run.commit.partition("+")
    return found | dict(run.versions) | {"code": commit[:10] + (f" with {changes}" if changes else "")}


def compare(runs: Sequence[Run]) -> list[Comparison]:
    """Return McNemar's test of each run against the first one that has predictions, with Holm's correction."""
    against = next((index for index, run in enumerate(runs) if run.predictions is not None), None)
    if against is None:
        return []
    pairs = [test_pair(runs, index, against) for index in range(len(runs)) if index != against]
    corrected = iter(holm([pair.p for pair in pairs if pair.p is not None]))
    return [pair if pair.p is None else replace(pair, corrected=next(corrected)) for pair in pairs]


def test_pair(runs: Sequence[Run], index: int, against: int) -> Comparison:
    """Return McNemar's test of two runs on the images of both that have a label; or why there is none."""
    one, other = runs[index].predictions, runs[against].predictions
    if one is None or other is None:
        return Comparison(index, against, 0, obstacle="no predictions")
    if set(classes_of(one)) != set(classes_of(other)):
        return Comparison(index, against, 0, obstacle="other classes")
    common = labelled(one).index.intersection(labelled(other).index, sort=False)
    one, other = one.loc[common], other.loc[common]
    if one.empty:
        return Comparison(index, against, 0, obstacle="no common images")
    if different := int((one["target"] != other["target"]).sum()):
        return Comparison(index, against, len(one), obstacle=f"other labels for {different:,} images")
    right = [predicted_of(table) == table["target"].to_numpy() for table in (one, other)]
    return Comparison(index, against, len(one), *mcnemar(*right))


def letter(index: int) -> str:
    """Return the name of the run at an index: A to Z, AA, AB and so on."""
    return (letter(index // 26 - 1) if index >= 26 else "") + ascii_uppercase[index % 26]


def letters(indices: Iterable[int]) -> str:
    """Return the names of several runs: A, B, C; of more than eight only the first, and how many others."""
    return shorten([letter(index) for index in indices])


def p_value(p: float) -> str:
    """Return a p-value as it is written: p = 0.68, p < 0.001."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"


def other_origins(runs: Sequence[Run]) -> list[str]:
    """Return a sentence for each thing that the runs were made of and that is not the same in all."""
    found: dict[str, dict[str, list[int]]] = {}  # thing -> text -> indices of runs
    for index, run in enumerate(runs):
        for thing, text in origins(run).items():
            found.setdefault(thing, {}).setdefault(text, []).append(index)
    sentences = []
    for thing, texts in found.items():
        parts = [f"{shorten(text.split(', '), 6)} in {letters(indices)}" for text, indices in texts.items()]
        sentences += [f"Other {thing}: {'; '.join(parts)}."] if len(parts) > 1 else []
    return sentences


def remarks(runs: Sequence[Run], left_out: Mapping[Path, State], comparisons: Sequence[Comparison]) -> list[str]:
    """Return what a reader of the metrics must know: runs that are not finished, left out, or cannot be tested."""
    sentences = [
        f"{letter(k)} is {run.state.value}: its metrics are of {run.summary.epochs} epochs so far."
        for k, run in enumerate(runs)
        if run.state is not State.finished
    ]
    for folder, state in left_out.items():
        more = f", see {folder / FAILED}" if state is State.failed else ""
        sentences.append(f"Left out: {folder} has no metrics ({state.value}{more}).")
    tested = [one for one in comparisons if one.p is not None]
    if any(one.images != runs[k].summary.images for one in tested for k in (one.run, one.against)):
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
    if len(tested) < 2:
        return [conclude_pair(one, name) for one in tested]
    against, sentences = name(tested[0].against), []
    for word, sign in (("Worse", -1), ("Better", 1)):
        runs = [name(one.run) for one in tested if one.significant and one.lead * sign > 0]
        if runs:
            beyond = f"by more than chance gives (corrected p < {SIGNIFICANT})"
            sentences.append(f"{word} than {against} {beyond}: {shorten(runs)}.")
    if unsure := [name(one.run) for one in tested if not one.significant]:
        sentences.append(f"Not to be told from {against}, as the difference is within chance: {shorten(unsure)}.")
    sentences.append(f"{against} was chosen as the most accurate on these images, so that part of its lead is luck.")
    return sentences


def conclude_pair(one: Comparison, name: Callable[[int], str]) -> str:
    """Return the conclusion of a single test."""
    assert one.p is not None
    both, images = f"{name(one.against)} and {name(one.run)}", f"{one.images:,} images"
    if one.lead == 0:
        return f"{both} have the same number of the {images} right."
    difference = f"The difference of {abs(100 * one.lead):.1f} points"
    if one.p < SIGNIFICANT:
        better = name(one.run if one.lead > 0 else one.against)
        return f"{difference} is more than chance gives on {images} ({p_value(one.p)}): {better} is better."
    return f"{difference} is within what chance gives on {images} ({p_value(one.p)})."
