"""One run from settings to result: reads the data, makes the network, fits, and fills the run directory."""

import hashlib
import logging
import os
import warnings
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from pytorch_lightning import Trainer, seed_everything
from pytorch_lightning.callbacks import RichProgressBar
from pytorch_lightning.loggers import TensorBoardLogger

from kenyan13.data.catalogue import Catalogue
from kenyan13.data.datamodule import PictureData
from kenyan13.errors import UserError
from kenyan13.machine import keep_freed_memory
from kenyan13.measures import auc_loss, overfitting
from kenyan13.model.backbones import create, normalisation
from kenyan13.model.classifier import Classifier, inverse_frequency_weights
from kenyan13.model.freezing import Freeze
from kenyan13.settings import Precision, Settings, run_directory
from kenyan13.training import directory
from kenyan13.training.callbacks import EpochSeed, History, RunFiles, Stop
from kenyan13.training.directory import Result
from kenyan13.training.display import count_parameters, is_terminal, print_end, print_start


def train(settings: Settings) -> Result:
    """Train one run, or go on with it where it was interrupted; a finished one is only reported.

    Raises UserError for settings and data that cannot be used.
    """
    folder = run_directory(settings)
    colours = normalisation(settings.model)
    data = PictureData(settings, colours.mean, colours.std)
    (folder / directory.BEST).parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock")
    try:
        if os.environ.get("LOCAL_RANK", "0") == "0":  # other processes of the same run are under the first one's lock
            lock.acquire(timeout=0)
    except Timeout:
        raise UserError(f"Another process is training {folder}.", "wait for it, or choose another name=") from None
    try:
        return train_locked(settings, folder, data)
    finally:
        lock.release()


def train_locked(settings: Settings, folder: Path, data: PictureData) -> Result:
    """Train, as the only one in the folder."""
    described = describe(data)
    if (folder / directory.CONFIG).exists():
        directory.check_same(folder, settings, described)
        finished = directory.read_result(folder)
        if finished is not None:
            print_end(folder, finished, before=True)
            return finished
    quiet_libraries()
    keep_freed_memory()
    seed_everything(settings.seed, workers=False, verbose=False)
    network = create(settings.model, data.classes)
    if settings.trainer.channels_last:
        network = network.to(memory_format=torch.channels_last)
    weights = inverse_frequency_weights(data.class_counts) if settings.balance.weighted_loss else None
    classifier = Classifier(network, data.classes, settings.optim, settings.schedule, weights)
    history = History()
    stop = Stop(settings.stop, history)
    trainer = make_trainer(settings, folder, data, history, stop)
    last = folder / directory.LAST
    if trainer.is_global_zero:
        directory.write_config(folder, settings, described)
        print_start(settings, folder, data, network, resumed=last.exists())
        if settings.trainer.model_graph and not last.exists():
            draw_graph(trainer, network, settings.model.crop)
    trainer.fit(classifier, datamodule=data, ckpt_path=last if last.exists() else None, weights_only=True)
    if trainer.interrupted:
        raise UserError(f"Interrupted after {len(history.rows)} epochs.", "the same command goes on from there")
    result = summarise(settings, data, history, classifier, stop.reason() or "max_epochs")
    if trainer.is_global_zero:
        directory.write_result(folder, result)
        print_end(folder, result)
    return result


def make_trainer(settings: Settings, folder: Path, data: PictureData, history: History, stop: Stop) -> Trainer:
    """Return the Lightning trainer with the run's callbacks and logger."""
    chosen = settings.trainer
    several = chosen.devices != 1
    strategy = (
        "ddp_find_unused_parameters_true" if several and settings.freeze.unfreeze else "ddp" if several else "auto"
    )
    files = RunFiles(folder, history, data.validation.catalogue, chosen.checkpoints)
    callbacks = [EpochSeed(settings.seed), Freeze(settings.freeze), history, stop, files]
    return Trainer(
        max_epochs=chosen.max_epochs,
        accelerator=chosen.accelerator,
        devices=chosen.devices,
        strategy=strategy,
        precision=precision(settings),
        callbacks=[*callbacks, RichProgressBar(leave=False)] if is_terminal() else callbacks,
        logger=TensorBoardLogger(folder, name="", version=""),
        enable_progress_bar=is_terminal(),
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        deterministic="warn",
        log_every_n_steps=10,
    )


def precision(settings: Settings) -> Any:
    """Return Lightning's name of the arithmetic; auto is bfloat16 on CUDA devices that compute in it."""
    chosen = settings.trainer.precision
    if chosen is Precision.auto:
        on_gpu = settings.trainer.accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()
        chosen = (
            Precision.bfloat16
            if on_gpu and torch.cuda.is_bf16_supported(including_emulation=False)
            else Precision.float32
        )
    return "bf16-mixed" if chosen is Precision.bfloat16 else "32-true"


def describe(data: PictureData) -> dict[str, Any]:
    """Return what config.yaml says of the data: classes, sizes, and a digest of ids and labels."""

    def digest(catalogue: Catalogue) -> str:
        rows = "\n".join(f"{id_},{target}" for id_, target in zip(catalogue.ids, catalogue.labels(), strict=True))
        return hashlib.blake2b(rows.encode(), digest_size=8).hexdigest()

    parts = {"train": data.train.catalogue, "validation": data.validation.catalogue}
    described = {name: {"pictures": len(part), "digest": digest(part)} for name, part in parts.items()}
    return {"classes": list(data.classes), **described}


def draw_graph(trainer: Trainer, network: torch.nn.Module, crop: int) -> None:
    """Draw the network in TensorBoard; traced in evaluation mode, so that batch norms keep their statistics."""
    assert isinstance(trainer.logger, TensorBoardLogger)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        network.eval()
        trainer.logger.experiment.add_graph(network, torch.zeros(1, 3, crop, crop))
        network.train()


def summarise(settings: Settings, data: PictureData, history: History, classifier: Classifier, stopped: str) -> Result:
    """Return the result of the epochs trained."""
    best = history.best()
    total, trainable = count_parameters(
        classifier.network, max([settings.freeze.level, *(p[1] for p in settings.freeze.unfreeze)])
    )
    return Result(
        status="finished",
        min_val_loss=best["val_loss"],
        accuracy=best["val_accuracy"],
        macro_f1=best["val_macro_f1"],
        best_epoch=int(best["epoch"]),
        epochs=len(history.rows),
        auc_loss=auc_loss(history.column("val_loss")),
        overfitting=overfitting(history.column("train_loss"), history.column("val_loss")),
        seconds=round(sum(history.column("seconds")), 1),
        train_pictures=len(data.train.catalogue),
        validation_pictures=len(data.validation.catalogue),
        parameters=total,
        trainable_parameters=trainable,
        device=str(classifier.device),
        stopped=stopped,
    )


def quiet_libraries() -> None:
    """Keep hints of the libraries out of the terminal that are about settings made here on purpose."""
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    hints = (
        "does not have many workers",
        "number of training batches",
        "in eval mode at the start",
        "LeafSpec",
        "treespec",
    )
    for hint in hints:
        warnings.filterwarnings("ignore", message=f".*{hint}.*")
