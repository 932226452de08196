"""One run from settings to result: reads the data, makes the network, fits, and fills the run directory."""

import hashlib
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from math import isnan
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import Callback, Trainer, seed_everything
from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.utilities.exceptions import SIGTERMException
from torch import nn

from kenyan13.config.identity import run_directory
from kenyan13.config.settings import FrozenFeatures, Settings
from kenyan13.data.batches import Images
from kenyan13.data.datamodule import ImageDataModule
from kenyan13.data.synthetic import draw_if_missing
from kenyan13.errors import UserError
from kenyan13.machine import keep_freed_memory
from kenyan13.metrics.losses import auc_loss, overfitting
from kenyan13.model.backbones import check_model, create, normalisation
from kenyan13.model.classifier import Classifier, inverse_frequency_weights
from kenyan13.model.freezing import Freeze
from kenyan13.runs import directory
from kenyan13.runs.directory import Result
from kenyan13.runs.predictions import TEST, write_test_predictions
from kenyan13.training import board
from kenyan13.training.callbacks import EpochSeed, History, RunFiles, Stop
from kenyan13.training.device import check_device, precision
from kenyan13.training.display import console, count_parameters, print_end, print_start, quiet_libraries
from kenyan13.training.estimate import Estimate
from kenyan13.training.features import cached_features, split_network
from kenyan13.training.inference import open_run, predict_stored
from kenyan13.training.progress import EpochBar


def train(settings: Settings, after: Sequence[Settings] | None = None) -> Result:
    """Train one run, or go on with it where it was interrupted; a finished one is only reported.

    after: in a sweep, the runs after this one, whose time is estimated; less is printed there. Nothing is written
    before data and network are known to be good. Raises UserError for settings and data that cannot be used, BusyError
    while another process trains this run.
    """
    folder = run_directory(settings)
    check_model(settings.model)
    draw_if_missing(settings.data)
    colours = normalisation(settings.model)
    data = ImageDataModule(settings, colours.mean, colours.std)
    described = describe(data)
    first = os.environ.get("LOCAL_RANK", "0") == "0"  # of the processes of a data-parallel run
    before = finished_before(folder, settings, described)
    if before is None:
        quiet_libraries()
        keep_freed_memory()
        seed_everything(settings.seed, workers=False, verbose=False)
        network = create(settings.model, data.classes)
        check_device(settings)
    idle = before is not None and not lacks_test(folder, data)
    with directory.only_process(folder) if first and not idle else nullcontext():
        before = before or finished_before(folder, settings, described)  # by the process that was waited for
        if before is not None:
            print_end(folder, before, before=True, brief=after is not None)
        result = before or fit(settings, folder, data, described, network, after)
        if first and lacks_test(folder, data):
            predict_test(folder, data)
    return result


def lacks_test(folder: Path, data: ImageDataModule) -> bool:
    """Return whether test images are to be predicted and have not been."""
    return data.test is not None and not (folder / TEST).exists()


def predict_test(folder: Path, data: ImageDataModule) -> None:
    """Predict the test images with the best epoch's weights and write predictions_test.csv."""
    assert data.test is not None
    probabilities = predict_stored(open_run(folder), data.test)
    write_test_predictions(folder, data.test.catalogue.ids, data.classes, probabilities)


def finished_before(folder: Path, settings: Settings, described: dict[str, Any]) -> Result | None:
    """Return the result of the same run if it has finished; raises UserError when the folder holds another run."""
    if not (folder / directory.CONFIG).exists():
        return None
    directory.check_same(folder, settings, described)
    return directory.read_result(folder)


