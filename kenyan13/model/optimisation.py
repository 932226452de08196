"""Optimisers and learning-rate schedules, from torch, by the names of conf/optim and conf/schedule."""

from collections.abc import Iterable
from math import cos, pi

from torch.nn import Parameter
from torch.optim import SGD, Adam, AdamW
from torch.optim import Optimizer as TorchOptimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, MultiStepLR, ReduceLROnPlateau, StepLR

from kenyan13.config.settings import Optimizer, OptimSettings, Schedule, ScheduleSettings


def create_optimizer(settings: OptimSettings, parameters: Iterable[Parameter]) -> TorchOptimizer:
    """Return the optimiser over all parameters; those without gradient are passed over at each step.

    Fused: all arithmetic of a step in one pass, on GPUs and CPUs alike. SGD's cannot take layers that join it later.
    """
    lr, decay = settings.lr, settings.weight_decay
    betas = (settings.betas[0], settings.betas[1])
    match settings.name:
        case Optimizer.adam:
            return Adam(parameters, lr, betas, weight_decay=decay, fused=True)
        case Optimizer.adamw:
            return AdamW(parameters, lr, betas, weight_decay=decay, fused=True)
        case Optimizer.sgd:
            return SGD(parameters, lr, settings.momentum, weight_decay=decay)


def create_schedule(settings: ScheduleSettings, optimizer: TorchOptimizer, epochs: int) -> LRScheduler:
    """Return the schedule, to be stepped once after each epoch (plateau: with the training loss)."""
    match settings.name:
        case Schedule.constant:
            return LambdaLR(optimizer, lambda epoch: 1.0)
        case Schedule.step:
            return StepLR(optimizer, settings.every, settings.factor)
        case Schedule.multistep:
            return MultiStepLR(optimizer, settings.milestones, settings.factor)
        case Schedule.plateau:
            return ReduceLROnPlateau(
                optimizer, factor=settings.factor, patience=settings.patience, threshold=settings.threshold
            )
        case Schedule.cosine:
            return LambdaLR(optimizer, lambda epoch: warm_cosine(epoch, settings.warmup, epochs))


def warm_cosine(epoch: int, warmup: int, epochs: int) -> float:
    """Return the share of the full rate in an epoch, counted from 0.

    Rises as (epoch + 1) / (warmup + 1), then falls as half a cosine that would reach zero at `epochs`
    (SGDR without restarts, arXiv 1608.03983, eq. 5).
    """
    if epoch < warmup:
        return (epoch + 1) / (warmup + 1)
    return 0.5 * (1 + cos(pi * min(1.0, (epoch - warmup) / max(1, epochs - warmup))))


def step_schedule(schedule: LRScheduler, train_loss: float) -> None:
    """Go on to the next epoch's rate."""
    if isinstance(schedule, ReduceLROnPlateau):
        schedule.step(train_loss)
    else:
        schedule.step()
