"""Lightning's trainer: built from conf/, checked, run; its arithmetic; what goes wrong in it in a user's words."""

import os
import signal
import sys
from copy import deepcopy
from pathlib import Path
from time import perf_counter
from traceback import walk_tb
from typing import Any, TypeVar

import joblib
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.callbacks import ProgressBar
from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities.exceptions import SIGTERMException
from torch import Tensor, nn

from kenyan13 import machine
from kenyan13.config.presets import nodes
from kenyan13.config.settings import Settings
from kenyan13.config.targets import build
from kenyan13.data.datamodule import ImageDataModule
from kenyan13.data.store import kept_arrays
from kenyan13.errors import UserError, explain_machine, first_line
from kenyan13.model.classifier import Classifier
from kenyan13.runs.config_file import read_config
from kenyan13.runs.directory import CONFIG
from kenyan13.terminal import console

P = TypeVar("P")
FLOAT, MIXED = "32-true", "bf16-mixed"  # all that trainer.precision=auto may be
CLEARLY = 1.3  # times as fast must bfloat16 be
LIGHTNING = ("pytorch_lightning", "lightning_fabric")


def one_device(settings: Settings) -> torch.device:
    """Return the device for work outside of Lightning's trainer: the one that the trainer would choose."""
    found = torch.accelerator.current_accelerator(check_available=True)
    return torch.device("cpu") if found is None or settings.trainer.get("accelerator") == "cpu" else found


def precision(settings: Settings, folder: Path | None = None) -> Any:
    """Return Lightning's name of the arithmetic; auto is bfloat16 on CUDA devices that compute in it.

    folder: of a run, which goes on with what was recorded as it started. On CPUs, training has a say: `run_precision`.
    """
    chosen = settings.trainer.get("precision", "auto")
    if chosen == "auto" and folder and (folder / CONFIG).exists():
        recorded = read_config(folder).get("precision")
        chosen = recorded if recorded in (FLOAT, MIXED) else "auto"
    if chosen != "auto":
        return chosen
    on_gpu = settings.trainer.get("accelerator", "auto") in ("auto", "gpu", "cuda") and torch.cuda.is_available()
    return MIXED if on_gpu and torch.cuda.is_bf16_supported(including_emulation=False) else FLOAT


def run_precision(settings: Settings, folder: Path, network: nn.Module) -> str:
    """Return the arithmetic for a run to train in. The network is left as it is.

    A run that goes on keeps its own. On a CPU with AMX, both are measured at the first run, and the times remembered;
    the study's experiments stay in float32 there, as do the processes of a data-parallel run, which must agree.
    """
    chosen = settings.trainer.get("precision", "auto") != "auto" or (folder / CONFIG).exists()
    alone = settings.experiment is None and settings.trainer.get("devices", 1) in (1, "auto")
    fast = one_device(settings).type == "cpu" and "amx_bf16" in machine.processor()[1]
    if chosen or not alone or not fast:
        return str(precision(settings, folder))
    seconds = remembered_seconds(settings, network)
    return MIXED if seconds[FLOAT] >= CLEARLY * seconds[MIXED] else FLOAT


def remembered_seconds(settings: Settings, network: nn.Module) -> dict[str, float]:
    """Return the seconds that a step takes in each arithmetic, measured now, or before on such a machine."""
    model = settings.model
    known_by = [machine.processor()[0], machine.available_cores(), torch.__version__, model.backbone, model.crop]
    key = joblib.hash([*known_by, model.batch_size, model.channels_last])

    def measure() -> dict[str, NDArray[np.float64]]:
        console.print("Measuring once in which arithmetic this CPU is faster ...", style="dim")
        images = torch.zeros(model.batch_size, 3, model.crop, model.crop)
        if model.channels_last:
            images = images.contiguous(memory_format=torch.channels_last)
        with torch.random.fork_rng(devices=[]):  # dropout draws
            return {name: np.array(seconds_a_step(deepcopy(network), images, name)) for name in (FLOAT, MIXED)}

    kept = kept_arrays(Path(settings.data.cache).expanduser().parent / "arithmetic" / f"{key}.npz", measure)
    return {name: float(seconds) for name, seconds in kept.items()}


def seconds_a_step(network: nn.Module, images: Tensor, arithmetic: str) -> float:
    """Return the shortest time of three passes forward and back, after one to warm up.

    images: float [n, 3, height, width], on the device of the network.
    """
    network.train()
    device = images.device
    targets, times = torch.zeros(len(images), dtype=torch.int64, device=device), []
    for _ in range(4):
        start = perf_counter()
        with torch.autocast(device.type, torch.bfloat16, enabled=arithmetic == MIXED):
            loss = F.cross_entropy(network(images), targets)
        loss.backward()  # type: ignore[no-untyped-call]
        if device.type != "cpu":
            torch.accelerator.synchronize()
        times.append(perf_counter() - start)
    return min(times[1:])


