"""Images that a frozen backbone has turned into features: an epoch draws from some views of each, computed once."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from kenyan13.data.batches import Batch
from kenyan13.data.sampling import VIEWS, Draw, generator


@dataclass(frozen=True)
class Features:
    """Features in the rows of the catalogues.

    train: float32 [n, views, ...], of augmented views of each training image; validation: float32 [m, 1, ...].
    """

    train: Tensor
    validation: Tensor


class FeatureDataset(Dataset[Batch]):
    """Whole batches of features; which view of an image is drawn is decided by (seed, epoch, position)."""

    def __init__(self, features: Tensor, targets: NDArray[np.int64], seed: int) -> None:
        self.features, self.targets, self.seed = features, torch.from_numpy(targets), seed
        self.views: tuple[int, NDArray[np.int64]] | None = None

    def __len__(self) -> int:
        return len(self.features)

    def __getitems__(self, draws: list[Draw]) -> Batch:
        rows = torch.tensor([draw.row for draw in draws])
        views = torch.from_numpy(self.epoch_views(draws[0].epoch)[[draw.position % len(self) for draw in draws]])
        return Batch(self.features[rows, views], self.targets[rows], rows)

    def epoch_views(self, epoch: int) -> NDArray[np.int64]:
        """Return which view each of an epoch's draws takes, int64 [n]."""
        if self.views is None or self.views[0] != epoch:
            number = self.features.shape[1]
            self.views = (epoch, generator(VIEWS, self.seed, epoch).integers(number, size=len(self)))
        return self.views[1]
