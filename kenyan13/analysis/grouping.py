"""Which classes look alike to a model, from its confusion matrix: groups for a two-stage classifier.

Source: study, E. Two stages: the groups came from the confusion matrix of the best model, re-ordered so that the
largest confusions lie near the diagonal. Average linkage is our own way of doing that.
"""

import re
import shlex
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, leaves_list, linkage
from scipy.spatial.distance import squareform

SPECIAL = {"null", "true", "false", "nan", "inf"}  # what Hydra would not read as a name


def mutual_confusion(confusion: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return, for each two classes, the share of their images (0..1) that is taken for the other of the two.

    confusion: counts [k, k], rows are targets. Symmetric, float64 [k, k], with zeros on the diagonal.
    """
    images = confusion.sum(axis=1)
    shares: NDArray[np.float64] = (confusion + confusion.T) / np.maximum(images[:, None] + images[None, :], 1)
    np.fill_diagonal(shares, 0)
    return shares


def linked(confusion: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the classes' clusters by average linkage of 1 - mutual confusion, as scipy has them, for two or more."""
    distances = 1 - mutual_confusion(confusion)
    return np.asarray(linkage(squareform(distances, checks=False), "average", optimal_ordering=True))


def reorder(confusion: NDArray[np.int64]) -> list[int]:
    """Return an order of the classes in which those that are most confused stand beside each other.

    confusion: counts [k, k].
    """
    if len(confusion) < 2:
        return list(range(len(confusion)))
    order: list[int] = leaves_list(linked(confusion)).tolist()
    return order


def propose_groups(confusion: NDArray[np.int64], threshold: float) -> list[list[int]]:
    """Return groups of classes that are much confused: positions, each group and the list of groups in rising order.

    The mean mutual confusion between the clusters that make a group is above the threshold (0..1). Clusters of one
    class are no groups. confusion: counts [k, k], k at least 2.
    """
    cluster_of = fcluster(linked(confusion), np.nextafter(1 - threshold, 0), "distance")  # which takes equals, too
    clusters = [np.flatnonzero(cluster_of == one).tolist() for one in np.unique(cluster_of)]
    return sorted(cluster for cluster in clusters if len(cluster) > 1)


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
