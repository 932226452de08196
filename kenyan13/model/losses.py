"""Losses of kenyan13's own, for conf/loss, and class weights; any other of torch's or timm's can be named there."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from pytorch_lightning import Trainer
from torch import Tensor, nn

from kenyan13.errors import UserError, shorten


class FocalLoss(nn.Module):
    """Mean of (1 - p)^gamma x cross entropy, p the probability of the target (arXiv 1708.02002, eq. 4 and 5).

    gamma: 0 or more; 0 is cross entropy. weight: of each class, float [classes]; the mean is then weighted, as torch's.
    """

    def __init__(self, gamma: float = 2.0, weight: Tensor | None = None) -> None:
        super().__init__()
        self.gamma = gamma
        self.register_buffer("weight", weight)

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of logits, float [n, classes], for targets, int64 [n]."""
        entropy = F.cross_entropy(logits, targets, reduction="none")
        weight = self.weight
        weights = weight[targets] if isinstance(weight, Tensor) else entropy.new_ones(len(targets))
        return ((1 - (-entropy).exp()) ** self.gamma * entropy * weights).sum() / weights.sum()


def inverse_frequency_weights(counts: NDArray[np.int64]) -> Tensor:
    """Return class weights in proportion to 1/count that sum to 1, float32 [classes] (study, Class imbalance).

    counts: int64 [classes], all above 0.
    """
    weights = 1 / counts
    return torch.tensor(weights / weights.sum(), dtype=torch.float32)


def diverged(trainer: Trainer, part: str, loss: Tensor, rows: Iterable[int], step: str = "") -> UserError:
    """Return the error for a loss that is no number: where it appeared, and its images, rows of a part's catalogue."""
    data: Any = trainer.datamodule  # type: ignore[attr-defined]
    images = shorten([getattr(data, part).catalogue.ids[row] for row in rows], 3)
    at = f"epoch {trainer.current_epoch + 1}{step}, seed {data.settings.seed}"
    return UserError(
        f"The {part} loss is {float(loss)} in {at}: training diverged.",
        f"images there: {images or 'of another process'}",
        "lower optim.lr, or trainer.gradient_clip_val=1.0; with low precision, trainer.precision=32-true",
    )


def check_losses(trainer: Trainer, losses: Sequence[tuple[Tensor, Tensor]]) -> None:
    """Raise UserError, in all processes, where a training loss of an epoch was no number.

    losses: of each batch, float [], with the rows of its images, int64 [n].
    """
    finite = torch.stack([loss for loss, _ in losses]).isfinite().tolist() if losses else []
    if not trainer.strategy.reduce_boolean_decision(all(finite), all=True):
        first = finite.index(False) if not all(finite) else len(finite) - 1  # by another process
        loss, rows = losses[first]
        raise diverged(trainer, "train", loss, [] if finite[first] else rows.tolist(), f", step {first + 1}")
