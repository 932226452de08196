"""`kenyan13 study list`: the study's experiments with settings in words, what it reported, their state here."""

import re
from pathlib import Path

from kenyan13.errors import UserError, did_you_mean
from kenyan13.runs.directory import read_state
from kenyan13.study.definitions import GROUPS, Experiment, experiments
from kenyan13.study.references import reference

HEAD = ("id", "name", "settings", "study's loss", "accuracy %", "state here")


def list_rows(group: str | None, runs: Path) -> list[tuple[str, ...]]:
    """Return a row an experiment (columns: HEAD), of one group (C) or set (CB), or of all.

    Raises UserError for a group that the study does not have.
    """
    chosen = [one for id_, one in experiments().items() if id_.startswith(group or "")]
    if not chosen:
        close = did_you_mean(group or "", [*GROUPS, *{id_[:2] for id_ in experiments()}])
        raise UserError(f"The study has no group {group}.{close}", f"groups: {', '.join(GROUPS)}; a set: CB")
    rows: list[tuple[str, ...]] = []
    for one in chosen:
        reported = reference().get(one.id, {})
        figures = (reported.get("min_val_loss") or "-", reported.get("accuracy") or "-")
        rows.append((one.id, one.name.partition("_")[2], in_words(one), *figures, state(one, runs)))
    return rows


def in_words(one: Experiment) -> str:
    """Return an experiment's settings in a line; what is the same in most of the study is left out."""
    has = one.settings
    words = [f"{has['model']} {has['freeze']}", f"{has['optim']} {has.get('optim.lr', 0):.3g}"]
    if has.get("optim.weight_decay"):
        words[-1] += f" decay {has['optim.weight_decay']:g}"
    if "trainer.max_epochs" in has:
        every = has.get("schedule.step_size", "")
        at = "/".join(str(epoch) for epoch in has.get("schedule.milestones", ()))
        shape = {"step": f"step {every}", "multistep": f"steps at {at}"}.get(has["schedule"], has["schedule"])
        words += [shape, f"{has['trainer.max_epochs']} epochs"]
    if has.get("model.pretrained") is False:
        words.insert(1, "from scratch")
    if has["stop"] != "none":
        words.append(f"stop on {has['stop']}")
    if has["augment"] != "default":
        words.append(f"augment {has['augment']}")
    if has["balance"] != "weighted_sampler":
        words.append({"none": "no balance"}.get(has["balance"], has["balance"].replace("_", " ")))
    for key, said in (
        ("data.subset", "{} images"),
        ("data.workers", "{} workers"),
        ("seed", "seed {}"),
        ("data.stage", "stage {}"),
    ):
        if key in has and (key, has[key]) != ("seed", 42):
            words.append(said.format(has[key]))
    return ", ".join(words)


def state(one: Experiment, runs: Path) -> str:
    """Return how far an experiment is in the folder of runs: a State's words.

    A folder of its name that does not say in its config.yaml that it is this experiment is another run.
    """
    config = runs / one.name / "config.yaml"
    if not config.exists():
        return "not started"
    if not re.search(rf"^  experiment: {one.id}$", config.read_text(), flags=re.MULTILINE):
        return "another run"
    return read_state(config.parent).value
