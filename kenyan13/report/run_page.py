"""The page of one run: its measures, figures, mistakes, and the settings it was made with."""

from pathlib import Path

import numpy as np

from kenyan13.analysis.grouping import reorder
from kenyan13.config.identity import flatten
from kenyan13.metrics.classification import (
    confusion_counts,
    expected_calibration_error,
    macro_f1,
    per_class,
    reliability,
    top_accuracy,
)
from kenyan13.metrics.statistics import standard_error, wilson
from kenyan13.plots.confusion import confusion_figure
from kenyan13.plots.curves import precision_recall_figure, reliability_figure
from kenyan13.plots.losses import loss_figure
from kenyan13.report.parts import PlotFile, Section, write_figure
from kenyan13.report.photos import MISTAKES, Mistake, find_files, grid_of, mistakes, of_pairs, pair_table, sheets
from kenyan13.report.runs import Predictions, anchor_of, notes, predictions, study_id
from kenyan13.runs.run import Run
from kenyan13.study.tables import Column, Table
from kenyan13.terminal import duration


def run_page(run: Run, output: Path) -> Section:
    """Make the page of a run, and write its figures below the report's folder."""
    page = Section(anchor_of(run), run.name, texts=[in_words(run), *notes([run])])
    saved = None if run.problem else predictions(run)
    measures = measure_table(run, saved)
    page.tables += [measures] if measures.rows else []
    if run.metrics is not None and len(run.metrics):
        page.images.append(draw_losses(run, output))
    if saved is not None:
        page.images += draw_predictions(run, saved, output)
        wrong = mistakes(saved)
        add_photos(page, run, saved, wrong)
        page.details = [class_table(saved), pair_table(saved), mistake_table(wrong)]
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
    id_ = study_id(run)
    if id_:
        words.append(f"the study's {id_}" if run.setting("experiment") else f"a variant of the study's {id_}")
    return f"{run.folder}: {', '.join(words)}."


def measure_table(run: Run, saved: Predictions | None) -> Table:
    """Return the measures of a run, each with what it means."""
    columns = [Column("measure", "measure"), Column("value", "value"), Column("remark", "remark")]
    table = Table("", "Measures", columns)
    result = run.result
    if result:
        table.rows.append(["lowest validation loss", f"{result.min_val_loss:.4f}", f"in epoch {result.best_epoch}"])
    if saved is not None:
        table.rows += prediction_measures(saved)
    if result:
        slope = None if result.overfitting is None else f"{result.overfitting:+.4f}"
        auc = None if result.auc_loss is None else f"{result.auc_loss:.3f}"
        trained = f"{result.trainable_parameters:,} of them trained"
        table.rows += [
            ["AUC loss", auc, "sum of the validation losses over epochs"],
            ["overfitting", slope, "slope of validation loss / training loss, per epoch"],
            ["epochs", f"{result.epochs}", f"in {duration(result.seconds)} on {result.device}"],
            ["parameters", f"{result.parameters:,}", trained],
            ["images", f"{result.train_images:,} + {result.validation_images:,}", "to train and to validate"],
        ]
    return table


def prediction_measures(saved: Predictions) -> list[list[float | str | None]]:
    """Return the rows of measures that follow from a run's predictions."""
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
    for k, name in enumerate(saved.classes):
        figures = [float(found.images[k]), 100 * float(found.precision[k]), 100 * float(found.recall[k])]
        table.rows.append([name, *figures, float(found.f1[k])])
    return table


def draw_losses(run: Run, output: Path) -> PlotFile:
    """Draw training and validation losses."""
    assert run.metrics is not None
    train, validation = run.metrics["train_loss"].tolist(), run.metrics["val_loss"].tolist()
    alt = f"Training and validation loss over {len(train)} epochs: from {train[0]:.3f} and {validation[0]:.3f} to "
    alt += f"{train[-1]:.3f} and {validation[-1]:.3f}; lowest validation loss {run.metrics['val_loss'].min():.3f}."
    return write_figure(output, f"figures/{run.name}/losses.png", "Losses", alt, loss_figure(train, validation))


def draw_predictions(run: Run, saved: Predictions, output: Path) -> list[PlotFile]:
    """Draw confusion matrix, precision-recall curves and reliability diagram."""
    targets, probabilities = saved.targets, saved.probabilities
    counts = confusion_counts(targets, probabilities.argmax(axis=1), len(saved.classes))
    order = reorder(counts)
    matrix = confusion_figure(counts[np.ix_(order, order)], [saved.classes[k] for k in order])
    found, error = reliability(targets, probabilities), expected_calibration_error(targets, probabilities)
    pairs = pair_table(saved, 3).rows
    often = "; ".join(f"{row[0]} and {row[1]}" for row in pairs) or "none"
    folder = f"figures/{run.name}"
    return [
        write_figure(
            output, f"{folder}/confusion.png", "Confusion matrix, similar classes beside each other",
            f"{np.trace(counts)} of {len(targets)} images on the diagonal; most confused: {often}.", matrix,
        ),
        write_figure(
            output, f"{folder}/precision_recall.png", "Precision and recall of each class",
            "Precision against recall, a curve a class; the table of classes has the values at the answers given.",
            precision_recall_figure(targets, probabilities, saved.classes),
        ),
        write_figure(
            output, f"{folder}/reliability.png", "Reliability: accuracy against confidence",
            f"Accuracy of answers by confidence; expected calibration error {error:.1%}.",
            reliability_figure(found, error),
        ),
    ]  # fmt: skip


def add_photos(page: Section, run: Run, saved: Predictions, wrong: list[Mistake]) -> None:
    """Add the grids of most confident mistakes and of most confused pairs, where the images are still at hand."""
    files = find_files(run)
    chosen = {"Most confident mistakes": wrong[:MISTAKES], "Most confused pairs of classes": of_pairs(saved, wrong)}
    grids = [grid_of(title, some, files) for title, some in chosen.items()]
    page.grids = [grid for grid in grids if grid.photos]
    if wrong and not page.grids:
        page.texts.append(f"The images are no longer in {run.setting('data.root')}: mistakes are listed, not shown.")


def mistake_table(wrong: list[Mistake]) -> Table:
    """Return the most confident mistakes."""
    columns = [
        Column("id", "image"), Column("target", "class"), Column("answer", "named"), Column("confidence", "%", 1)
    ]  # fmt: skip
    table = Table("", "Most confident mistakes", columns)
    table.rows = [[one.id, one.target, one.answer, 100 * one.confidence] for one in wrong[: 3 * MISTAKES]]
    return table


def settings_table(run: Run) -> Table:
    """Return all settings, the data's fingerprint, versions and commit."""
    table = Table("", "How it was made", [Column("key", "setting"), Column("value", "value")])
    data = {key: value for key, value in run.data.items() if key != "classes"}
    parts = {"": run.settings, "images, ": data, "version of ": run.versions}
    table.rows = [[f"{start}{key}", str(value)] for start, part in parts.items() for key, value in flatten(dict(part))]
    table.rows.append(["commit", run.commit])
    return table