def fit(
    settings: Settings,
    folder: Path,
    data: ImageDataModule,
    described: dict[str, Any],
    network: nn.Module,
    after: Sequence[Settings] | None = None,
) -> Result:
    """Train from the start or from last.ckpt, and write everything that the run directory holds."""
    (folder / directory.BEST).parent.mkdir(parents=True, exist_ok=True)
    if settings.trainer.channels_last:
        network = network.to(memory_format=torch.channels_last)
    head = None
    if settings.freeze.features is FrozenFeatures.cached:
        data.features = cached_features(settings, data, network, described)
        head = split_network(network)[1]
    weights = inverse_frequency_weights(data.class_counts) if settings.balance.weighted_loss else None
    if settings.trainer.compile:
        network.compile()  # in place, so that names in checkpoints stay
    classifier = Classifier(network, data.classes, settings.optim, settings.schedule, weights, head)
    history = History()
    stop = Stop(settings.stop, history)
    trainer = make_trainer(settings, folder, data, history, stop)
    if after is not None:
        trainer.callbacks.append(Estimate(settings, after))  # type: ignore[attr-defined]
    last = folder / directory.LAST
    if trainer.is_global_zero:
        directory.write_config(folder, settings, described)
        print_start(settings, folder, data, network, resumed=last.exists(), brief=after is not None)
        if not last.exists():
            board.write_start(trainer, folder, data, network)
    try:
        trainer.fit(classifier, datamodule=data, ckpt_path=last if last.exists() else None, weights_only=True)
    except SystemExit as end:
        if isinstance(end.__context__, KeyboardInterrupt):  # Lightning's answer to Ctrl-C
            raise KeyboardInterrupt from None
        if isinstance(end, SIGTERMException):  # which would end the process as if all were well
            print("Terminated. The same command goes on where it stopped.", file=sys.stderr)
            raise SystemExit(128 + signal.SIGTERM) from None
        raise  # of submitit, when Slurm wants the node back: the run is queued again
    if isnan(history.best()["val_loss"]):
        raise UserError("The validation loss was never a number: training diverged.", "lower optim.lr")
    ended = stop.reason() or f"trainer.max_epochs={settings.trainer.max_epochs}"
    # Lightning has moved the network back to the CPU.
    result = summarise(settings, data, history, network, ended, trainer.strategy.root_device)
    if trainer.is_global_zero:
        try:
            board.write_end(folder, settings, result)
        except Exception as error:  # a figure that cannot be drawn is no reason to lose a training
            console.print(f"TensorBoard lacks the end of this run: {error}", style="yellow")
        directory.write_result(folder, result)
        print_end(folder, result, brief=after is not None)
    return result


def make_trainer(settings: Settings, folder: Path, data: ImageDataModule, history: History, stop: Stop) -> Trainer:
    """Return the Lightning trainer with the run's callbacks and logger."""
    chosen = settings.trainer
    # Layers that are unfrozen later must be known to DDP from the start, and be missed by it until then.
    ddp = "ddp_find_unused_parameters_true" if settings.freeze.unfreeze else "ddp"
    files = RunFiles(folder, history, data.validation.catalogue, chosen.checkpoints)
    callbacks: list[Callback] = [EpochSeed(settings.seed), Freeze(settings.freeze), history, stop, files]
    if console.is_terminal and os.environ.get("LOCAL_RANK", "0") == "0":
        callbacks.append(EpochBar())
    return Trainer(
        max_epochs=chosen.max_epochs,
        accelerator=chosen.accelerator,
        devices=chosen.devices,
        strategy=ddp if chosen.devices != 1 else "auto",
        precision=precision(settings),
        callbacks=callbacks,
        logger=TensorBoardLogger(folder, name="", version=""),
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        deterministic="warn",
        log_every_n_steps=10,
    )


def describe(data: ImageDataModule) -> dict[str, Any]:
    """Return what config.yaml says of the data: classes, sizes, and a digest of ids, labels and the files' contents."""

    def digest(images: Images) -> str:
        contents = images.store.digests[images.store_rows]
        rows = zip(images.catalogue.ids, images.catalogue.labels(), contents, strict=True)
        text = "\n".join(f"{id_},{target},{content}" for id_, target, content in rows)
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()

    parts = {"train": data.train, "validation": data.validation}
    described = {name: {"images": len(part.catalogue), "digest": digest(part)} for name, part in parts.items()}
    return {"classes": list(data.classes), **described}


def number_or_none(value: float | None) -> float | None:
    """Return None for what is no number: JSON has no word for it."""
    return None if value is None or isnan(value) else value


def summarise(
    settings: Settings, data: ImageDataModule, history: History, network: nn.Module, stopped: str, device: torch.device
) -> Result:
    """Return the result of the epochs trained."""
    best = history.best()
    deepest = max([settings.freeze.level, *(level for _, level in settings.freeze.unfreeze)])
    total, trainable = count_parameters(network, deepest)
    return Result(
        status="finished",
        min_val_loss=best["val_loss"],
        accuracy=best["val_accuracy"],
        macro_f1=best["val_macro_f1"],
        best_epoch=int(best["epoch"]),
        epochs=len(history.rows),
        auc_loss=number_or_none(auc_loss(history.column("val_loss"))),
        overfitting=number_or_none(overfitting(history.column("train_loss"), history.column("val_loss"))),
        seconds=round(sum(history.column("seconds")), 1),
        train_images=len(data.train.catalogue),
        validation_images=data.validation_images,
        parameters=total,
        trainable_parameters=trainable,
        device=str(device),
        stopped=stopped,
    )
