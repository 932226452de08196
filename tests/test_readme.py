"""The README's commands work as written, and what it says of choices and files is true."""

import re
import shlex
import shutil
import subprocess
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import typer.main

from kenyan13 import cli
from kenyan13.config.compose import compose_settings
from kenyan13.config.presets import CONF
from kenyan13.config.settings import Settings
from kenyan13.runs.directory import VALIDATION
from kenyan13.runs.locate import run_directory
from kenyan13.study.definitions import experiments
from kenyan13.training.run import train

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```bash\n(.*?)```", README, flags=re.DOTALL)
COMMANDS = [line.split(" #")[0].strip() for block in BLOCKS for line in block.replace("\\\n", " ").splitlines()]
INLINE = re.findall(r"`(python train\.py [^`]*=[^`]*)`", README)
TRAINING = sorted({command for command in [*COMMANDS, *INLINE] if command.startswith("python train.py")})
Compose = Callable[..., Settings]


def overrides_of(command: str) -> list[str]:
    """Return a training command's overrides, each list, range or pattern of a sweep reduced to its first.

    Launchers are left out: they are Hydra's matter, and no part of a run's settings.
    """
    words = [word for word in shlex.split(command)[2:] if word not in ("-m", "--cfg", "job", "--help")]
    words = [word for word in words if not word.startswith(("hydra/", "hydra."))]
    words = [re.sub(r"\$\w+", "there", word) for word in words]
    words = [re.sub(r"=([\d.e-]+?)\.\..*$", r"=\1", word) for word in words]
    return [first_match(re.sub(r"=(\w[\w.-]*),[^=\]]*$", r"=\1", word)) for word in words]


def first_match(word: str) -> str:
    """Replace a pattern by the first choice that it stands for."""
    group, _, pattern = word.partition("=")
    if "*" not in pattern:
        return word
    choices = [*experiments()] if group == "experiment" else sorted(file.stem for file in (CONF / group).glob("*.yaml"))
    return f"{group}={next(choice for choice in choices if fnmatch(choice, pattern))}"


def test_the_readme_has_commands_to_test() -> None:
    assert not re.search(r"@[A-Z]+@", README), "a figure that was never filled in"
    assert len(TRAINING) >= 5
    assert any("experiment=" in command or "make demo" in command for command in COMMANDS)


@pytest.mark.parametrize("command", TRAINING)
def test_training_commands_run(command: str, compose: Compose, tmp_path: Path, demo_root: Path) -> None:
    """Each as written but for the images, a network, crop and length that are fit for a test, and compiling."""
    given = overrides_of(command)
    assert isinstance(compose_settings(given), Settings)
    kept = [
        word
        for word in given
        if not word.startswith(("model=", "model.", "data=", "data.root", "runs=", "data.cache", "model.compile"))
    ]
    if "data=folder" in given:
        for name in ("robin", "wren"):
            (tmp_path / "birds" / name).mkdir(parents=True)
        for k, image in enumerate(sorted((demo_root / "images" / "images").iterdir())[:20]):
            shutil.copy(image, tmp_path / "birds" / ("robin", "wren")[k % 2])
        kept += ["data=folder", f"data.root={tmp_path}/birds"]
    if "freeze.features=cached" in given:  # which the small CNN's dropout forbids
        kept += ["model.backbone=test_resnet", "model.pretrained=false"]
    settings = compose(*kept, "name=readme", "trainer.max_epochs=1")
    result = train(settings)
    assert result.status == "finished"
    assert (run_directory(settings) / VALIDATION).exists()


@pytest.mark.parametrize("command", sorted({c for c in COMMANDS if c.startswith("make ")}))
def test_make_targets_exist(command: str) -> None:
    done = subprocess.run([*shlex.split(command), "--dry-run"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", sorted({c for c in COMMANDS if c.startswith("kenyan13 ")}))
def test_commands_have_the_arguments_that_are_written(command: str) -> None:
    name, *arguments = shlex.split(command)[1:]
    subcommand: Any = typer.main.get_command(cli.app).get_command(None, name)  # type: ignore[attr-defined]
    assert subcommand is not None
    if hasattr(subcommand, "commands"):  # as in: kenyan13 study list
        name, *arguments = arguments
        subcommand = subcommand.commands[name]
    context = subcommand.make_context(name, arguments)
    assert str(context.params.get("run", "runs/")).startswith("runs/")


@pytest.mark.parametrize("experiment", sorted(file.stem for file in (CONF / "experiment").glob("*.yaml")))
def test_every_experiment_runs(experiment: str, demo_root: Path, cache: Path, tmp_path: Path) -> None:
    short = [
        "trainer.max_epochs=1",
        "data.workers=0",
        f"data.root={demo_root}",
        f"data.cache={cache}",
        f"runs={tmp_path}",
    ]
    result = train(compose_settings([f"experiment={experiment}", *short]))
    assert (result.epochs, result.status) == (1, "finished")


@pytest.mark.slow
def test_demo_learns_what_the_readme_states(tmp_path: Path) -> None:
    place = [f"data.root={tmp_path}/demo", f"data.cache={tmp_path}/cache", f"runs={tmp_path}/runs"]
    result = train(compose_settings(["experiment=demo", *place]))
    assert result.accuracy > 0.5  # chance is 0.077; the README's figure is of its own machine


def test_links_and_figures_are_there() -> None:
    headings = {re.sub(r"[^a-z0-9 -]", "", line.lower()).strip().replace(" ", "-") for line in README.splitlines()}
    for target in re.findall(r"\]\(([^)]+)\)", README):
        if target.startswith("#"):
            assert target[1:] in headings, target
        elif not target.startswith("http"):
            assert (ROOT / target).stat().st_size < 100_000, target
    assert len(re.findall(r"!\[[^]]{20,}\]\(docs/\w+\.png\)", README)) == 3  # figures, with alt texts


def test_table_of_choices_is_complete() -> None:
    rows = dict(re.findall(r"^\| `(\w+)=` \| ([^|]*) \|", README, flags=re.MULTILINE))
    assert set(rows) == {folder.name for folder in CONF.iterdir() if folder.is_dir() and folder.name != "hydra"}
    for group, choices in rows.items():
        named = set(re.findall(r"`(\w+)`", choices))
        present = {file.stem for file in (CONF / group).glob("*.yaml")}
        assert named <= present
        if group == "model":
            named |= set(re.findall(r"`(\w+)`", README)) | {f"efficientnet_b{k}" for k in range(8)}
        assert present <= named, f"not in the README: {sorted(present - named)}"


def test_files_of_a_run_are_the_documented_ones(compose: Compose) -> None:
    settings = compose("trainer.max_epochs=1", "callbacks.tensorboard.graph=true")
    train(settings)
    table = README.partition("## The run directory")[2].partition("## Measured")[0]
    documented = set(re.findall(r"`([\w./]+)`", table))
    written = {file.name for file in run_directory(settings).iterdir() if not file.name.startswith(".")}
    assert {"config.yaml", "metrics.csv", "result.json", "predictions.csv"} <= written
    assert all(any(name.startswith(known.rstrip("./")) for known in documented) for name in written), written
