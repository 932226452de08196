"""The device that a run computes on, and its arithmetic."""

from typing import Any

import torch

from kenyan13.config.settings import Settings


def one_device(settings: Settings) -> torch.device:
    """Return the device for work outside of Lightning's trainer: the one that the trainer would choose."""
    found = torch.accelerator.current_accelerator(check_available=True)
    return torch.device("cpu") if found is None or settings.trainer.get("accelerator") == "cpu" else found


def precision(settings: Settings) -> Any:
    """Return Lightning's name of the arithmetic; auto is bfloat16 on CUDA devices that compute in it."""
    chosen = settings.trainer.get("precision", "auto")
    if chosen != "auto":
        return chosen
    on_gpu = settings.trainer.get("accelerator", "auto") in ("auto", "gpu", "cuda") and torch.cuda.is_available()
    return "bf16-mixed" if on_gpu and torch.cuda.is_bf16_supported(including_emulation=False) else "32-true"
