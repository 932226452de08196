"""The page of one run: its metrics, plots, mistakes, and the settings it was made with."""

from pathlib import Path

import numpy as np
import pandas as pd

from kenyan13.analysis.grouping import reorder
from kenyan13.config.presets import flatten
from kenyan13.metrics.classification import (
    confusion_counts,
    expected_calibration_error,
    macro_f1,
    per_class,
    reliability,
    top_accuracy,
)
from kenyan13.metrics.losses import lowest
from kenyan13.metrics.statistics import standard_error, wilson
from kenyan13.plots.confusion import confusion_plot
from kenyan13.plots.curves import precision_recall_plot, reliability_plot
from kenyan13.plots.epochs import accuracy_plot, loss_plot
from kenyan13.report.parts import Folder, Plot, Section
from kenyan13.report.photos import MISTAKES, find_files, grid_of, mistake_table, mistakes, of_pairs, pair_table, sheets
from kenyan13.report.runs import Predictions, anchor_of, notes, predictions
from kenyan13.report.tables import Column, Table
from kenyan13.runs.run import Run
from kenyan13.terminal import duration


def run_page(run: Run, output: Path) -> Section:
    """Make the page of a run, and write its plots below the report's folder."""
    page = Section(anchor_of(run), run.name, texts=[in_words(run), *notes([run])])
    saved = None if run.problem else predictions(run)
    folder = Folder(output, run.name)
    metrics = metric_table(run, saved)
    page.tables += [metrics] if metrics.rows else []
    if run.metrics is not None and len(run.metrics):
        page.plots += draw_epochs(run.metrics, folder)
    if saved is not None:
        wrong = mistakes(saved)
        pairs = pair_table(saved, wrong)
        page.plots += draw_predictions(saved, pairs, folder)
        add_photos(page, run, wrong)
        page.details = [class_table(saved), pairs, mistake_table(wrong)]
    page.grids += sheets(run)
    if run.settings:
        page.details.append(settings_table(run))
    return page


def in_words(run: Run) -> str:
    """Return what a run is, in a line or two."""
    if run.problem:
        return f"This run cannot be read: {run.problem}"
    words = [f"{run.state.value}: {run.failure}" if run.failure else run.state.value]
    if run.result:
        words.append(f"ended by {run.result.stopped}")
    return f"{run.folder}: {', '.join(words)}."


def metric_table(run: Run, saved: Predictions | None) -> Table:
    """Return the metrics of a run, each with what it means."""
    columns = [Column("metric", "metric"), Column("value", "value"), Column("remark", "remark")]
    table = Table("", "Metrics", columns)
    result = run.result
    if result:
        table.rows.append(["lowest validation loss", f"{result.min_val_loss:.4f}", f"in epoch {result.best_epoch}"])
    if saved is not None:
        table.rows += prediction_metrics(saved)
    if result:
        slope = None if result.overfitting is None else f"{result.overfitting:+.4f}"
        auc = None if result.auc_loss is None else f"{result.auc_loss:,.2f}"
        trained = f"{result.trainable_parameters:,} of them trained"
        table.rows += [
            ["AUC loss", auc, "sum of the validation losses over epochs"],
            ["overfitting", slope, "slope of validation loss / training loss, per epoch"],
            ["epochs", f"{result.epochs}", f"in {duration(result.seconds)} on {result.device}"],
            ["parameters", f"{result.parameters:,}", trained],
            ["images", f"{result.train_images:,} + {result.validation_images:,}", "to train and to validate"],
        ]
    return table


def prediction_metrics(saved: Predictions) -> list[list[float | str | None]]:
    """Return the rows of metrics that follow from a run's predictions."""
    targets, probabilities = saved.targets, saved.probabilities
    counts = confusion_counts(targets, probabilities.argmax(axis=1), len(saved.classes))
    images, correct = len(targets), int(np.trace(counts))
    low, high = wilson(correct, images)
    error = standard_error(correct / images, images)
    there = f"standard error {error:.2%}; 95 % interval {low:.2%} to {high:.2%} (Wilson, {images:,} images)"
    return [
        ["accuracy", f"{correct / images:.2%}", there],
        ["macro F1", f"{macro_f1(counts):.3f}", "mean F1 of the classes"],
        ["top-2 accuracy", f"{top_accuracy(targets, probabilities):.2%}", "one of the two most probable is right"],
        [
            "expected calibration error",
            f"{expected_calibration_error(targets, probabilities):.1%}",
            "mean difference between confidence and accuracy",
        ],
    ]


