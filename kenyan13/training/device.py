"""The device that a run computes on, and its arithmetic."""

from typing import Any

import torch
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning import Trainer

from kenyan13.config.settings import Precision, Settings
from kenyan13.errors import UserError


def check_device(settings: Settings) -> None:
    """Raise UserError when the machine has no such device."""
    chosen = settings.trainer
    try:
        Trainer(accelerator=chosen.accelerator, devices=chosen.devices, logger=False, enable_checkpointing=False)
    except (MisconfigurationException, ValueError, RuntimeError) as error:
        asked = f"trainer.accelerator={chosen.accelerator} trainer.devices={chosen.devices}"
        raise UserError(f"{asked}: {str(error).splitlines()[0]}", "trainer=cpu trains on the CPU") from error


def one_device(settings: Settings) -> torch.device:
    """Return the device for work outside of Lightning's trainer: a GPU if there is one, unless the CPU is asked for."""
    gpu = torch.cuda.is_available() and settings.trainer.accelerator != "cpu"
    return torch.device("cuda" if gpu else "cpu")


def precision(settings: Settings) -> Any:
    """Return Lightning's name of the arithmetic; auto is bfloat16 on CUDA devices that compute in it."""
    chosen = settings.trainer.precision
    if chosen is Precision.auto:
        on_gpu = settings.trainer.accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()
        gains = on_gpu and torch.cuda.is_bf16_supported(including_emulation=False)
        chosen = Precision.bfloat16 if gains else Precision.float32
    return "bf16-mixed" if chosen is Precision.bfloat16 else "32-true"
