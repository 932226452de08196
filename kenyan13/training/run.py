"""One run from settings to result: data, network, module, callbacks, loggers, trainer, fit; Hydra builds the parts."""

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from pytorch_lightning import Callback, Trainer, seed_everything
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from kenyan13.config.identity import plain
from kenyan13.config.settings import Settings
from kenyan13.config.targets import build
from kenyan13.data.datamodule import ImageDataModule
from kenyan13.errors import UserError
from kenyan13.machine import is_first_process, keep_freed_memory
from kenyan13.metrics.classification import fit_temperature
from kenyan13.metrics.losses import of_epochs
from kenyan13.model.backbones import create
from kenyan13.model.classifier import Classifier
from kenyan13.model.freezing import Freeze, parameter_counts
from kenyan13.model.losses import inverse_frequency_weights
from kenyan13.runs import directory, predictions
from kenyan13.runs.config_file import write_config
from kenyan13.runs.directory import TEST
from kenyan13.runs.locate import check_same, run_directory
from kenyan13.runs.result import Result, read_result, write_result
from kenyan13.terminal import console, print_note
from kenyan13.training.callbacks import History, RunFiles, find_callback, find_last
from kenyan13.training.display import print_end, print_start, quiet_libraries
from kenyan13.training.features import begin_with_head, cached_features, check_features, co_tuning, split_network
from kenyan13.training.inference import open_run, read_data
from kenyan13.training.stopping import StopRule
from kenyan13.training.trainer import (
    build_group,
    build_trainer,
    call_hook,
    check_device,
    fit_or_leave,
    precision,
    run_precision,
)

DETERMINISTIC = ("no", "where possible", "yes")  # by torch's deterministic debug mode


def train(settings: Settings, brief: bool = False) -> Result:
    """Train one run, or go on with it where it was interrupted; a finished one is only reported.

    brief: print less, for one run of many. Nothing is written before data and network are known to be good. Raises
    UserError for settings and data that cannot be used, BusyError while another process trains this run.
    """
    folder = run_directory(settings)
    before = read_result(folder)
    data = read_data(settings)
    if before is None:  # what can be known to be wrong is said before images are decoded
        quiet_libraries()
        keep_freed_memory()
        check_device(settings)
        seed_everything(settings.seed, workers=False, verbose=False)
        network = create(settings.model, data.classes)
        check_features(settings, network)
        note_idle_norms(settings, network)
    data.decode()
    described = data.describe()
    first = is_first_process()
    check_same(folder, settings, described)
    lacks_test = data.test is not None and not (folder / TEST).exists()
    with directory.only_process(folder) if first and (before is None or lacks_test) else nullcontext():
        check_same(folder, settings, described)
        before = read_result(folder)  # by the process that was waited for
        if before is not None:
            print_end(folder, before, before=True, brief=brief)
            problem = directory.checkpoint_problem(folder / directory.BEST)
            if problem and settings.trainer.get("enable_checkpointing", True):
                print_note(f"{problem}: the run cannot predict. To train it again: remove {folder}.")
        if before is None and first and not brief:
            findings = [finding.text for finding in data.findings()]
            way = "  -> kenyan13 data check shows them; data.group_duplicates=true keeps equal ones together"
            for text in [*findings, way] if findings else []:
                print_note(text)
        result = before or fit(settings, folder, data, network, brief)
        if first and data.test is not None and not (folder / TEST).exists():
            table, _ = open_run(folder).predict_catalogue(data.test.catalogue)  # with the best epoch's weights
            predictions.write_predictions(folder / TEST, table)
    return result


def note_idle_norms(settings: Settings, network: nn.Module) -> None:
    """Say in a line that frozen batch norms of a network from scratch have never seen an image."""
    scratch = not (settings.model.pretrained or settings.model.weights or settings.head)
    frozen = settings.freeze.get("level", 5) < 5 and settings.freeze.get("frozen_bn") == "eval"
    if scratch and frozen and any(isinstance(layer, _BatchNorm) for layer in network.modules()):
        print_note("From scratch, frozen batch norms never see an image: take freeze=pt5 or pretrained weights.")


