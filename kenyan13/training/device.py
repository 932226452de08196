"""The device that a run computes on, and its arithmetic."""

from typing import Any

import torch
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning import Trainer

from kenyan13.config.settings import Settings
from kenyan13.errors import UserError


def check_device(settings: Settings) -> None:
    """Raise UserError when the machine has no such device."""
    asked = {key: settings.trainer.get(key, "auto") for key in ("accelerator", "devices")}
    try:
        Trainer(**asked, precision=precision(settings), logger=False, enable_checkpointing=False)
    except (MisconfigurationException, ValueError, RuntimeError, TypeError) as error:
        said = " ".join(f"trainer.{key}={value}" for key, value in asked.items())
        raise UserError(f"{said}: {str(error).splitlines()[0]}", "trainer=cpu trains on the CPU") from error


def trainer_arguments(settings: Settings) -> dict[str, Any]:
    """Return the node of conf/trainer with what kenyan13 decides: arithmetic, and how gradients are shared."""
    node = dict(settings.trainer)
    if node.get("strategy", "auto") == "auto" and node.get("devices", 1) != 1:
        # Layers that are unfrozen later must be known to DDP from the start, and be missed by it until then.
        node["strategy"] = "ddp_find_unused_parameters_true" if settings.freeze.get("unfreeze") else "ddp"
    # Checkpoints are RunFiles' business, to which conf/callbacks hands this setting; Lightning would refuse it.
    return {**node, "precision": precision(settings), "enable_checkpointing": True}


def one_device(settings: Settings) -> torch.device:
    """Return the device for work outside of Lightning's trainer: the one that the trainer would choose."""
    accelerator = settings.trainer.get("accelerator", "auto")
    trainer = Trainer(
        accelerator="cpu" if accelerator == "cpu" else "auto", devices=1, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    device: torch.device = trainer.strategy.root_device
    return device


def precision(settings: Settings) -> Any:
    """Return Lightning's name of the arithmetic; auto is bfloat16 on CUDA devices that compute in it."""
    chosen = settings.trainer.get("precision", "auto")
    if chosen != "auto":
        return chosen
    on_gpu = settings.trainer.get("accelerator", "auto") in ("auto", "gpu", "cuda") and torch.cuda.is_available()
    return "bf16-mixed" if on_gpu and torch.cuda.is_bf16_supported(including_emulation=False) else "32-true"
