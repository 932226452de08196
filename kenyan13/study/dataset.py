"""The data set of the study: its classes, and how to know it again wherever it lies."""

import csv
from collections import Counter
from pathlib import Path

# Rows of the competition's train.csv a class (study, Data).
TRAIN_ROWS = {
    "bhaji": 632, "chapati": 862, "githeri": 479, "kachumbari": 494, "kukuchoma": 173, "mandazi": 620,
    "masalachips": 438, "matoke": 483, "mukimo": 212, "nyamachoma": 784, "pilau": 329, "sukumawiki": 402, "ugali": 628,
}  # fmt: skip


def is_other_data(root: Path) -> bool:
    """Return whether root/train.csv is there and lists other images than KenyanFood13's, counted class by class."""
    try:
        with (root / "train.csv").open(newline="") as file:
            classes = Counter((row.get("class") or "").strip() for row in csv.DictReader(file, skipinitialspace=True))
    except (OSError, UnicodeDecodeError, csv.Error):
        return False  # reading it for training will say what is wrong
    return classes != Counter(TRAIN_ROWS)
