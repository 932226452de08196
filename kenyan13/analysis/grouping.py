"""Which classes look alike to a model, from its confusion matrix: groups for a two-stage classifier.

Source: study, E. Two stages: the groups came from the confusion matrix of the best model, re-ordered greedily so that
the largest confusions lie near the diagonal. The order and the rule below are our own way of doing that.
"""

import re
import shlex
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

# On the study's composed matrix, any value from 0.026 to 0.050 gives the study's three groups.
THRESHOLD = 0.04
SPECIAL = {"null", "true", "false", "nan", "inf"}  # what Hydra would not read as a name


def mutual_confusion(confusion: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return, for each two classes, the share of their images (0..1) that is taken for the other of the two.

    confusion: counts [k, k], rows are targets. Symmetric, float64 [k, k], with zeros on the diagonal.
    """
    images = confusion.sum(axis=1)
    shares: NDArray[np.float64] = (confusion + confusion.T) / np.maximum(images[:, None] + images[None, :], 1)
    np.fill_diagonal(shares, 0)
    return shares


def reorder(confusion: NDArray[np.int64]) -> list[int]:
    """Return an order of the classes in which those that are most confused stand beside each other.

    Greedy: it starts with the two classes of the largest mutual confusion; then the class with the largest one with
    either end goes to that end. Equal values: the class of the lower number, at the end. confusion: counts [k, k].
    """
    shares, classes = mutual_confusion(confusion), len(confusion)
    if classes < 2:
        return list(range(classes))
    one, other = np.triu_indices(classes, 1)
    strongest = shares[one, other].argmax()
    order = [int(one[strongest]), int(other[strongest])]
    while len(order) < classes:
        left = [k for k in range(classes) if k not in order]
        before, behind = shares[order[0], left], shares[order[-1], left]
        if before.max() > behind.max():
            order.insert(0, left[before.argmax()])
        else:
            order.append(left[behind.argmax()])
    return order


def propose_groups(confusion: NDArray[np.int64], threshold: float = THRESHOLD) -> list[list[int]]:
    """Return groups of classes that are much confused: positions, each group and the list of groups in rising order.

    Average linkage along the order of `reorder`: each class begins as a cluster of its own; of neighbouring clusters,
    the two with the highest mean mutual confusion between their classes are joined, as long as that is above the
    threshold (0..1). Clusters of one class are no groups. confusion: counts [k, k].
    """
    shares = mutual_confusion(confusion)
    clusters = [[k] for k in reorder(confusion)]
    while len(clusters) > 1:
        links = [shares[np.ix_(one, other)].mean() for one, other in pairwise(clusters)]
        closest = int(np.argmax(links))
        if links[closest] <= threshold:
            break
        clusters[closest : closest + 2] = [clusters[closest] + clusters[closest + 1]]
    return sorted(sorted(cluster) for cluster in clusters if len(cluster) > 1)


def name_groups(groups: Sequence[Sequence[int]], classes: Sequence[str]) -> dict[str, list[str]]:
    """Return groups by name, group1, group2 and so on, with their classes' names."""
    return {f"group{k}": [classes[member] for member in group] for k, group in enumerate(groups, start=1)}


def as_setting(groups: Mapping[str, Sequence[str]]) -> str:
    """Return groups as the shell word that sets data.groups, with names quoted where Hydra needs it."""
    lists = [f"{name}:[{','.join(map(quote, members))}]" for name, members in groups.items()]
    return shlex.quote(f"data.groups={{{','.join(lists)}}}")


def quote(name: str) -> str:
    """Return a class name as Hydra reads it as a text."""
    if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) and name.lower() not in SPECIAL:
        return name
    escaped = re.sub(r'(\\*)"', r'\1\1\\"', name)  # Hydra halves backslashes before a quote only
    return '"' + re.sub(r"(\\+)$", r"\1\1", escaped) + '"'