def fit(settings: Settings, folder: Path, data: ImageDataModule, network: nn.Module, brief: bool) -> Result:
    """Train from the start or from last.ckpt, and write everything that the run directory holds."""
    epochs = epochs_of(settings, len(data.train.catalogue))
    arithmetic = run_precision(settings, folder, network)
    chosen = {**settings.trainer, "max_epochs": epochs, "precision": arithmetic}
    data.settings = here = replace(settings, trainer=chosen)
    context = {**plain(here), "run": {"folder": str(folder), "name": folder.name}}
    module, freeze = make_module(data, network, context)
    trainer = build_trainer(here, folder, context, freeze)
    history, _ = find_callback(trainer, History), find_callback(trainer, RunFiles)
    last = find_last(folder, network)
    (folder / directory.BEST).parent.mkdir(parents=True, exist_ok=True)
    if trainer.is_global_zero:
        write_config(folder, settings, data.describe(), precision=arithmetic)
        print_start(folder, data, network, freeze, resumed=last is not None, brief=brief)
        if last is None:
            call_hook(trainer, "on_run_start", trainer, data, network)
    if settings.head and last is None:
        begin_with_head(data, module, trainer, context)
    if trainer.max_epochs:
        fit_or_leave(trainer, module, data, last)
    if settings.trainer.get("profiler") and trainer.is_global_zero:
        console.print(trainer.profiler.summary())  # type: ignore[attr-defined]
    if not history.rows:
        raise UserError("No epoch was trained.", "trainer.limit_train_batches and trainer.max_steps above 0")
    result = summarise(data, network, freeze, trainer)
    if trainer.is_global_zero:
        try:
            call_hook(trainer, "on_run_end", trainer, settings, result)
        except Exception as error:  # a plot that cannot be drawn is no reason to lose a training
            console.print(f"The logger lacks the end of this run: {error}", style="yellow")
        write_result(folder, result)
        print_end(folder, result, brief=brief)
    return result


def epochs_of(settings: Settings, images: int) -> int:
    """Return trainer.max_epochs; auto is some 10,000 views of so many training images, 8 to 100 epochs."""
    chosen: int | str = settings.trainer.get("max_epochs", 1000)  # Lightning's default
    return min(100, max(8, round(10_000 / images))) if isinstance(chosen, str) else chosen


def make_module(
    data: ImageDataModule, network: nn.Module, context: dict[str, Any], kind: type[Classifier] = Classifier
) -> tuple[Classifier, Callback | None]:
    """Return what the data's settings make of a network to be trained, and what freezes it; data may be given features.

    context: what interpolations may name.
    """
    settings = data.settings
    if settings.model.channels_last:
        network = network.to(memory_format=torch.channels_last)
    freeze = next(iter(build_group("freeze", settings, context, Callback)), None)
    head = None
    if isinstance(freeze, Freeze) and freeze.features == "cached":
        data.features = cached_features(data, network)
        head = split_network(network)[1]
    auxiliary = co_tuning(data, network)
    if settings.model.compile:
        network.compile()  # in place, so that names in checkpoints stay
        if auxiliary is not None:  # for which this part is called by itself
            network.forward_features = torch.compile(network.forward_features)  # type: ignore[arg-type, assignment]
    weights = inverse_frequency_weights(data.class_counts) if settings.balance.weighted_loss else None
    given = {} if weights is None else {"weight": weights}
    loss = build("loss", settings.loss, context=context, kind=nn.Module, **given)
    optim = settings.optim
    if settings.trainer.get("gradient_clip_val") and "mixed" in str(precision(settings)) and optim.get("fused"):
        optim = {**optim, "fused": False}  # Lightning clips no gradients that a fused step may yet unscale
    mirror = settings.predict.mirror
    return kind(network, data.classes, loss, optim, settings.schedule, head, mirror, auxiliary), freeze


def summarise(data: ImageDataModule, network: nn.Module, freeze: Callback | None, trainer: Trainer) -> Result:
    """Return the result of the epochs trained."""
    history = find_callback(trainer, History)
    table = predictions.read_predictions(Path(trainer.default_root_dir))
    trainable = sum(value.numel() for value in network.parameters() if value.requires_grad)
    if isinstance(freeze, Freeze):
        trainable = sum(parameter_counts(network)[: freeze.level_at(trainer.max_epochs or 0) + 1])
    rules = [rule.reason(history) for rule in trainer.callbacks if isinstance(rule, StopRule)]  # type: ignore[attr-defined]
    complete = history.rows[-1]["epoch"] == trainer.max_epochs
    ended = f"trainer.max_epochs={trainer.max_epochs}" if complete else "a callback or limit of the trainer"
    return Result(
        **of_epochs(pd.DataFrame(history.rows), history.keep),
        train_images=len(data.train.catalogue),
        validation_images=data.validation_images,
        parameters=sum(value.numel() for value in network.parameters()),
        trainable_parameters=trainable,
        temperature=fit_temperature(predictions.probabilities_of(table), predictions.targets_of(table)),
        device=str(trainer.strategy.root_device),  # Lightning has moved the network back to the CPU
        precision=str(trainer.precision),
        threads=torch.get_num_threads(),
        deterministic=DETERMINISTIC[torch.get_deterministic_debug_mode()],
        stopped=next(filter(None, rules), ended),
    )
