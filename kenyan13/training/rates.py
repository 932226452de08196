"""kenyan13 lr-find: the loss while the rate rises from step to step (arXiv 1506.01186), by Lightning's Tuner."""

import io
import sys
from contextlib import nullcontext, redirect_stderr
from dataclasses import replace
from math import pi, sqrt
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
from pytorch_lightning import seed_everything
from pytorch_lightning.tuner.tuning import Tuner
from scipy.ndimage import gaussian_filter1d
from scipy.stats import median_abs_deviation
from torch.optim import Optimizer

from kenyan13.config.identity import plain
from kenyan13.config.settings import Settings
from kenyan13.errors import UserError
from kenyan13.machine import keep_freed_memory
from kenyan13.model.backbones import create
from kenyan13.model.classifier import Classifier
from kenyan13.training.display import quiet_libraries
from kenyan13.training.features import check_features, set_head
from kenyan13.training.inference import open_data
from kenyan13.training.run import make_module
from kenyan13.training.trainer import build_trainer, check_device

LOWEST, HIGHEST = 1e-6, 1.0


class RangeTest(Classifier):
    """A Classifier that notes rate and loss of each step; parameter groups keep the proportions of their rates."""

    def configure_optimizers(self) -> Optimizer:
        """Return the optimiser, whose steps begin by taking each group's share of the rate."""
        self.rates: list[float] = []
        self.losses: list[float] = []
        optimizer = super().configure_optimizers()
        groups = optimizer.param_groups
        full = max(group["lr"] for group in groups) or 1.0
        shares = [group["lr"] / full for group in groups]

        def before(*_: Any) -> None:
            self.rates.append(groups[0]["lr"])
            for group, share in zip(groups, shares, strict=True):
                group["lr"] *= share  # of what Lightning sets anew after each step

        def after(*_: Any) -> None:
            self.losses.append(float(np.mean([float(loss) for loss, _ in self.epoch_losses])))
            self.epoch_losses.clear()

        optimizer.register_step_pre_hook(before)
        optimizer.register_step_post_hook(after)
        return optimizer


def find_rate(settings: Settings, steps: int) -> tuple[pd.DataFrame, float]:
    """Return a table with columns rate, loss and smoothed, a row a step, and a good full rate, optim.lr.

    Trains a new network, which is thrown away, at the level of the first epoch; nothing is left behind. The curve ends
    early where the loss has risen fourfold. The rate is a tenth of the highest one whose smoothed loss is the lowest,
    or within one standard error. (Lightning's own suggestion, the steepest fall for each unit of rate, is decided by
    chance among the lowest rates.) Raises UserError as training does, and where the loss rises at every rate.
    """
    quiet_libraries()
    keep_freed_memory()
    check_device(settings)
    data = open_data(settings)
    seed_everything(settings.seed, workers=False, verbose=False)
    network = create(settings.model, data.classes)
    check_features(settings, network)
    endless = {**settings.trainer, "max_epochs": -1, "check_val_every_n_epoch": steps + 1}
    data.settings = bare = replace(settings, schedule={}, callbacks={}, stop={}, logger={}, trainer=endless)
    with TemporaryDirectory() as folder:
        context = {**plain(bare), "run": {"folder": folder, "name": "lr-find"}}
        if settings.head:
            set_head(data, network, context)
        module, freeze = make_module(data, network, context, RangeTest)
        trainer = build_trainer(bare, Path(folder), context, freeze)
        # Lightning draws a bar, which nobody watches in a log
        with nullcontext() if sys.stderr.isatty() else redirect_stderr(io.StringIO()):
            Tuner(trainer).lr_find(module, None, None, None, data, "fit", LOWEST, HIGHEST, steps, update_attr=False)
    table = pd.DataFrame({"rate": module.rates, "loss": module.losses})
    table = table[np.isfinite(table["loss"])].reset_index(drop=True)
    width = steps / 20
    if len(table) < 2:
        raise UserError("The loss is a number at no rate.", "another model= or optim=")
    table["smoothed"] = gaussian_filter1d(table["loss"], width, mode="nearest")
    noise = median_abs_deviation(table["loss"] - table["smoothed"], scale="normal") / sqrt(2 * sqrt(pi) * width)
    as_low = table["smoothed"] <= table["smoothed"].min() + noise
    rate = float(table["rate"][as_low].max()) / 10
    if rate < LOWEST:
        raise UserError("The loss rises at every rate.", "more steps, as in --steps 300", "another model= or freeze=")
    return table, rate