def check_device(settings: Settings) -> None:
    """Raise UserError when the machine has no such device."""
    asked = {key: settings.trainer.get(key, "auto") for key in ("accelerator", "devices")}
    most = max(os.cpu_count() or 1, torch.cuda.device_count())
    try:
        if isinstance(asked["devices"], int) and asked["devices"] > most:
            raise ValueError(f"This machine has no more than {most}.")
        Trainer(**asked, precision=precision(settings), logger=False, enable_checkpointing=False)
    except Exception as error:  # each accelerator raises its own
        written = " ".join(f"trainer.{key}={value}" for key, value in asked.items())
        raise UserError(
            f"{written}: {first_line(error).partition(' HINT')[0]}",
            "trainer=cpu trainer.devices=1 trains on the CPU, trainer.precision=32-true in float32",
        ) from error


def build_group(group: str, settings: Settings, context: dict[str, Any], kind: type[P]) -> list[P]:
    """Return what Hydra builds of a group. Raises UserError for a part that is not of the kind that the group is of."""
    return [build(key, node, context=context, kind=kind) for key, node in nodes(group, getattr(settings, group))]


def build_trainer(settings: Settings, folder: Path, context: dict[str, Any], freeze: Callback | None) -> Trainer:
    """Return Lightning's trainer with the run's callbacks and loggers. Its files go below the run directory."""
    callbacks: list[Callback] = list(filter(None, [freeze]))
    for group in ("callbacks", "stop"):
        callbacks += build_group(group, settings, context, Callback)
    loggers = build_group("logger", settings, context, Logger)  # type: ignore[type-abstract]
    watched = console.is_terminal and machine.is_first_process()
    node = dict(settings.trainer)
    if not watched or node.get("enable_progress_bar") is False:
        callbacks = [callback for callback in callbacks if not isinstance(callback, ProgressBar)]
    if node.get("overfit_batches"):
        raise UserError("trainer.overfit_batches takes another sampler.", "trainer.limit_train_batches=8 balance=none")
    if node.get("strategy", "auto") == "auto" and node.get("devices", 1) != 1:
        # Layers that are unfrozen later must be known to DDP from the start, and be missed by it until then.
        node["strategy"] = "ddp_find_unused_parameters_true" if settings.freeze.get("unfreeze") else "ddp"
    node |= {
        "precision": precision(settings),
        "enable_checkpointing": True,  # RunFiles' business, to which conf/callbacks hands it; Lightning would refuse it
        "default_root_dir": str(folder),
        "enable_progress_bar": any(isinstance(callback, ProgressBar) for callback in callbacks),
    }
    trainer: Trainer = build("trainer", node, callbacks=callbacks, logger=loggers or False)
    return trainer


def call_hook(trainer: Trainer, hook: str, *arguments: Any) -> None:
    """Call a hook of kenyan13's own, on_run_start or on_run_end, of the callbacks that have it."""
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if hasattr(callback, hook):
            getattr(callback, hook)(*arguments)


def fit_or_leave(trainer: Trainer, module: Classifier, data: ImageDataModule, checkpoint: Path | None) -> None:
    """Fit; a signal that ends the process ends it with the exit code of that signal."""
    try:
        trainer.fit(module, datamodule=data, ckpt_path=checkpoint, weights_only=True)
    except Exception as error:
        # Lightning's own words; any other error keeps its traceback.
        places = [str(frame.f_globals.get("__name__")).partition(".")[0] for frame, _ in walk_tb(error.__traceback__)]
        inner = next((place for place in reversed(places) if place != "torch"), "")
        if isinstance(error, UserError) or explain_machine(error) or inner not in LIGHTNING:
            raise
        raise UserError(first_line(error), "all settings: python train.py --cfg job") from error
    except SystemExit as end:
        if isinstance(end.__context__, KeyboardInterrupt):  # Lightning's reaction to Ctrl-C
            raise KeyboardInterrupt from None
        if isinstance(end, SIGTERMException):  # which would end the process as if all were well
            print("Terminated. The same command goes on where it stopped.", file=sys.stderr)
            raise SystemExit(128 + signal.SIGTERM) from None
        raise  # of submitit, when Slurm wants the node back: the run is queued again
