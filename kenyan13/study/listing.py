"""`kenyan13 study list`: what a group asks, its experiments, what the study reported of them, and their state here."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from kenyan13.errors import UserError, did_you_mean
from kenyan13.report.tables import Column, Table
from kenyan13.runs.config_file import read_config
from kenyan13.runs.directory import State, read_state
from kenyan13.study.definitions import GROUPS, Experiment, experiments, groups

COLUMNS = [
    Column("id", "id"), Column("name", "name"), Column("min_val_loss", "study's loss", 3),
    Column("accuracy", "accuracy %", 2), Column("state", "state here"),
]  # fmt: skip


def list_groups(prefix: str, runs: Path) -> Iterator[str]:
    """Yield a text a group: title, question, a row an experiment whose id begins with the prefix, shared settings.

    Raises UserError for a group or set that the study does not have.
    """
    if not any(id_.startswith(prefix) for id_ in experiments()):
        close = did_you_mean(prefix, [*GROUPS, *{id_[:2] for id_ in experiments()}])
        raise UserError(f"The study has no group {prefix}.{close}", f"groups: {', '.join(GROUPS)}; a set: CB")
    for group in groups().values():
        chosen = [one for id_, one in group.experiments.items() if id_.startswith(prefix)]
        if chosen:
            title = f"Group {group.letter}: {group.title}. {group.question}"
            rows = [{"id": one.id, "name": one.label, **one.reported, "state": state(one, runs)} for one in chosen]
            yield Table("", title, COLUMNS, rows, [f"All: {shared_settings(chosen)}"]).text()


def shared_settings(chosen: Sequence[Experiment]) -> str:
    """Return the settings that experiments have in common, as they are written on the command line."""
    shared = {key: value for key, value in chosen[0].settings.items()
              if all(one.settings.get(key) == value for one in chosen) and not isinstance(value, dict)}  # fmt: skip
    words = {key: f"{value:.3g}" if isinstance(value, float) else value for key, value in shared.items()}
    return "  ".join(f"{key}={value}" for key, value in words.items())


def state(one: Experiment, runs: Path) -> str:
    """Return how far an experiment is in the folder of runs: a State's words.

    A folder of its name that does not say in its config.yaml that it is this experiment is another run.
    """
    folder = runs / one.name
    state = read_state(folder)
    try:
        mine = state is State.not_started or read_config(folder)["settings"].get("experiment") == one.id
    except UserError:
        return "unreadable"
    return state.value if mine else "another run"
