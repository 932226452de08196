"""The page of one run: its metrics, plots, mistakes, settings; and what can be concluded from several runs."""

import json
from collections.abc import Callable, Hashable, Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kenyan13.analysis.cascade import reorder
from kenyan13.analysis.compare import best_first, compare, conclusion
from kenyan13.config.presets import flatten
from kenyan13.config.settings import Layout
from kenyan13.errors import shorten
from kenyan13.metrics.classification import per_class, reliability, standard_error, wilson
from kenyan13.metrics.losses import kept, minimised
from kenyan13.metrics.uncertainty import cross_coverage
from kenyan13.plots.predictions import confusion_plot, precision_recall_plot, reliability_plot
from kenyan13.plots.training import accuracy_plot, loss_plot
from kenyan13.report.photos import graph_of, mistake_grids, mistake_table, mistakes, pair_table, sheets
from kenyan13.report.tables import Column, Folder, Plot, Section, Table
from kenyan13.runs.predictions import classes_of, confusion_of, labelled, probabilities_of, scores, targets_of
from kenyan13.runs.result import Result
from kenyan13.runs.run import Run, labels
from kenyan13.terminal import duration


def run_page(run: Run, output: Path) -> Section:
    """Make the page of a run, and write its plots below the report's folder."""
    page = Section(anchor_of(run), run.name)
    if run.problem:
        page.texts = [f"This run cannot be read: {run.problem}"]
        return page
    words = [f"{run.state.value}: {run.failure}" if run.failure else run.state.value]
    if run.result:
        words.append(run.result.stopped if run.setting("members") else f"ended by {run.result.stopped}")
    page.texts = [f"{run.folder}: {', '.join(words)}.", *notes([run])]
    metrics, folder = metric_table(run), Folder(output, run.name)
    page.tables = [metrics] if metrics.rows else []
    if run.metrics is not None:
        page.plots += draw_epochs(run.metrics, folder, run.setting("keep") or "loss")
    if run.predictions is not None and len(known := labelled(run.predictions)):
        classes, wrong = classes_of(known), mistakes(known)
        counts = confusion_of(known).to_numpy()
        pairs = pair_table(counts, classes)
        page.plots += draw_predictions(known, counts, pairs, folder)
        page.grids = mistake_grids(run, wrong, pairs)
        if len(wrong) and not page.grids:
            root = run.setting("data.root")
            page.texts.append(f"The images are no longer in {root}: mistakes are listed, not shown.")
        page.details = [class_table(counts, classes), pairs, mistake_table(wrong), *unknown_tables(run, known)]
    page.grids += sheets(run)
    page.details.append(settings_table(run))
    return page


def metric_table(run: Run) -> Table:
    """Return the metrics of a run, each with what it means."""
    table = Table("", "Metrics", [Column("metric", "metric"), Column("value", "value"), Column("remark", "remark")])
    found = run.summary
    if found.min_val_loss is not None:
        table.add("validation loss", f"{found.min_val_loss:.4f}", f"in epoch {found.best_epoch}")
    if found.accuracy is not None and found.images:
        error = standard_error(found.accuracy, found.images)
        interval = f"{found.accuracy_low:.2%} to {found.accuracy_high:.2%} (Wilson, {found.images:,} images)"
        table.add("accuracy", f"{found.accuracy:.2%}", f"standard error {error:.2%}; 95 % interval {interval}")
        table.add("macro F1", f"{found.macro_f1:.3f}", "mean F1 of the classes")
    tested = run.test_predictions
    if tested is not None and len(tested := labelled(tested)):
        low, high = wilson((known := scores(tested))["accuracy"], len(tested))
        interval = f"95 % interval {low:.2%} to {high:.2%} (Wilson, {len(tested):,} images)"
        table.add("test accuracy", f"{known['accuracy']:.2%}", interval)
        table.add("test macro F1", f"{known['macro_f1']:.3f}", "of the test images that have labels")
    if found.top2_accuracy is not None:
        table.add("top-2 accuracy", f"{found.top2_accuracy:.2%}", "one of the two most probable is right")
        gap = "mean difference between confidence and accuracy"
        table.add("expected calibration error", f"{found.calibration_error:.1%}", gap)
    if result := run.result:
        slope = None if result.overfitting is None else f"{result.overfitting:+.4f}"
        auc = None if result.auc_loss is None else f"{result.auc_loss:,.2f}"
        images = f"{result.train_images:,} + {result.validation_images:,}"
        table.add("AUC loss", auc, "sum of the validation losses over epochs")
        table.add("overfitting", slope, "slope of validation loss / training loss, per epoch")
        table.add("epochs", f"{result.epochs}", f"in {duration(result.seconds)} on {result.device}")
        table.add("parameters", f"{result.parameters:,}", f"{result.trainable_parameters:,} of them trained")
        table.add("images", images, "to train and to validate")
    return table


