"""What trainer.precision=auto is in a run: recorded as it starts; on CPUs with units for bfloat16 (AMX), measured."""

import json
from contextlib import suppress
from copy import deepcopy
from pathlib import Path
from time import perf_counter
from typing import Any

import joblib
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kenyan13 import machine
from kenyan13.config.settings import Settings
from kenyan13.runs.config_file import read_config
from kenyan13.runs.directory import CONFIG, LAST, replacing
from kenyan13.training.display import console
from kenyan13.training.trainer import one_device, precision

FLOAT, MIXED = "32-true", "bf16-mixed"  # all that auto may be
CLEARLY = 1.3  # times as fast must bfloat16 be


def own_precision(settings: Settings, folder: Path) -> Any:
    """Return the arithmetic that the settings name, or that was recorded as the run in the folder started, if any."""
    chosen = settings.trainer.get("precision", "auto")
    if chosen != "auto":
        return chosen
    recorded = read_config(folder).get("precision") if (folder / CONFIG).exists() else None
    return recorded if recorded in (FLOAT, MIXED) else None


def run_precision(settings: Settings, folder: Path, network: nn.Module) -> str:
    """Return the arithmetic for a run to train in. The network is left as it is.

    A run that goes on keeps its own. On a CPU with AMX, both are measured at the first run, and the times remembered;
    the study's experiments stay in float32 there, as do the processes of a data-parallel run, which must agree.
    """
    own = own_precision(settings, folder)
    alone = settings.experiment is None and settings.trainer.get("devices", 1) in (1, "auto")
    if own or (folder / LAST).exists() or not alone or one_device(settings).type != "cpu":
        return str(own or precision(settings))
    if "amx_bf16" not in machine.processor()[1]:
        return FLOAT
    seconds = remembered_seconds(settings, network)
    return MIXED if seconds[FLOAT] >= CLEARLY * seconds[MIXED] else FLOAT


def remembered_seconds(settings: Settings, network: nn.Module) -> dict[str, float]:
    """Return the seconds that a step takes in each arithmetic, measured now, or before on such a machine."""
    model = settings.model
    known_by = [machine.processor()[0], machine.available_cores(), torch.__version__, model.backbone, model.crop]
    key = joblib.hash([*known_by, model.batch_size, model.channels_last])
    file = Path(settings.data.cache).expanduser().parent / "arithmetic" / f"{key}.json"
    with suppress(OSError, ValueError, KeyError, TypeError):  # not there, or damaged
        kept = json.loads(file.read_text())
        return {name: float(kept[name]) for name in (FLOAT, MIXED)}
    console.print("Measuring once in which arithmetic this CPU is faster ...", style="dim")
    images = torch.zeros(model.batch_size, 3, model.crop, model.crop)
    if model.channels_last:
        images = images.contiguous(memory_format=torch.channels_last)
    with torch.random.fork_rng(devices=[]):  # dropout draws
        seconds = {name: seconds_a_step(deepcopy(network), images, name) for name in (FLOAT, MIXED)}
    file.parent.mkdir(parents=True, exist_ok=True)
    with replacing(file) as temporary:
        temporary.write_text(json.dumps(seconds))
    return seconds


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
