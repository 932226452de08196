"""Which images an epoch draws, in which order: pure functions of (seed, epoch), so that resuming needs no state."""

from collections.abc import Callable, Iterator
from functools import cache
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch.utils.data import Sampler

from kenyan13.config.settings import Sampling

# First number of a generator's key, so that no two uses share random numbers.
SAMPLING, AUGMENTATION, ROUNDS = 0, 1, 2
VIEWS, SHEETS, EXTRA = 2**32 - 1, 2**32 - 2, 2**32 - 3  # ROUNDS and the numbers above it are taken, one a class

Order = Callable[[int], NDArray[np.int64]]  # epoch (from 0) -> rows in the order of their draws


class Draw(NamedTuple):
    """One draw of an image: its row, and where in training it is drawn, which decides its augmentation."""

    row: int
    epoch: int
    position: int


def epoch_order(sampling: Sampling, targets: NDArray[np.int64], counts: NDArray[np.int64], seed: int) -> Order:
    """Return a method's order of the rows of `targets`, int64 [n]; counts: int64 [classes], for the weights."""
    match sampling:
        case Sampling.shuffled:
            return lambda epoch: generator(SAMPLING, seed, epoch).permutation(len(targets))
        case Sampling.weighted:
            weights, length = 1 / counts[targets], len(targets)
            probabilities = weights / weights.sum()
            return lambda epoch: generator(SAMPLING, seed, epoch).choice(length, size=length, p=probabilities)
        case Sampling.balanced:
            return lambda epoch: balanced_order(targets, seed, epoch)


def across_classes(targets: NDArray[np.int64], number: int, seed: int) -> NDArray[np.int64]:
    """Return up to `number` rows of `targets` (int64 [n]), equally many a class, by class and seed: int64 [m]."""
    shuffled = generator(SHEETS, seed).permutation(len(targets))
    turns = pd.Series(targets[shuffled]).groupby(targets[shuffled]).cumcount()  # 0 for each class's first image
    chosen = shuffled[np.argsort(turns, kind="stable")[:number]]
    return chosen[np.argsort(targets[chosen], kind="stable")]


def balanced_order(targets: NDArray[np.int64], seed: int, epoch: int) -> NDArray[np.int64]:
    """Return the rows that the balanced sampler draws in an epoch, int64 [n].

    Draws are numbered through all epochs. Each round of draws has every class once, shuffled, so a class's r-th draw
    is in round r; it takes the image at r % n_c of the class's (r // n_c)-th shuffle. So at any moment the draws
    of two classes differ by at most one, and so do those of two images of a class. (Study: balanced sampler.)
    """
    present = np.unique(targets)
    members = [np.flatnonzero(targets == target) for target in present]
    first, before = divmod(epoch * len(targets), len(present))  # the first round, and its draws in the epoch before
    rounds = range(first, first + -(-(before + len(targets)) // len(present)))

    @cache
    def shuffle(k: int, turn: int) -> NDArray[np.int64]:
        return generator(ROUNDS + 1 + k, seed, turn).permutation(members[k])

    rows = [
        shuffle(k, r // len(members[k]))[r % len(members[k])]
        for r in rounds for k in generator(ROUNDS, seed, r).permutation(len(present)).tolist()
    ]  # fmt: skip
    return np.array(rows[before : before + len(targets)], dtype=np.int64)


def generator(*key: int) -> np.random.Generator:
    """Return a random generator that is a pure function of whole numbers >= 0."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(key)))


class EpochSampler(Sampler[Draw]):
    """Yields an epoch's draws (Lightning sets it); of several processes, each takes every `world`-th, equally many."""

    def __init__(self, order: Order, length: int, rank: int = 0, world: int = 1, epoch: int = 0) -> None:
        self.order, self.length, self.rank, self.world, self.epoch = order, length, rank, world, epoch

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch, from 0."""
        self.epoch = epoch

    def __len__(self) -> int:
        return -(-self.length // self.world)

    def __iter__(self) -> Iterator[Draw]:
        rows = self.order(self.epoch)
        for position in range(self.rank, len(self) * self.world, self.world):
            yield Draw(int(rows[position % self.length]), self.epoch, position)
