"""Which run directories there are in folders, and the newest one."""

from collections.abc import Sequence
from pathlib import Path

from kenyan13.errors import UserError, did_you_mean, shorten
from kenyan13.runs.directory import CONFIG, METRICS, RESULT

RUNS, PATTERN = Path("runs"), f"*/{CONFIG}"  # the default folder of runs, and the run directories in one
NEWEST = "last"  # the short name of the newest run in commands
TRAIN = "train a run first: python train.py; runs are in runs/"


def find_runs(places: Sequence[Path]) -> list[Path]:
    """Return the run directories named, and those in the folders named, in order of names, each once.

    `last` is the newest run. Raises UserError for what is no folder, and where no folder has any.
    """
    found: dict[Path, None] = {}
    for place in map(resolve_newest, places):
        if not place.is_dir():
            others = sorted({str(file.parent) for near in (place.parent, RUNS) for file in near.glob(PATTERN)})
            problem = "is a file, not a run directory" if place.exists() else "does not exist"
            step = f"runs here: {shorten(others)}" if others else TRAIN
            raise UserError(f"{place} {problem}.{did_you_mean(str(place), others)}", step)
        own = (place / CONFIG).is_file()
        found |= dict.fromkeys([place] if own else sorted(file.parent for file in place.glob(PATTERN)))
    if not found:
        near = (file for place in places for file in (*place.glob(f"*/{PATTERN}"), *RUNS.glob(PATTERN)))
        steps = [f"{folder} does" for folder in sorted({file.parent.parent for file in near})[:3]] or [TRAIN]
        raise UserError(f"{shorten(places, 3)} holds no run directories.", *steps)
    return list(found)


def changed(folder: Path) -> float:
    """Return when a run was last written to, in seconds since 1970."""
    files = [folder / name for name in (CONFIG, METRICS, RESULT)]
    return max(file.stat().st_mtime for file in files if file.exists())


def resolve_newest(place: Path) -> Path:
    """Return, for `last`, the run in runs/ that was written to last, unless there is a folder of that name."""
    return max(find_runs([RUNS]), key=changed) if str(place) == NEWEST and not place.exists() else place
