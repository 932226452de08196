"""The sections of the study's groups: question, tables, figures, and what follows from them."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from kenyan13.errors import UserError
from kenyan13.report.conclusions import against_study, among
from kenyan13.report.group_figures import FIGURES, Found
from kenyan13.report.parts import Section
from kenyan13.report.photos import PRESETS, sheets
from kenyan13.report.runs import Run, kind, study_id
from kenyan13.runs.directory import CASCADE, CONFIG, RESULT, SHEETS, State
from kenyan13.study.definitions import GROUPS, experiments, groups
from kenyan13.study.group_tables import tables


def group_jobs(runs: Sequence[Run], output: Path) -> list[Callable[[], Section]]:
    """Return what makes the sections of groups that have runs, and others for runs that are variants of the study's."""
    jobs: list[Callable[[], Section]] = []
    for place, (said, (found, doubles)) in enumerate(by_kind(runs).items()):
        for group in GROUPS:
            if any(id_.startswith(group) for id_ in found):
                anchor = f"group-{group}" + (f"-{place}" if place else "")
                jobs.append(partial(group_section, group, found, doubles, said, anchor, output))
    return jobs


def by_kind(runs: Sequence[Run]) -> dict[str, tuple[dict[str, Run], list[Run]]]:
    """Return, by what sets them apart from the study's (see `kind`), runs by id, and those left out for others.

    Of several runs of an experiment, a finished one stands in the tables, and of several finished ones the newest.
    """
    found: dict[str, tuple[dict[str, Run], list[Run]]] = defaultdict(lambda: ({}, []))
    for run in sorted(runs, key=age):
        id_ = None if run.problem else study_id(run)
        if id_:
            chosen, doubles = found[kind(run)]
            if id_ in chosen:
                doubles.append(chosen[id_])
            chosen[id_] = run
    return dict(sorted(found.items()))


def age(run: Run) -> tuple[bool, float]:
    """Return a key that sorts finished runs behind others, and those that ended, or began, later behind others.

    Other files do not count: predictions may be made years after a run, and a run in training has files for moments.
    """
    written = [run.folder / name for name in (RESULT, SHEETS, CASCADE, CONFIG)]
    return run.state is State.finished, next((file.stat().st_mtime for file in written if file.is_file()), 0.0)


def group_section(group: str, found: Found, doubles: Sequence[Run], said: str, anchor: str, output: Path) -> Section:
    """Return the section of one group. said: what sets these runs apart from the study's; "" for the study's own."""
    about = groups()[group]
    section = Section(anchor, f"Group {group}: {about.title}" + (f" ({said})" if said else ""), [about.question])
    mine = [run for id_, run in found.items() if id_.startswith(group)]
    needed = [experiments()[id_] for id_ in about.ids_for_tables()]
    missing = output / "missing"  # no folder: beside variants lie the study's own runs, which are not meant
    folders = {one.id: found[one.id].folder if one.id in found else missing / one.name for one in needed}
    try:
        section.tables = tables(group, folders)
        for table in section.tables:
            table.title += f" ({said})" if said else ""  # tables are files of their own, too
        section.images = FIGURES[group](found, section.tables, output, anchor)
    except UserError as error:
        section.texts.append(f"Not all can be shown: {error}")
    if group == "A" and "AAA" in found:
        section.grids = [grid for grid in sheets(found["AAA"]) if grid.title == PRESETS]
        section.texts.append("The contact sheets of each class are on the pages of AAA and AAB.")
    section.links = {id_: run.anchor() for id_, run in found.items()}
    section.texts += [
        f"{study_id(run)}: another run of it, newer or finished, stands in the tables in place of {run.name}."
        for run in doubles
        if study_id(run) in folders
    ]
    section.conclusions = [] if said else against_study(section.tables)
    section.conclusions += among(mine)
    return section
