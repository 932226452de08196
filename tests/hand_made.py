"""Run directories as training leaves them, with given numbers: for tests of what reads runs."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import ascii_lowercase
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import f1_score

from kenyan13.config.compose import compose_settings
from kenyan13.metrics.losses import of_epochs
from kenyan13.runs.config_file import write_config
from kenyan13.runs.locate import run_directory
from kenyan13.runs.predictions import prediction_table, write_predictions
from kenyan13.runs.result import Result, write_metrics, write_result

SECONDS = 2.5  # of each epoch
PARAMETERS = (1000, 100)  # all, and those that train


def hand_made(
    runs: Path,
    overrides: Sequence[str],
    train_losses: Sequence[float],
    validation_losses: Sequence[float],
    targets: Sequence[int],
    probabilities: ArrayLike,
    ids: Sequence[str] | None = None,
    classes: Sequence[str] | None = None,
) -> Path:
    """Write a finished run into a folder of runs, and return its run directory.

    overrides: settings, as on the command line; losses: one an epoch; targets: positions in classes, -1 for an image
    of none; probabilities: [n, classes], at the epoch of the lowest validation loss. ids are 0, 1, 2 and so on, classes
    a, b, c and so on, where they are not given. Every epoch has the accuracy and macro F1 of the predictions, takes 2.5
    seconds and has the rate optim.lr. There are four times as many training images as images to validate, and no
    checkpoints.
    """
    settings = compose_settings([f"runs={runs}", *overrides])
    predicted, places = np.asarray(probabilities, dtype=np.float32), np.asarray(targets, dtype=np.int64)
    names = list(classes or ascii_lowercase[: predicted.shape[1]])
    given = list(ids or map(str, range(len(places))))
    folder = run_directory(settings)
    folder.mkdir(parents=True)
    write_config(folder, settings, describe(names, given, places))
    write_predictions(folder / "predictions.csv", prediction_table(given, names, predicted, places))
    known = places >= 0
    named = predicted.argmax(axis=1)[known]
    macro_f1 = float(f1_score(places[known], named, average="macro", zero_division=0))
    figures = {"val_accuracy": float((named == places[known]).mean()), "val_macro_f1": macro_f1}
    same = {**figures, "lr": settings.optim["lr"], "seconds": SECONDS}
    losses = enumerate(zip(train_losses, validation_losses, strict=True), start=1)
    rows = [{"epoch": epoch, "train_loss": train, "val_loss": loss, **same} for epoch, (train, loss) in losses]
    write_metrics(folder, rows)
    images = int(known.sum())
    made = {**of_epochs(pd.DataFrame(rows)), "train_images": 4 * images, "validation_images": images}
    all_of_them, trained = PARAMETERS
    stopped = f"trainer.max_epochs={settings.trainer['max_epochs']}"
    write_result(
        folder, Result(**made, parameters=all_of_them, trainable_parameters=trained, device="cpu", stopped=stopped)
    )
    return folder


def certain(answers: Sequence[int], certainty: float = 0.8, classes: int = 3) -> list[list[float]]:
    """Return probabilities whose highest is `certainty`, of these answers; the other classes share the rest."""
    rest = (1 - certainty) / (classes - 1)
    return [[certainty if k == answer else rest for k in range(classes)] for answer in answers]


def answering(
    runs: Path, name: str, wrong: str = "", *overrides: str, ids: str = "abcdefghijkl", losses: Sequence[float] = (2, 1)
) -> Path:
    """Write a run of images a, b, c and so on, of three classes in turn, of which it answers `wrong` wrong.

    wrong, ids: a letter an image; all answers have 0.8. losses: those of validation; those of training are all 2.
    """
    targets = [k % 3 for k in range(len(ids))]
    answers = [(target + (id_ in wrong)) % 3 for id_, target in zip(ids, targets, strict=True)]
    given = ["data=demo", f"name={name}", *overrides]
    return hand_made(runs, given, [2.0] * len(losses), losses, targets, certain(answers), list(ids))


def describe(classes: Sequence[str], ids: Sequence[str], targets: NDArray[np.int64]) -> dict[str, Any]:
    """Return what config.yaml says of the data. The digests stand for the validation ids and their labels."""
    validation = digest("validation", *ids, *map(str, targets))
    return {
        "classes": list(classes),
        "train": {"images": 4 * len(ids), "digest": digest("train", *ids)},
        "validation": {"images": len(ids), "digest": validation},
    }


def digest(*texts: str) -> str:
    """Return 16 hex digits that stand for texts."""
    return hashlib.blake2b("\n".join(texts).encode(), digest_size=8).hexdigest()


def composed_correct(stage1: pd.DataFrame, stage2: Mapping[str, pd.DataFrame]) -> int:
    """Return how many images hard gating gets right, from the stages' confusion matrices alone.

    That is the diagonal of stage 1 for classes in no group, and those of the stage-2 matrices without their last rows.
    Raises ValueError when a stage-2 matrix has other numbers of images than stage 1 sent to its group: in all, or
    of the group's own.
    """
    sent = dict(zip(stage1.columns, stage1.to_numpy().sum(axis=0).tolist(), strict=True))
    diagonal = dict(zip(stage1.index, np.diag(stage1.to_numpy()).tolist(), strict=True))
    correct = sum(count for name, count in diagonal.items() if name not in stage2)
    for group, matrix in stage2.items():
        counts = matrix.to_numpy()
        if (sent[group], diagonal[group]) != (counts.sum(), counts[:-1].sum()):
            raise ValueError(f"Stage 1 sent {sent[group]} images to {group}, {diagonal[group]} of them its own.")
        correct += np.trace(counts[:-1, :-1])
    return int(correct)
