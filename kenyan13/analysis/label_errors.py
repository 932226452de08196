"""Which labels are likely wrong, by probabilities of runs that were not trained on the images."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from kenyan13.errors import UserError
from kenyan13.runs.directory import OUT_OF_FOLD
from kenyan13.runs.predictions import average, classes_of, labelled, probabilities_of, read_predictions, targets_of
from kenyan13.runs.run import Run


def rank_labels(runs: Sequence[Run]) -> tuple[pd.DataFrame, int]:
    """Return the images by id, the likeliest wrong label first, and how many cleanlab counts as wrong.

    probable: the most probable other class; quality: cleanlab's self-confidence, 0..1, low for labels that are likely
    wrong (docs/data-check.md compares it with others); like_label, like_probable: ids of the image of either class that
    the runs name rightly and take for most alike. Probabilities are means over the runs that were not trained on the
    image: of validation, and of head=linear out of fold. Raises UserError for runs of other classes or without
    predictions.
    """
    from cleanlab.count import num_label_issues
    from cleanlab.rank import get_label_quality_scores

    files = [(run, name) for run in runs for name in ("predictions.csv", OUT_OF_FOLD) if (run.folder / name).is_file()]
    if not files:
        raise UserError("These runs have no predictions.", "train them to the end of an epoch, best in folds")
    table = labelled(average([read_predictions(run.folder, name) for run, name in files]))
    probabilities, targets, classes = probabilities_of(table), targets_of(table), np.array(classes_of(table))
    others = probabilities.copy()
    others[np.arange(len(table)), targets] = -1
    probable, right = others.argmax(axis=1), others.max(axis=1) < probabilities[np.arange(len(table)), targets]

    def nearest(wanted: int, row: int) -> str:
        rows = np.flatnonzero(right & (targets == wanted) & (np.arange(len(table)) != row))
        distances = np.square(probabilities[rows] - probabilities[row]).sum(axis=1)
        return str(table.index[rows[distances.argmin()]]) if len(rows) else ""

    ranked = pd.DataFrame({
        "label": table["target"], "probable": classes[probable],
        "quality": get_label_quality_scores(targets, probabilities, method="self_confidence"),
        "p_probable": others.max(axis=1),
        "like_label": [*map(nearest, targets, range(len(table)))],
        "like_probable": [*map(nearest, probable, range(len(table)))],
    })  # fmt: skip
    return ranked.sort_values("quality", kind="stable"), num_label_issues(targets, probabilities)
