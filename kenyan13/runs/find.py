"""Which run directories there are in folders, and the newest one."""

from collections.abc import Sequence
from pathlib import Path

from kenyan13.errors import UserError, shorten
from kenyan13.runs.directory import CONFIG, METRICS, RESULT

NEWEST = "last"  # the short name of the newest run in commands


def find_runs(places: Sequence[Path]) -> list[Path]:
    """Return the run directories named, and those in the folders named, in order of names, each once.

    Raises UserError for what is no folder, and where no folder has any.
    """
    found: dict[Path, None] = {}
    for place in places:
        if not place.is_dir():
            problem = "is a file, not a run directory" if place.exists() else "does not exist"
            raise UserError(f"{place} {problem}.", "train a run first: python train.py; runs are in runs/")
        own = (place / CONFIG).is_file()
        found |= dict.fromkeys([place] if own else sorted(file.parent for file in place.glob(f"*/{CONFIG}")))
    if not found:
        deeper = sorted({file.parent.parent for place in places for file in place.glob(f"*/*/{CONFIG}")})
        steps = [f"{folder} does" for folder in deeper[:3]] or ["train a run first: python train.py; runs are in runs/"]
        raise UserError(f"{shorten(places, 3)} holds no run directories.", *steps)
    return list(found)


def newest_run(places: Sequence[Path] = (Path("runs"),)) -> Path:
    """Return the run directory in folders that was written to last. Raises UserError where there is none."""
    return max(find_runs(places), key=changed)


def changed(folder: Path) -> float:
    """Return when a run was last written to, in seconds since 1970."""
    files = [folder / name for name in (CONFIG, METRICS, RESULT)]
    return max(file.stat().st_mtime for file in files if file.exists())


def resolve_newest(place: Path) -> Path:
    """Return the newest run for `last`, unless there is a folder of that name; else the place."""
    return newest_run() if str(place) == NEWEST and not place.exists() else place
