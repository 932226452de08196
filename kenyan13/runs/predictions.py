"""A run's saved class probabilities, as CSV: what ensembles, cascades, tables and figures are made from."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kenyan13.errors import UserError
from kenyan13.runs.directory import replacing

VALIDATION, TEST = "predictions.csv", "predictions_test.csv"
NOT_CLASSES = ("id", "target", "predicted")


@dataclass(frozen=True)
class Saved:
    """Saved predictions, a row an image.

    ids: n texts; targets: int64 [n], positions in `classes`, -1 for images without label or of no class of the run;
    probabilities: float64 [n, classes].
    """

    ids: tuple[str, ...]
    classes: tuple[str, ...]
    targets: NDArray[np.int64]
    probabilities: NDArray[np.float64]


def read_predictions(folder: Path, name: str = VALIDATION) -> Saved:
    """Read a run's predictions of the validation (or TEST) images.

    Raises UserError when there are none, or the file is damaged.
    """
    file = folder / name
    try:
        table = pd.read_csv(file, dtype=dict.fromkeys(NOT_CLASSES, str), keep_default_na=False)
        classes = tuple(str(column) for column in table.columns if column not in NOT_CLASSES)
        places = {name: place for place, name in enumerate(classes)} | {"": -1}
        names = table["target"] if "target" in table else [""] * len(table)
        targets = np.array([places[name] for name in names], dtype=np.int64)
        probabilities = table[list(classes)].to_numpy(np.float64)
        return Saved(tuple(table["id"]), classes, targets, probabilities)
    except FileNotFoundError:
        step = "kenyan13 predict RUN --test makes it" if name == TEST else "it is written while the run is trained"
        raise UserError(f"There is no {file}.", step) from None
    except (ValueError, KeyError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise UserError(f"{file} is damaged: {str(error).splitlines()[0]}", "train the run again") from None


def write_predictions(
    folder: Path,
    ids: Sequence[str],
    classes: Sequence[str],
    targets: NDArray[np.int64],
    probabilities: NDArray[np.float32],
    name: str = VALIDATION,
) -> None:
    """Write predictions.csv: one row a validation image, its class by name, what was predicted, the probabilities.

    targets: positions in classes; -1 for an image of none of them, whose target is left empty. name: another file's.
    """
    table = probability_table(ids, classes, probabilities)
    table.insert(1, "target", np.array([*classes, ""])[targets])
    write_table(folder / name, table)


def write_test_predictions(
    folder: Path, ids: Sequence[str], classes: Sequence[str], probabilities: NDArray[np.float32]
) -> None:
    """Write predictions_test.csv: as predictions.csv, without targets."""
    write_table(folder / TEST, probability_table(ids, classes, probabilities))


def probability_table(ids: Sequence[str], classes: Sequence[str], probabilities: NDArray[np.float32]) -> pd.DataFrame:
    """Return id, predicted class by name, and a column of probabilities a class."""
    table = pd.DataFrame(probabilities, columns=list(classes))
    table.insert(0, "predicted", np.array(classes)[probabilities.argmax(axis=1)])
    table.insert(0, "id", ids)
    return table


def write_table(file: Path, table: pd.DataFrame) -> None:
    """Write a table as CSV; nine digits give each float32 back exactly."""
    with replacing(file) as temporary:
        table.to_csv(temporary, index=False, float_format="%.9g")


def write_submission(file: Path, ids: Sequence[str], names: Sequence[str] | NDArray[np.str_]) -> None:
    """Write `id,class`, as the competition wants it; folders above the file are made. Raises UserError for a folder."""
    if file.is_dir():
        raise UserError(f"{file} is a folder.", f"name a file: --output {file / 'submission.csv'}")
    file.parent.mkdir(parents=True, exist_ok=True)
    with replacing(file) as temporary:
        pd.DataFrame({"id": ids, "class": names}).to_csv(temporary, index=False)
