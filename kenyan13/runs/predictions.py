"""A run's class probabilities, as CSV and as a table by image id: ensembles, comparisons and reports are made from it.

The table has the index `id`, and the columns `target` (the class by name, "" for an image without label or of no class
of the run) and one a class, in the run's order, with probabilities 0..1.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import f1_score

from kenyan13.errors import UserError
from kenyan13.metrics.classification import reliability, top_accuracy
from kenyan13.runs.directory import TEST, VALIDATION, replacing

NOT_CLASSES = ("id", "target", "predicted")


def read_predictions(folder: Path, name: str = VALIDATION) -> pd.DataFrame:
    """Read a run's predictions of the validation (or TEST) images.

    Raises UserError when there are none, or the file is damaged.
    """
    file = folder / name
    try:
        table = pd.read_csv(file, dtype=dict.fromkeys(NOT_CLASSES, str), keep_default_na=False).set_index("id")
        classes = [column for column in table.columns if column not in NOT_CLASSES]
        made = prediction_table(table.index, classes, table[classes].to_numpy(np.float64), table.get("target", ""))
        if not np.isfinite(probabilities_of(made)).all():
            raise ValueError("not all probabilities are numbers")
        if not file.read_bytes().endswith(b"\n"):
            raise ValueError("its last row is torn")
        if not made.index.is_unique:
            raise ValueError(f"the id {made.index[made.index.duplicated()][0]} occurs twice")
        if strange := set(made["target"]) - {"", *classes}:
            raise ValueError(f"there is no column of probabilities for the target {min(strange)}")
        return made
    except FileNotFoundError:
        step = "kenyan13 predict RUN --test makes it" if name == TEST else "it is written while the run is trained"
        raise UserError(f"There is no {file}.", step) from None
    except (ValueError, KeyError, OSError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise UserError(f"{file} is damaged: {str(error).splitlines()[0]}", "train the run again") from None


def prediction_table(
    ids: Sequence[str] | pd.Index,
    classes: Sequence[str],
    probabilities: NDArray[np.floating],
    targets: str | Sequence[str] | NDArray[np.int64] | pd.Series = "",
) -> pd.DataFrame:
    """Return a table of predictions. probabilities: [n, classes].

    targets: n names, "" for none; or int64 [n], indices into the classes, -1 for none.
    """
    table = pd.DataFrame(probabilities, index=pd.Index(list(ids), name="id"), columns=list(classes))
    if isinstance(targets, np.ndarray):
        targets = np.array([*classes, ""])[targets].tolist()
    table.insert(0, "target", targets)
    return table


def classes_of(table: pd.DataFrame) -> tuple[str, ...]:
    """Return the classes of a table of predictions, in the run's order."""
    return tuple(table.columns[1:])


def targets_of(table: pd.DataFrame) -> NDArray[np.int64]:
    """Return the targets as indices into the classes, int64 [n]; -1 for images without one."""
    return pd.Index(classes_of(table)).get_indexer(pd.Index(table["target"])).astype(np.int64)


def probabilities_of(table: pd.DataFrame) -> NDArray[np.float64]:
    """Return the probabilities, float64 [n, classes]."""
    return table[list(classes_of(table))].to_numpy()


def predicted_of(table: pd.DataFrame) -> NDArray[np.str_]:
    """Return the most probable classes by name, [n]."""
    names: NDArray[np.str_] = np.array(classes_of(table)).take(probabilities_of(table).argmax(axis=1))
    return names


def labelled(table: pd.DataFrame) -> pd.DataFrame:
    """Return the predictions of those images that have a target."""
    return table[table["target"] != ""]


def confusion_of(table: pd.DataFrame, *others: str) -> pd.DataFrame:
    """Return the confusion matrix (rows: targets, columns: predictions) of predictions, with the classes' names.

    others: targets that are no class of the run, and never predicted: their columns, as the study's, are all zeros.
    """
    names = [*classes_of(table), *others]
    counts = pd.crosstab(table["target"].to_numpy(), predicted_of(table))
    return counts.reindex(index=names, columns=names, fill_value=0).rename_axis(None).rename_axis(None, axis=1)


def scores(table: pd.DataFrame) -> dict[str, Any]:
    """Return loss (mean cross entropy), accuracy, macro_f1, top2_accuracy, calibration_error (0..1) and images (n).

    table: predictions of images that have a target.
    """
    targets, probabilities = targets_of(table), probabilities_of(table)
    right, predicted = probabilities[np.arange(len(targets)), targets], probabilities.argmax(axis=1)
    f1 = f1_score(targets, predicted, average="macro", zero_division=0)
    loss = -np.log(np.maximum(right, 1e-12)).mean()  # a probability may be rounded to 0
    return {
        "loss": float(loss), "accuracy": float((predicted == targets).mean()), "macro_f1": float(f1),
        "top2_accuracy": top_accuracy(targets, probabilities), "images": len(table),
        "calibration_error": reliability(targets, probabilities).error,
    }  # fmt: skip


def average(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return the mean of several runs' predictions of each image, over the runs that have predicted it, float32.

    Raises UserError for runs of other classes.
    """
    if len({classes_of(table) for table in tables}) > 1:
        raise UserError("These runs have not all the same classes.", "combine runs of the same classes")
    images = pd.concat(tables).groupby(level=0, sort=False)
    means = images[list(classes_of(tables[0]))].mean().astype(np.float32)
    return pd.concat([images["target"].first(), means], axis=1)


def gate(first: pd.DataFrame, second: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Return the predictions of two stages together: p(class) = p(group) x p(class | group), float32.

    first: of classes and groups; second: group -> of its classes, of the same images. Classes come by name.
    """
    names, targets = classes_of(first), first["target"]
    parts = [second[name].drop(columns="target").mul(first[name], axis=0) if name in second else first[[name]]
             for name in names]  # fmt: skip
    made = pd.concat(parts, axis=1).sort_index(axis=1).astype(np.float32)
    for name, table in second.items():
        targets = targets.where(targets != name, table["target"])
    made.insert(0, "target", targets)
    return made


def write_predictions(file: Path, table: pd.DataFrame) -> None:
    """Write predictions as CSV: an image a row, its target, what is predicted, the probabilities.

    Nine digits give each float32 back exactly. Where no image has a target, there is no such column.
    """
    written = table.copy()
    written.insert(1, "predicted", predicted_of(table))
    if not (table["target"] != "").any():
        written = written.drop(columns="target")
    with replacing(file) as temporary:
        written.to_csv(temporary, float_format="%.9g")


def write_submission(file: Path, ids: Sequence[str], names: Sequence[str] | NDArray[np.str_]) -> None:
    """Write `id,class`, as the competition wants it; folders above the file are made. Raises UserError for a folder."""
    if file.is_dir():
        raise UserError(f"{file} is a folder.", f"name a file: --output {file / 'submission.csv'}")
    file.parent.mkdir(parents=True, exist_ok=True)
    with replacing(file) as temporary:
        pd.DataFrame({"id": ids, "class": names}).to_csv(temporary, index=False)