def class_table(counts: NDArray[np.int64], classes: Sequence[str]) -> Table:
    """Return precision, recall and F1 of each class, from the confusion matrix."""
    columns = [
        Column("class", "class"), Column("images", "images", 0), Column("precision", "precision %", 1),
        Column("recall", "recall %", 1), Column("f1", "F1", 3),
    ]  # fmt: skip
    found = per_class(counts)
    found.insert(0, "class", classes)
    found[["precision", "recall"]] *= 100
    return Table("", "Classes", columns, found.to_dict("records"))


def draw_epochs(metrics: pd.DataFrame, folder: Folder, keep: str) -> list[Plot]:
    """Draw accuracy and losses over the epochs of training, if there are any."""
    best_epoch = int(metrics["epoch"].iloc[kept(metrics, keep)])
    metrics = metrics[metrics["epoch"] > 0]
    if metrics.empty:
        return []
    train, validation = metrics["train_loss"].tolist(), minimised(metrics).tolist()
    plain = metrics["val_loss"].tolist() if "val_weighted_loss" in metrics else None
    accuracies, macro_f1 = metrics["val_accuracy"].tolist(), metrics["val_macro_f1"].tolist()
    return [
        folder.draw(
            "accuracy", "Accuracy on validation images",
            f"From {accuracies[0]:.1%} in the first to {accuracies[-1]:.1%} in the last of {len(train)} epochs.",
            accuracy_plot, accuracies, macro_f1, best_epoch,
        ),
        folder.draw(
            "losses", "Losses",
            f"Training and validation loss over {len(train)} epochs: from {train[0]:.3f} and {validation[0]:.3f} to "
            f"{train[-1]:.3f} and {validation[-1]:.3f}; lowest validation loss {min(validation):.3f}."
            + " Both weigh classes; dotted: plain cross entropy." * bool(plain),
            loss_plot, train, validation, plain=plain,
        ),
    ]  # fmt: skip


def draw_predictions(known: pd.DataFrame, counts: NDArray[np.int64], pairs: Table, folder: Folder) -> list[Plot]:
    """Draw confusion matrix, precision-recall curves and reliability diagram."""
    classes, targets, probabilities = classes_of(known), targets_of(known), probabilities_of(known)
    order, found = reorder(counts), reliability(targets, probabilities)
    often = "; ".join(f"{row['class']} and {row['other']}" for row in pairs.rows[:3]) or "none"
    return [
        folder.draw(
            "confusion", "Confusion matrix, similar classes beside each other",
            f"{np.trace(counts)} of {len(targets)} images on the diagonal; most confused: {often}.",
            confusion_plot, counts[np.ix_(order, order)], [classes[k] for k in order],
        ),
        folder.draw(
            "precision_recall", "Precision and recall of each class",
            "Precision against recall, a curve a class; the table of classes has the values of the predictions.",
            precision_recall_plot, targets, probabilities, classes,
        ),
        folder.draw(
            "reliability", "Reliability: accuracy against confidence",
            f"How often predictions are right, by their confidence; expected calibration error {found.error:.1%}.",
            reliability_plot, found,
        ),
    ]  # fmt: skip


