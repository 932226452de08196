"""Command-line arguments as Hydra can read them: ranges, patterns, paths, and settings that no preset lists.

Imports no torch.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from kenyan13.config.explain import several_runs
from kenyan13.config.presets import CONF
from kenyan13.config.ranges import expand, is_range
from kenyan13.config.settings import BUILT

PATHS = ("data.root", "data.cache", "model.weights", "runs")


def translate(arguments: Sequence[str], sweep: bool = False) -> list[str]:
    """Return arguments for Hydra; those that are no key=value, and quoted values, stay as they are.

    Raises UserError for a range that is none, and, unless it is for a sweep, for one that stands for several runs.

    Paths are quoted, with ~ filled in. optim.lr=1e-6..1e-2 becomes the list of its values, model=vgg* Hydra's glob.
    A part of what Hydra builds may be any argument of its target, so that optim.eps=1e-7 becomes ++optim.eps=1e-7.
    """
    return [translate_one(argument, sweep) for argument in arguments]


def translate_one(argument: str, sweep: bool) -> str:
    """Return one argument for Hydra."""
    match = re.fullmatch(r"([+~]{0,2})([\w./@-]+)=(.+)", argument, flags=re.DOTALL)
    if match is None or argument.startswith("-"):
        return argument
    prefix, key, value = match.groups()
    if key in PATHS:
        value = quoted_path(value)
    elif not re.search(r"[\[\]{}'\"$]", value):
        listed = translate_list(key, value)
        if listed != value and not sweep:
            raise several_runs(f"{key}={value}")
        value = listed
    if not prefix and key.partition(".")[0] in BUILT and "." in key:
        prefix = "++"
    return f"{prefix}{key}={value}"


def quoted_path(value: str) -> str:
    """Return a path with ~ filled in, quoted where Hydra's grammar would not take it; lists and quoted ones stay."""
    if re.search(r"[,'\"$]", value):
        return value
    home = str(Path(value).expanduser())
    return f"'{home}'" if re.search(r"[^\w./\\\\-]", home) else home


def translate_list(key: str, value: str) -> str:
    """Return values with commas between, with ranges as their values, or patterns as Hydra's glob."""
    listed = re.fullmatch(r"choice\(([^()]*)\)", value)
    words = [word.strip() for word in (listed[1] if listed else value).split(",")]
    if any(is_range(key, word) for word in words):
        numbers = [str(number) for word in words for number in (expand(key, word) if is_range(key, word) else [word])]
        return ",".join(numbers)
    if "*" in value and (CONF / key).is_dir():
        return f"glob([{','.join(words)}])"
    return value
