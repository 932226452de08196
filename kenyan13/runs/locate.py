"""Where a run's directory is: below `runs`, under its name, or under the name that an earlier version gave it."""

from pathlib import Path

from kenyan13.config.identity import differences, run_name
from kenyan13.config.settings import Settings
from kenyan13.errors import UserError
from kenyan13.runs.directory import CONFIG, load_settings


def run_directory(settings: Settings) -> Path:
    """Return the folder that the run writes into, or has been written into by an earlier version."""
    folder = Path(settings.runs) / run_name(settings)
    if settings.name or folder.exists():
        return folder
    return earlier_directory(settings) or folder


def earlier_directory(settings: Settings) -> Path | None:
    """Return the directory of the same run under its name of before 2026-11-25, backbone_ptLEVEL-HASH; or None."""
    backbone = settings.model.backbone.split(".")[0].replace("/", "_")
    for config in sorted(Path(settings.runs).glob(f"{backbone}_pt{settings.freeze.get('level')}-????????/{CONFIG}")):
        try:
            if not differences(load_settings(config), settings):
                return config.parent
        except UserError:  # damaged: it is no run to go on with
            continue
    return None