def settings_table(run: Run) -> Table:
    """Return all settings, the data's fingerprint, versions and commit."""
    table = Table("", "How it was made", [Column("key", "setting"), Column("value", "value")])
    data = {key: value for key, value in run.data.items() if key != "classes"}
    parts = {"": run.settings, "images, ": data, "version of ": run.versions}
    for start, part in parts.items():
        for key, value in flatten(dict(part)):
            table.add(f"{start}{key}", str(value))
    table.add("commit", run.commit)
    return table


def unknown_tables(run: Run, known: pd.DataFrame) -> list[Table]:
    """Return how well sets of classes hold the right one, and how well images of no class are noticed."""
    columns = [
        Column("asked", "asked for %", 0), Column("held", "hold the right class %", 1), Column("size", "classes", 2),
    ]  # fmt: skip
    sets = Table("", "Sets of classes", columns, notes=["Thresholds are fitted to other images than they are used on."])
    for coverage in (0.8, 0.9, 0.95):
        held, size = cross_coverage(probabilities_of(known), targets_of(known), coverage)
        sets.add(100 * coverage, 100 * held, size)
    left_out = Table("", "Images of no class", [Column("class", "class left out"), Column("auroc", "AUROC", 2)], notes=[
        "How well a class's images are told from the others by a linear classifier that knows nothing of the class; "
        "0.5 is chance. The features are of the network that was trained on all."
    ])  # fmt: skip
    graph = graph_of(run)
    for place, auroc in (graph.meta.get("left_out", {}) if graph else {}).items():
        left_out.add(classes_of(known)[int(place)], auroc)
    return [sets, left_out] if left_out.rows else [sets]


ONE_SEED = (
    "Each run is one seed. How much another seed, or another split, would change is not in these metrics; the best of "
    "many runs on the same images is partly luck."
)


def anchor_of(run: Run) -> str:
    """Return the id of the run's page."""
    return f"run-{run.name}"


def results(runs: Iterable[Run]) -> list[Result]:
    """Return the results of those runs that are finished."""
    return [run.result for run in runs if run.result]


def is_synthetic(run: Run) -> bool:
    """Return whether a run's images are synthetic drawings."""
    return bool(run.setting("data.layout") == Layout.demo.name)


def notes(runs: Sequence[Run]) -> list[str]:
    """Return what must be said of images that are no photographs."""
    if any(is_synthetic(run) for run in runs):
        return ["The demo's images are synthetic drawings: accuracies on them say nothing about photographs."]
    return []


def grouped(runs: Iterable[Run], key: Callable[[Run], Hashable]) -> list[list[Run]]:
    """Return runs with the same key together."""
    groups: dict[Hashable, list[Run]] = {}
    for run in runs:
        groups.setdefault(key(run), []).append(run)
    return list(groups.values())


def same_images(runs: Iterable[Run]) -> list[list[Run]]:
    """Return the finished runs that were validated on the same images, with the same labels, together."""
    finished = [run for run in runs if run.result]
    return grouped(finished, lambda run: json.dumps([run.data.get("validation"), run.data.get("classes")]))


def among(runs: Sequence[Run]) -> list[str]:
    """Return sentences on which runs can be told from the most accurate one, for each set of validation images."""
    sentences = []
    for same in (sorted(some, key=best_first) for some in same_images(runs) if len(some) > 1):
        names, best = labels(same), same[0].summary
        ties = [name for name, run in zip(names[1:], same[1:], strict=True) if run.summary.accuracy == best.accuracy]
        tied = f", with {shorten(ties)} as accurate" if ties else ""
        interval = f"{best.accuracy:.1%}, 95 % interval {best.accuracy_low:.1%} to {best.accuracy_high:.1%}"
        start = f"On the same {best.images:,} images, {names[0]} is the most accurate of {len(same)} runs ({interval})"
        sentences.append(" ".join([f"{start}{tied}.", *conclusion(compare(same), names.__getitem__)]))
    alone = "One run, or runs on different images: there is nothing to compare."
    return [*sentences, ONE_SEED] if sentences else [alone]