def class_table(saved: Predictions) -> Table:
    """Return precision, recall and F1 of each class."""
    columns = [
        Column("class", "class"), Column("images", "images", 0), Column("precision", "precision %", 1),
        Column("recall", "recall %", 1), Column("f1", "F1", 3),
    ]  # fmt: skip
    found = per_class(confusion_counts(saved.targets, saved.probabilities.argmax(axis=1), len(saved.classes)))
    table = Table("", "Classes", columns)
    found[["precision", "recall"]] *= 100
    rows = found[["images", "precision", "recall", "f1"]].astype(float).to_numpy().tolist()
    table.rows = [[name, *row] for name, row in zip(saved.classes, rows, strict=True)]
    return table


def draw_epochs(metrics: pd.DataFrame, folder: Folder) -> list[Plot]:
    """Draw accuracy and losses over the epochs."""
    train, validation = metrics["train_loss"].tolist(), metrics["val_loss"].tolist()
    accuracies = metrics["val_accuracy"].tolist()
    macro_f1 = metrics["val_macro_f1"].tolist() if "val_macro_f1" in metrics else None
    best = 0 if metrics["val_loss"].isna().all() else lowest(validation)
    return [
        folder.draw(
            "accuracy", "Accuracy on validation images",
            f"From {accuracies[0]:.1%} in the first to {accuracies[-1]:.1%} in the last of {len(train)} epochs.",
            accuracy_plot, accuracies, macro_f1, best + 1,
        ),
        folder.draw(
            "losses", "Losses",
            f"Training and validation loss over {len(train)} epochs: from {train[0]:.3f} and {validation[0]:.3f} to "
            f"{train[-1]:.3f} and {validation[-1]:.3f}; lowest validation loss {metrics['val_loss'].min():.3f}.",
            loss_plot, train, validation,
        ),
    ]  # fmt: skip


def draw_predictions(saved: Predictions, pairs: Table, folder: Folder) -> list[Plot]:
    """Draw confusion matrix, precision-recall curves and reliability diagram."""
    targets, probabilities = saved.targets, saved.probabilities
    counts = confusion_counts(targets, probabilities.argmax(axis=1), len(saved.classes))
    order = reorder(counts)
    found, error = reliability(targets, probabilities), expected_calibration_error(targets, probabilities)
    often = "; ".join(f"{row[0]} and {row[1]}" for row in pairs.rows[:3]) or "none"
    return [
        folder.draw(
            "confusion", "Confusion matrix, similar classes beside each other",
            f"{np.trace(counts)} of {len(targets)} images on the diagonal; most confused: {often}.",
            confusion_plot, counts[np.ix_(order, order)], [saved.classes[k] for k in order],
        ),
        folder.draw(
            "precision_recall", "Precision and recall of each class",
            "Precision against recall, a curve a class; the table of classes has the values of the predictions.",
            precision_recall_plot, targets, probabilities, saved.classes,
        ),
        folder.draw(
            "reliability", "Reliability: accuracy against confidence",
            f"How often predictions are right, by their confidence; expected calibration error {error:.1%}.",
            reliability_plot, found, error,
        ),
    ]  # fmt: skip


def add_photos(page: Section, run: Run, wrong: pd.DataFrame) -> None:
    """Add the grids of most confident mistakes and of most confused pairs, where the images are still at hand."""
    files = find_files(run)
    chosen = {"Most confident mistakes": wrong[:MISTAKES], "Most confused pairs of classes": of_pairs(wrong)}
    grids = [grid_of(title, some, files) for title, some in chosen.items()]
    page.grids = [grid for grid in grids if grid.photos]
    if len(wrong) and not page.grids:
        page.texts.append(f"The images are no longer in {run.setting('data.root')}: mistakes are listed, not shown.")


def settings_table(run: Run) -> Table:
    """Return all settings, the data's fingerprint, versions and commit."""
    table = Table("", "How it was made", [Column("key", "setting"), Column("value", "value")])
    data = {key: value for key, value in run.data.items() if key != "classes"}
    parts = {"": run.settings, "images, ": data, "version of ": run.versions}
    table.rows = [[f"{start}{key}", str(value)] for start, part in parts.items() for key, value in flatten(dict(part))]
    table.rows.append(["commit", run.commit])
    return table
