"""`kenyan13 study list`: what a group asks, its experiments, what the study reported of them, and their state here."""

import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

from kenyan13.errors import UserError, did_you_mean
from kenyan13.runs.config_file import read_config
from kenyan13.runs.directory import CONFIG, read_state
from kenyan13.study.definitions import GROUPS, Experiment, experiments, groups
from kenyan13.terminal import align

HEAD = ("id", "name", "study's loss", "accuracy %", "state here")


def list_groups(prefix: str, runs: Path) -> Iterator[str]:
    """Yield a text a group: title, question, shared settings, and a row an experiment whose id begins with the prefix.

    Raises UserError for a group or set that the study does not have.
    """
    if not any(id_.startswith(prefix) for id_ in experiments()):
        close = did_you_mean(prefix, [*GROUPS, *{id_[:2] for id_ in experiments()}])
        raise UserError(f"The study has no group {prefix}.{close}", f"groups: {', '.join(GROUPS)}; a set: CB")
    for group in groups().values():
        chosen = [one for id_, one in group.experiments.items() if id_.startswith(prefix)]
        if chosen:
            rows = [HEAD, *(experiment_row(one, runs) for one in chosen)]
            title = f"Group {group.letter}: {group.title}. {group.question}"
            parts = [textwrap.fill(title, 80), textwrap.fill(shared_settings(chosen), 80, break_on_hyphens=False)]
            yield "\n".join([*parts, align(rows, right=(2, 3))])


def experiment_row(one: Experiment, runs: Path) -> tuple[str, ...]:
    """Return an experiment's cells."""
    loss, accuracy = one.reported.get("min_val_loss"), one.reported.get("accuracy")
    metrics = "-" if loss is None else f"{loss:.3f}", "-" if accuracy is None else f"{accuracy:.2f}"
    return one.id, one.label, *metrics, state(one, runs)


def shared_settings(chosen: Sequence[Experiment]) -> str:
    """Return the settings that experiments have in common, as they are written on the command line."""
    first = chosen[0].settings
    words = {
        key: f"{value:.3g}" if isinstance(value, float) else str(value)
        for key, value in first.items()
        if all(one.settings.get(key) == value for one in chosen) and not isinstance(value, dict)
    }
    return "  ".join(f"{key}={value}" for key, value in words.items())


def state(one: Experiment, runs: Path) -> str:
    """Return how far an experiment is in the folder of runs: a State's words.

    A folder of its name that does not say in its config.yaml that it is this experiment is another run.
    """
    folder = runs / one.name
    if not (folder / CONFIG).exists():
        return "not started"
    mine = read_config(folder / CONFIG)["settings"].get("experiment") == one.id
    return read_state(folder).value if mine else "another run"
