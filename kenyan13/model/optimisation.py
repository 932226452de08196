"""Optimisers and learning-rate schedules as conf/optim and conf/schedule name them, made for one network."""

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import cos, pi
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from kenyan13.config.presets import TARGET
from kenyan13.config.targets import build, find_target
from kenyan13.errors import UserError, first_line

NETWORK = ("model_or_params", "model", "network")  # first parameters of targets that take a network, as timm's do


def create_optimizer(optim: Mapping[str, Any], network: nn.Module, auxiliary: nn.Module | None = None) -> Optimizer:
    """Return the optimiser that conf/optim describes, over all parameters of the network.

    auxiliary: a module that trains beside it, at the full rate and without weight decay.

    A target whose first parameter is called model, network or model_or_params gets the network, others its parameters.
    timm's parameter groups carry `lr_scale`, a factor of the rate that torch's optimisers and schedules ignore without
    a word: it becomes part of each group's rate. Raises UserError for arguments that the target refuses.
    """
    first = next(iter(inspect.signature(find_target("optim", optim[TARGET])).parameters), "")
    given = network if first in NETWORK else list(network.parameters())
    optimizer: Optimizer = build("optim", optim, given, kind=Optimizer)
    for group in optimizer.param_groups:
        group["lr"] *= group.pop("lr_scale", 1.0)
    if auxiliary is not None:
        full = max(group["lr"] for group in optimizer.param_groups)
        optimizer.add_param_group({"params": list(auxiliary.parameters()), "lr": full, "weight_decay": 0.0})
    return optimizer


@contextmanager
def explained(key: str, target: object) -> Iterator[None]:
    """Turn what a configured part raises at work, as for numbers that it cannot take, into a UserError naming it."""
    try:
        yield
    except (UserError, torch.OutOfMemoryError):
        raise
    except (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise UserError(
            f"{key}: {target} does not work here: {first_line(error)}",
            f"its settings: python train.py --cfg job --package {key}",
            "HYDRA_FULL_ERROR=1 before the command shows where",
        ) from error


def warmup_cosine(optimizer: Optimizer, max_epochs: float, warmup: float = 1, steps_per_epoch: int = 1) -> LRScheduler:
    """Return a schedule that rises in a line over `warmup` epochs, then falls as half a cosine to `max_epochs`.

    steps_per_epoch: how often it is stepped in an epoch.
    """
    return LambdaLR(optimizer, lambda step: cosine_share(step, warmup * steps_per_epoch, max_epochs * steps_per_epoch))


def cosine_share(step: int, warmup: float, total: float) -> float:
    """Return the share of the full rate, 0..1, at a step counted from 0.

    Rises as (step + 1) / (warmup + 1), then falls as half a cosine that would reach zero at `total`
    (SGDR without restarts, arXiv 1608.03983, eq. 5).
    """
    if step < warmup:
        return (step + 1) / (warmup + 1)
    return 0.5 * (1 + cos(pi * min(1.0, (step - warmup) / max(1, total - warmup))))


def is_plain(value: Any) -> bool:
    """Return whether a value is of numbers, texts and lists, which checkpoints may hold."""
    if isinstance(value, dict):
        return all(is_plain(one) for one in value.values())
    if isinstance(value, list | tuple):
        return all(is_plain(one) for one in value)
    return value is None or isinstance(value, bool | int | float | str)
