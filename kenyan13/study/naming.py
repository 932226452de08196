"""The study's names are the study's alone: an experiment's name only for its own settings and data."""

from dataclasses import replace
from pathlib import Path

from kenyan13.config import compose
from kenyan13.config.compose import composed
from kenyan13.config.identity import config_hash, differences, run_name
from kenyan13.config.settings import Settings
from kenyan13.errors import UserError
from kenyan13.study import definitions
from kenyan13.study.dataset import is_other_data
from kenyan13.study.smoke import toy


def register() -> None:
    """Make the study's experiments choices of Hydra's, and their names be checked after each composition."""
    definitions.register()
    if name_experiment not in compose.finishers:
        compose.finishers.append(name_experiment)


def name_experiment(settings: Settings) -> Settings:
    """Return settings whose name and experiment say what they are: the study's experiment only if nothing differs.

    With any setting changed that matters to the result, or on other images than KenyanFood13, the run is named by
    that: CBC_EfficientNetB4_PT5-1a2b3c4d. With smoke=true, the settings are those of the toy run, and its name says so.
    Raises UserError for an experiment's name on another run.
    """
    if settings.experiment is not None:
        reference = composed(f"experiment={settings.experiment}")  # as the study has it
        same = is_same_experiment(settings, reference)
        if not same:
            settings.experiment = None
            if settings.name == reference.name:
                workers = f"-W{settings.data.workers}" if reference.data.workers else ""  # which group A times
                settings.name = f"{reference.name}-{config_hash(settings)}{workers}"
    owner = next((id_ for id_, one in definitions.experiments().items() if one.name == settings.name), None)
    if owner not in (None, settings.experiment):
        raise UserError(f"name={settings.name} is the name of experiment {owner}.", "choose another name=")
    return toy(settings, run_name(settings)) if settings.smoke else settings


def is_same_experiment(settings: Settings, reference: Settings) -> bool:
    """Return whether settings are those of an experiment as the study has it, wherever KenyanFood13 lies on this disk.

    A toy run has images of its own in any case.
    """
    here = Path(settings.data.root).expanduser()
    data = replace(settings.data, root=reference.data.root)
    if settings.smoke:
        data = replace(data, layout=reference.data.layout)
    elif is_other_data(here):
        return False
    if differences(replace(settings, data=data, smoke=False), reference):
        return False
    timed = reference.data.workers  # group A times the loader: what is machine's business elsewhere is the point there
    return timed is None or settings.data.workers == timed
