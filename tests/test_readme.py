"""The training commands and verbs of README and docs run, on small data and with a small network."""

import re
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from documented import COMMANDS, PAGES, overrides_of, parse, read_commands, reason_not_to_run, starting
from test_commands import TINY

from kenyan13 import cli
from kenyan13.analysis.cascade import compose, read_stages
from kenyan13.analysis.saving import save_runs
from kenyan13.config.compose import compose_settings
from kenyan13.config.presets import CONF
from kenyan13.config.settings import Settings
from kenyan13.runs.locate import run_directory
from kenyan13.runs.predictions import read_predictions
from kenyan13.runs.run import read_run
from kenyan13.training.run import train

LENGTH = ["trainer.max_epochs=1", "data.workers=0"]


def small(overrides: list[str]) -> list[str]:
    """Return overrides with the test's network and length in place of their own."""
    unfit = ("model=", "model.", "data.subset", "trainer=", "runs=", "trainer.max_epochs", "trainer.precision")
    kept = [word for word in overrides if not word.startswith(unfit)]
    network = ["model.backbone=test_resnet"] if "freeze.features=cached" in kept else []  # small_cnn has dropout
    folds = ["data.folds=3"]  # the rarest class of the small data set has three images
    return [*kept, *folds, *TINY, *network, "model.pretrained=false", *LENGTH]


@pytest.fixture(scope="module")
def prepared(demo_root: Path, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the data, photographs, classes and runs that the documented commands name."""
    folder = tmp_path_factory.mktemp("prepared")
    images = sorted((demo_root / "images" / "images").iterdir())
    for root in ("data/kenyan13", "data/demo", "dishes"):
        (folder / root).parent.mkdir(exist_ok=True)
        (folder / root).symlink_to(demo_root)
    for k, image in enumerate(images[:20]):
        target = folder / "birds" / ("robin", "wren")[k % 2] / image.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(image, target)
    (folder / "trip").mkdir()
    shutil.copy(images[0], folder / "trip")
    shutil.copy(images[1], folder / "photo.jpg")
    source = re.findall(r"```python\n(.*?)```", PAGES["docs/configuration.md"], flags=re.DOTALL)
    (folder / "my_parts.py").write_text("\n".join(source))
    shared = [*TINY, *LENGTH, f"data.root={demo_root}", f"data.cache={cache}", f"runs={folder}/runs"]
    train(compose_settings([*shared, "data.test=true", "name=NAME"]))
    train(compose_settings([*shared, "optim.lr=1e-3", "name=OTHER"]))
    stages = next(word for one in COMMANDS for word in shlex.split(one) if word.startswith("data.groups="))
    parts = [folder / "runs" / stage for stage in ("first", "meats", "greens")]
    for part in parts:
        train(compose_settings([*shared, stages, f"data.stage={part.name}", f"name={part.name}"]))
    save_runs("whole", [read_run(part) for part in parts], compose(read_stages(parts)).soft)
    for copy in (*(f"GF{letter}" for letter in "ABCDEFG"), "HAA", "HAB", "efficientnet_b4_1", "efficientnet_b4_2"):
        shutil.copytree(folder / "runs" / "NAME", folder / "runs" / copy)
    members = [read_run(folder / "runs" / f"efficientnet_b4_{k}") for k in (1, 2)]
    save_runs("best", members, read_predictions(members[0].folder))
    return folder


@pytest.fixture
def here(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The prepared folder as the current directory and as ~."""
    monkeypatch.chdir(prepared)
    monkeypatch.setenv("HOME", str(prepared))
    monkeypatch.syspath_prepend(str(prepared))
    sys.modules.pop("my_parts", None)
    return prepared


@pytest.mark.parametrize("command", starting("python train.py"))
def test_training_commands_compose(command: str, here: Path) -> None:
    assert isinstance(compose_settings(overrides_of(command)), Settings)


def to_train() -> list[Any]:
    """Return the overrides of training commands, once where only network and length differ.

    Those of other pages than README and configuration are slow tests: they differ in values, and are composed above.
    """
    quick = {*read_commands(PAGES["README.md"]), *read_commands(PAGES["docs/configuration.md"])}
    found: dict[tuple[str, ...], Any] = {}
    for one in sorted(starting("python train.py"), key=lambda one: one.values[0] not in quick):
        command = str(one.values[0])
        marks = [*one.marks, *([] if command in quick else [pytest.mark.slow])]
        overrides = tuple(small(overrides_of(command)))
        found.setdefault(overrides, pytest.param(overrides, marks=marks, id=command))
    return list(found.values())


@pytest.mark.parametrize("overrides", to_train())
def test_training_commands_run(overrides: tuple[str, ...], here: Path, cache: Path, tmp_path: Path) -> None:
    settings = compose_settings([*overrides, f"data.cache={cache}", f"runs={tmp_path}"])
    assert train(settings).status == "finished"
    assert (run_directory(settings) / "predictions.csv").exists()


@pytest.mark.parametrize("command", starting("kenyan13 "))
def test_verbs_run(
    command: str, here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Globs are expanded as a shell does."""
    words = shlex.split(command)
    arguments = [path for word in words[1:] for path in (sorted(map(str, here.glob(word))) if "*" in word else [word])]
    if reason_not_to_run(command):
        parse(cli.app, arguments)
        return
    monkeypatch.setattr(sys, "argv", ["kenyan13", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    printed = capsys.readouterr()
    assert not ended.value.code, printed.out + printed.err


def test_files_of_a_run_are_the_documented_ones(prepared: Path) -> None:
    documented = set(re.findall(r"`([\w./]+)`", PAGES["docs/architecture.md"]))
    written = {file.name for file in (prepared / "runs" / "NAME").iterdir() if not file.name.startswith(".")}
    assert {"config.yaml", "metrics.csv", "result.json", "predictions.csv"} <= written
    assert all(any(name.startswith(known.rstrip("./")) for known in documented) for name in written), written


@pytest.mark.parametrize("experiment", sorted(file.stem for file in (CONF / "experiment").glob("*.yaml")))
def test_every_experiment_runs(experiment: str, demo_root: Path, cache: Path, tmp_path: Path) -> None:
    folders = [f"data.root={demo_root}", f"data.cache={cache}", f"runs={tmp_path}"]
    result = train(compose_settings([f"experiment={experiment}", *LENGTH, *folders]))
    assert (result.epochs, result.status) == (1, "finished")


@pytest.mark.slow
def test_demo_learns_what_the_readme_states(tmp_path: Path) -> None:
    folders = [f"data.root={tmp_path}/demo", f"data.cache={tmp_path}/cache", f"runs={tmp_path}/runs"]
    result = train(compose_settings(["experiment=demo", *folders]))
    assert result.accuracy > 0.5  # chance is 0.077; the README's number is of its own machine
