"""Where names go beside points so that none covers another name or a point."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NEAR = 0.04  # inches between a marker and its name
FAR = (0.18, 0.34)  # inches: names that far away get a line to their point
FARTHEST = (*FAR, 0.55, 0.8, 1.1)
# Directions from a point to its name, the best first: right, left, above, below, and the corners.
WAYS = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1))


@dataclass(frozen=True)
class Box:
    """The place of a name, inches from the lower left corner; `far` ones need a line to their point, the anchor."""

    left: float
    low: float
    right: float
    high: float
    anchor: tuple[float, float]
    far: bool

    def covers(self, left: float, low: float, right: float, high: float) -> bool:
        """Return whether this box and the one with those edges overlap."""
        return self.left < right and left < self.right and self.low < high and low < self.high


def place_labels(
    at: NDArray[np.float64],
    sizes: Sequence[tuple[float, float]],
    order: Sequence[int],
    marker: float,
    room: tuple[float, float],
    distances: Sequence[float] = FAR,
) -> dict[int, Box]:
    """Return boxes for names that overlap neither each other nor a point, by place; those without room are left out.

    at: float64 [n, 2], where points lie, inches from the lower left corner; sizes: width and height of their names;
    order: the places of the points to name, the most important first; marker: the width of markers; room: width and
    height of the panel; distances: inches, tried where a name has no room beside its point.
    """
    found: dict[int, Box] = {}
    half = marker / 2
    for place in order:
        anchor = (float(at[place, 0]), float(at[place, 1]))
        for away in (NEAR, *distances):
            boxes = (_box(anchor, sizes[place], way, half + away, away != NEAR) for way in WAYS)
            free = (box for box in boxes if _is_free(box, found, at, half, room))
            if box := next(free, None):
                found[place] = box
                break
    return found


def _box(anchor: tuple[float, float], size: tuple[float, float], way: tuple[int, int], away: float, far: bool) -> Box:
    """Return the box of a name that lies in that direction of its point."""
    width, height = size
    slant = 0.7 if all(way) else 1.0  # corners are as near as sides
    left = anchor[0] + way[0] * away * slant + (way[0] - 1) * width / 2
    low = anchor[1] + way[1] * away * slant + (way[1] - 1) * height / 2
    return Box(left, low, left + width, low + height, anchor, far)


def _is_free(box: Box, found: dict[int, Box], at: NDArray[np.float64], half: float, room: tuple[float, float]) -> bool:
    """Return whether a box lies inside the panel and covers no name and no point."""
    if box.left < 0 or box.low < 0 or box.right > room[0] or box.high > room[1]:
        return False
    inside = (at[:, 0] > box.left - half) & (at[:, 0] < box.right + half)
    inside &= (at[:, 1] > box.low - half) & (at[:, 1] < box.high + half)
    return not inside.any() and not any(box.covers(o.left, o.low, o.right, o.high) for o in found.values())
