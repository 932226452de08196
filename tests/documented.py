"""The commands of README and docs, and what tests do in place of those that cannot run everywhere."""

import re
import shlex
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import typer.main

from kenyan13.config.presets import CONF
from kenyan13.study.definitions import experiments

ROOT = Path(__file__).parent.parent
PAGES = {path.relative_to(ROOT).as_posix(): path.read_text() for path in [ROOT / "README.md", *ROOT.glob("docs/*.md")]}

# Only the arguments are checked. Pattern of the command -> why it is not run.
ONLY_PARSED = {
    "kenyan13 ensemble runs/efficientnet_b": "needs ten runs; tests/test_ensemble_command.py makes them",
    "kenyan13 best": "trains for hours; tests/test_best.py does it with tiny networks",
    "kenyan13 export": "takes long; tests/export/test_write.py and test_web.py do it with tiny networks",
    "kenyan13 serve": "answers until it is ended; tests/export/test_serve.py asks it",
    "kenyan13 predict .*--(explain|coverage)": "needs an exported run; tests/export/test_write.py has one",
    "kenyan13 study verify": "fails where a group has not been trained; tests/study/test_verify.py has one",
    "kenyan13 lr-find": "needs ImageNet weights; tests/test_lr_find.py trains a network without",
    "kenyan13 probe": "needs ImageNet weights; tests/test_probe.py probes networks without",
    "python scripts/download": "needs the network; tests/scripts/test_download.py has a server of its own",
    "python scripts/benchmark": "takes a minute; tests/scripts/test_benchmark.py runs it on few images",
}
# Make's targets set up .venv first, which needs the network: `make --dry-run` shows that the target is there.
# Sweeps are reduced to their first run, and launchers left out: tests/test_sweeps.py and tests/test_launchers.py.


def read_commands(text: str) -> list[str]:
    """Return the lines of a page's bash blocks without their comments."""
    blocks = re.findall(r"```bash\n(.*?)```", text, flags=re.DOTALL)
    lines = [re.split(r"\s+#\s", line)[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line]


COMMANDS = sorted({command for text in PAGES.values() for command in read_commands(text)})


def starting(*starts: str) -> list[Any]:
    """Return the documented commands that start so, as parameters of a test."""
    # twelve compositions, and the plots of all runs: eight and twenty seconds; tests/report has smaller reports
    slow = {one for one in COMMANDS if one.startswith(("kenyan13 study table", "kenyan13 report"))}
    return [pytest.param(one, marks=[pytest.mark.slow] * (one in slow)) for one in COMMANDS if one.startswith(starts)]


def reason_not_to_run(command: str) -> str | None:
    """Return why only a command's arguments are checked; None where it is run."""
    return next((why for pattern, why in ONLY_PARSED.items() if re.match(pattern, command)), None)


def overrides_of(command: str) -> list[str]:
    """Return a training command's overrides, each list, range or pattern of a sweep reduced to its first."""
    words = [word for word in shlex.split(command)[2:] if not word.startswith(("-", "hydra/", "hydra."))]
    words = [re.sub(r"\$(DATA|WEIGHTS)", "data/kenyan13", word) for word in words if word != "job"]
    words = [re.sub(r"=([\d.e-]+?)\.\..*$", r"=\1", word) for word in words]
    return [first_match(re.sub(r"=(\w[\w.-]*),[^=\]]*$", r"=\1", word)) for word in words]


def first_match(word: str) -> str:
    """Replace a pattern by the first choice that it stands for."""
    group, _, pattern = word.partition("=")
    if "*" not in pattern:
        return word
    choices = [*experiments()] if group == "experiment" else sorted(file.stem for file in (CONF / group).glob("*.yaml"))
    return f"{group}={next(choice for choice in choices if fnmatch(choice, pattern))}"


def parse(app: typer.Typer, arguments: list[str]) -> None:
    """Check the arguments of a command, and those of a command of a group such as `study`."""
    command: Any = typer.main.get_command(app)
    while hasattr(command, "commands"):
        name, *arguments = arguments
        command = command.commands[name]
    if "--help" not in arguments:
        command.make_context("", arguments)
