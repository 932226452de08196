"""The study's names are the study's alone: an experiment's name only for its own settings and data."""

import csv
from collections import Counter
from dataclasses import replace
from pathlib import Path

from kenyan13.config import compose
from kenyan13.config.compose import composed
from kenyan13.config.identity import config_hash, differences
from kenyan13.config.settings import Settings
from kenyan13.errors import UserError
from kenyan13.study.definitions import experiments

# Labelled images of KenyanFood13, by class.
TRAIN_ROWS = {
    "bhaji": 632, "chapati": 862, "githeri": 479, "kachumbari": 494, "kukuchoma": 173, "mandazi": 620,
    "masalachips": 438, "matoke": 483, "mukimo": 212, "nyamachoma": 784, "pilau": 329, "sukumawiki": 402, "ugali": 628,
}  # fmt: skip


def name_experiment(settings: Settings) -> Settings:
    """Return settings whose name and experiment say what they are: the study's experiment only if nothing differs.

    With any setting changed that matters to the result, or on other images than KenyanFood13, the run is named by
    that: CBC_EfficientNetB4_PT5-1a2b3c4d. Raises UserError for an experiment's name on another run.
    """
    if settings.experiment is not None:
        reference = composed(f"experiment={settings.experiment}")  # as the study has it, wherever its images lie
        there = replace(settings, data=replace(settings.data, root=reference.data.root))
        # group A times the loader: what is the machine's business elsewhere is the point there
        timed = reference.data.workers in (None, settings.data.workers)
        root = Path(settings.data.root).expanduser()
        if not timed or differences(there, reference) or is_other_data(root):
            settings.experiment = None
            if settings.name == reference.name:
                settings.name = f"{reference.name}-{config_hash(settings)}"
    owner = next((id_ for id_, one in experiments().items() if one.name == settings.name), None)
    if owner not in (None, settings.experiment):
        raise UserError(f"name={settings.name} is the name of experiment {owner}.", "choose another name=")
    return settings


def is_other_data(root: Path) -> bool:
    """Return whether root/train.csv is there and lists other images than KenyanFood13's, counted class by class."""
    try:
        with (root / "train.csv").open(newline="") as file:
            classes = Counter((row.get("class") or "").strip() for row in csv.DictReader(file, skipinitialspace=True))
    except (OSError, UnicodeDecodeError, csv.Error):
        return False  # reading it for training will say what is wrong
    return classes != Counter(TRAIN_ROWS)


compose.finishers.append(name_experiment)  # when this module is imported, also in a launcher's processes
