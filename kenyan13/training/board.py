"""TensorBoard of a training run, beside its scalars: the graph, contact sheets, and what came of it at the end."""

import warnings
from collections.abc import Sequence
from math import nan
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader
from tensorboard.compat.proto.summary_pb2 import Summary
from torch import nn
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from kenyan13.config.identity import default_settings, plain, relevant
from kenyan13.config.presets import flatten
from kenyan13.config.settings import Settings
from kenyan13.data.datamodule import ImageDataModule
from kenyan13.plots.predictions import confusion_plot
from kenyan13.runs.predictions import classes_of, confusion_of, labelled, probabilities_of, read_predictions, targets_of
from kenyan13.runs.result import Result
from kenyan13.training.contact_sheets import LONGEST, SIDE, first_draws, sheets

EVENTS, END = "events.out.tfevents.*", ".end"  # what the end of a run adds has a file of its own
# TensorBoard sorts metrics by name, capitals first, and shows five: these, before the scalars of the epochs.
METRICS = ("min_val_loss", "accuracy", "macro_f1", "auc_loss", "overfitting")


class TensorBoardImages(Callback):
    """Adds to TensorBoard: contact sheets and the graph as a run starts, its plots, settings and metrics at its end.

    graph: whether the network is drawn. Does nothing where TensorBoard is none of the loggers.
    """

    def __init__(self, graph: bool = True) -> None:
        self.graph = graph

    def on_run_start(self, trainer: Trainer, data: ImageDataModule, network: nn.Module) -> None:
        """Write contact sheets and the graph, as a run starts from the beginning.

        What an earlier try has written is removed first: nothing is left of it to go on from. No random state is used
        or changed.
        """
        logger = tensorboard_logger(trainer)
        if logger is None:
            return
        remove_events(Path(logger.log_dir))
        writer = logger.experiment
        for kind, sheet in sheets(data, first_draws(data, SIDE * SIDE), LONGEST).items():
            writer.add_image(f"sheets/{kind}", sheet, 0, dataformats="HWC")
        if self.graph:
            with warnings.catch_warnings(), torch.no_grad():
                warnings.simplefilter("ignore")
                network.eval()  # so that batch norms keep their statistics
                writer.add_graph(network, torch.zeros(1, 3, data.crop, data.crop))
                network.train()

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Mend the curves as a run goes on: a kill may have come after points, or before they were written."""
        logger = tensorboard_logger(trainer)
        if logger is not None and trainer.is_global_zero:
            rows = checkpoint["callbacks"]["History"]["rows"]
            mend_curves(Path(logger.log_dir), [row for row in rows if row["epoch"] > 0], checkpoint["global_step"])

    def on_run_end(self, trainer: Trainer, settings: Settings, result: Result) -> None:
        """Write confusion matrix and precision-recall curves of the best epoch, settings and metrics.

        What is written here has files of its own, which replace earlier ones: a run may have been killed between
        its last epoch and its result.
        """
        logger = tensorboard_logger(trainer)
        if logger is None:
            return
        folder = Path(trainer.default_root_dir)
        remove_events(Path(logger.log_dir), END)
        with SummaryWriter(logger.log_dir, filename_suffix=END) as writer:
            add_predictions(writer, read_predictions(folder), folder.name, result.best_epoch)
            metrics = {f"Result/{name}": getattr(result, name) for name in METRICS}
            for name, value in metrics.items():
                if value is not None:
                    writer.add_scalar(name, value, result.epochs)
            # without the summary of all runs that torch and Lightning write with each: TensorBoard makes its own then,
            # and shows the settings that differ between runs first
            for summary in hparams(hyperparameters(settings), metrics)[1:]:  # type: ignore[no-untyped-call]
                writer._get_file_writer().add_summary(summary)


def tensorboard_logger(trainer: Trainer) -> TensorBoardLogger | None:
    """Return the trainer's first logger for TensorBoard, if any."""
    return next((logger for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)), None)


def remove_events(folder: Path, ending: str = "") -> None:
    """Remove the files in a run directory that TensorBoard reads, or those with an ending."""
    for file in folder.glob(EVENTS + ending):
        file.unlink()


def mend_curves(folder: Path, rows: Sequence[dict[str, float]], steps: int) -> None:
    """Leave each point of a run's first epochs and steps once, in one file, and add what is missing of its epochs.

    rows: of metrics.csv, an epoch each, from the first, where they lie in the curves. steps: of the optimiser.
    """
    files = sorted(set(folder.glob(EVENTS)) - set(folder.glob(EVENTS + END)))
    by_epoch = {"epoch", "loss_ratio"}.union(*rows)
    known: set[tuple[str, int]] = set()
    with SummaryWriter(str(folder)) as writer:
        for event in (event for file in files for event in LegacyEventFileLoader(str(file)).Load()):
            inside = {True: event.step <= len(rows), False: event.step < steps}
            found = {(one.tag, event.step): one for one in event.summary.value if inside[one.tag in by_epoch]}
            found |= {("graph", 0): None} if event.HasField("graph_def") else {}
            if new := found.keys() - known:
                event.summary.CopyFrom(Summary(value=[value for key, value in found.items() if key in new and value]))
                writer._get_file_writer().event_writer.add_event(event)
            known |= new
        for row in rows:
            epoch = int(row["epoch"])
            ratio = row.get("val_weighted_loss", row["val_loss"]) / (row["train_loss"] or nan)
            curves = {**row, "loss_ratio": ratio, "epoch": epoch - 1}  # Lightning counts epochs from 0
            for name, value in curves.items():
                if name != "seconds" and (name, epoch) not in known:
                    writer.add_scalar(name, value, epoch)
    for file in files:
        file.unlink()


def add_predictions(writer: SummaryWriter, predictions: pd.DataFrame, name: str, epoch: int) -> None:
    """Add the confusion matrix and each class's precision-recall curve against the rest, at an epoch (from 1).

    Images of no class of the run do not count.
    """
    known = labelled(predictions)
    classes, targets, probabilities = classes_of(known), targets_of(known), probabilities_of(known)
    counts = confusion_of(known).to_numpy()
    writer.add_figure("confusion_matrix", confusion_plot(counts, classes, f"{name}, epoch {epoch}"), epoch)
    for k, class_name in enumerate(classes):
        writer.add_pr_curve(f"precision_recall/{class_name}", targets == k, probabilities[:, k], epoch)


def hyperparameters(settings: Settings) -> dict[str, float | str]:
    """Return the settings that matter to the result: dotted name -> number or text.

    A setting has the same type in all runs, as TensorBoard needs it: what may be null or is a list is text.
    """
    usual = dict(flatten(default_settings()))

    def is_number(value: object) -> bool:
        return isinstance(value, int | float) and not isinstance(value, bool)

    return {
        key: value if is_number(value) and is_number(usual.get(key, 0)) else "null" if value is None else str(value)
        for key, value in relevant(plain(settings)).items()
    }
