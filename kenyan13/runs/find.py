"""Which run directories there are in folders, and the newest one."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from kenyan13.errors import UserError
from kenyan13.runs.directory import CONFIG, METRICS, RESULT

NEWEST = "last"  # the short name of the newest run in commands


def find_runs(places: Sequence[Path]) -> list[Path]:
    """Return the run directories named, and those in the folders named, in order of names, each once.

    Raises UserError for a place that is none and has none.
    """
    found: dict[Path, None] = {}
    for place in places:
        inside = [place] if (place / CONFIG).is_file() else sorted(file.parent for file in place.glob(f"*/{CONFIG}"))
        if not inside:
            there = {True: "is a file, not a run directory", False: "does not exist"}
            problem = "holds no run directories" if place.is_dir() else there[place.exists()]
            deeper = sorted({file.parent.parent for file in place.glob(f"*/*/{CONFIG}")})
            raise UserError(
                f"{place} {problem}.",
                *(f"{folder} does" for folder in deeper[:3]),
                "train a run first: python train.py; runs are in runs/",
            )
        found |= dict.fromkeys(inside)
    return list(found)


def newest_run(places: Sequence[Path] = (Path("runs"),)) -> Path:
    """Return the run directory in folders that was written to last. Raises UserError where there is none."""
    return max(find_runs(places), key=changed)


def changed(folder: Path) -> float:
    """Return when a run was last written to, in seconds since 1970."""
    return max(file.stat().st_mtime for file in existing(folder, (CONFIG, METRICS, RESULT)))


def existing(folder: Path, names: Sequence[str]) -> Iterator[Path]:
    """Yield those files of a folder that are there."""
    yield from (folder / name for name in names if (folder / name).exists())


def resolve_newest(place: Path) -> Path:
    """Return the newest run for `last`, unless there is a folder of that name; else the place."""
    return newest_run() if str(place) == NEWEST and not place.exists() else place
