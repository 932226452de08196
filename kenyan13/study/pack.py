"""`kenyan13 study pack`: what a group's tables are made from, in one archive without photographs and networks."""

from collections.abc import Sequence
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

from kenyan13.errors import UserError
from kenyan13.runs.directory import CONFIG, METRICS, RESULT, SOFT, TEST, VALIDATION, replacing
from kenyan13.study.group_tables import runs_of_settings

FILES = (CONFIG, METRICS, RESULT, VALIDATION, TEST, SOFT)


def pack(letter: str, overrides: Sequence[str], file: Path) -> int:
    """Write the runs' settings, metrics and predictions into a zip archive; returns how many runs there are.

    Unpacked, they are run directories: study table and study verify take them as runs=DIR. Raises UserError where there
    is none.
    """
    runs = runs_of_settings(letter, overrides)[2]
    if not runs:
        raise UserError(f"There are no runs of group {letter}.", f"make reproduce-group-{letter} makes them")
    with replacing(file) as temporary, ZipFile(temporary, "w", ZIP_DEFLATED) as archive:
        for run in runs.values():
            for name in [*FILES, *(one.name for one in run.folder.glob("confusion_*.csv"))]:
                if (run.folder / name).is_file():
                    archive.write(run.folder / name, f"{run.folder.name}/{name}")
    return len(runs)
