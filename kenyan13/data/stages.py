"""Views of the images for a two-stage classifier: groups of classes first, then each group's (study, E. Two stages)."""

from collections.abc import Mapping, Sequence

import numpy as np

from kenyan13.data.catalogue import RESERVED, Catalogue
from kenyan13.errors import UserError, did_you_mean, shorten

FIRST = "first"  # the value of data.stage that is no group
# Group names become columns of predictions.csv and parts of file names: confusion_GROUP.csv beside confusion_hard.csv.
NOT_GROUPS = {FIRST, "hard", "soft", "stage1", *RESERVED}
HOW = "name classes that look alike: 'data.groups={greens:[sukumawiki,ugali]}'"
Groups = Mapping[str, Sequence[str]]


def stage_view(catalogue: Catalogue, groups: Groups, stage: str | None) -> Catalogue:
    """Return the same images with the targets of a stage (None, FIRST or a group's name); -1 for those of no class."""
    classes = stage_classes(catalogue.classes, groups, stage)
    index = {name: target for target, name in enumerate(classes)}
    if stage == FIRST:
        index |= {member: index[group] for group, members in groups.items() for member in members}
    new_targets = np.array([*(index.get(name, -1) for name in catalogue.classes), -1], dtype=np.int64)
    return Catalogue(catalogue.ids, catalogue.paths, new_targets[catalogue.targets], classes)  # -1 finds the last, -1


def stage_classes(classes: Sequence[str], groups: Groups, stage: str | None) -> tuple[str, ...]:
    """Return a stage's classes in the data's order, then the groups. Raises UserError for impossible ones."""
    everything = [member for members in groups.values() for member in members]
    if unknown := [member for member in everything if member not in classes]:
        problem = f"data.groups has members that are no classes: {shorten(unknown)}."
        raise UserError(problem + did_you_mean(unknown[0], classes), f"classes: {shorten(classes, 20)}")
    for name, members in groups.items():
        if name in NOT_GROUPS or name in classes or "/" in name or not name:
            raise UserError(f"A group cannot be named '{name}'.", "choose a name that is no class and has no /")
        if len(set(members)) < 2:
            raise UserError(f"data.groups: {name} has fewer than two classes.", "give it two or more, or leave it out")
    if repeated := [member for member in dict.fromkeys(everything) if everything.count(member) > 1]:
        raise UserError(f"data.groups names {shorten(repeated)} more than once.", "a class goes into one group only")
    if stage is None:
        return tuple(classes)
    if stage in groups:
        return tuple(name for name in classes if name in groups[stage])
    if stage != FIRST or not groups:
        known = [FIRST, *groups] if groups else []
        step = f"stages: {shorten(known)}" if known else f"it needs groups; {HOW}"
        raise UserError(f"There is no data.stage={stage}.{did_you_mean(stage, known)}", step)
    first = (*(name for name in classes if name not in everything), *groups)
    if len(first) < 2:
        raise UserError(f"All classes are in {first[0]}: the first stage has nothing to tell apart.", HOW)
    return first
