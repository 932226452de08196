"""What the study reported: figures to be shown beside ours and never as ours."""

import csv
import json
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent


@cache
def reference() -> dict[str, dict[str, str]]:
    """Return the study's results by id: min_val_loss, accuracy (percent), overfitting, ...; "" where it gave none."""
    with (FOLDER / "reference.csv").open() as file:
        return {row["id"]: row for row in csv.DictReader(file)}


@cache
def reference_tables() -> dict[str, Any]:
    """Return the study's other tables: loader times, confusion matrices of two stages, ensembles' accuracies."""
    tables: dict[str, Any] = json.loads((FOLDER / "reference_tables.json").read_text())
    return tables
