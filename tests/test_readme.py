"""README and docs: every command works, every link resolves, and what they say of choices and files is true."""

import importlib
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from fnmatch import fnmatch
from importlib.metadata import entry_points
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
PAGES = {path.relative_to(ROOT).as_posix(): path.read_text() for path in [ROOT / "README.md", *ROOT.glob("docs/*.md")]}
Compose = Callable[..., Settings]

# What is documented already and comes with other branches; to be emptied when they are merged.
PENDING = ("kenyan13 contact-sheets", "debug=smoke")
PENDING_PAGES = ("docs/report.md",)

# Only the arguments are checked. Pattern of the command -> why it is not run.
ONLY_PARSED = {
    "kenyan13 bench trainer=gpu": "needs a GPU",
    "kenyan13 ensemble .* --weights": "needs ten runs; tests/analysis/test_ensemble_weights.py makes them",
    "python scripts/download": "needs the network; tests/scripts/test_download.py has a server of its own",
    "python scripts/benchmark": "takes a minute; tests/scripts/test_benchmark.py runs it on few images",
}
# Make's targets set up .venv first, which needs the network: `make --dry-run` shows that the target is there.
# Sweeps are reduced to their first run, and launchers left out: tests/test_sweeps.py and tests/test_launchers.py.
# What training does with images is of the test's small data set, network and length.
LENGTH = ["trainer.max_epochs=1", "data.workers=0"]
NETWORK = [
    "model=small_cnn",
    "model.crop=32",
    "model.batch_size=16",
    "trainer=cpu",
    "callbacks.tensorboard.graph=false",
]


def read_commands(text: str) -> list[str]:
    """Return the lines of a page's bash blocks without their comments."""
    blocks = re.findall(r"```bash\n(.*?)```", text, flags=re.DOTALL)
    lines = [re.split(r"\s+#\s", line)[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line]


COMMANDS = sorted({command for text in PAGES.values() for command in read_commands(text)})


def starting(*starts: str) -> list[Any]:
    """Return the documented commands that start so, as parameters of a test."""
    skip = pytest.mark.skip(reason="comes with another branch")
    marks = {one: [skip] for one in COMMANDS if any(re.search(word, one) for word in PENDING)}
    marks["kenyan13 study table C"] = [pytest.mark.slow]  # composes twelve experiments twice: eight seconds
    return [pytest.param(one, marks=marks.get(one, [])) for one in COMMANDS if one.startswith(starts)]


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


def small(overrides: list[str]) -> list[str]:
    """Return overrides with the test's network and length in place of their own."""
    unfit = ("model=", "model.", "data.subset", "trainer=", "runs=", "trainer.max_epochs", "trainer.precision")
    kept = [word for word in overrides if not word.startswith(unfit)]
    network = ["model.backbone=test_resnet"] if "freeze.features=cached" in kept else []  # small_cnn has dropout
    folds = ["data.folds=3"]  # the rarest class of the small data set has three images
    return [*kept, *folds, *NETWORK, *network, "model.pretrained=false", *LENGTH]


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
    shared = [*NETWORK, *LENGTH, f"data.root={demo_root}", f"data.cache={cache}", f"runs={folder}/runs"]
    train(compose_settings([*shared, "data.test=true", "name=NAME"]))
    train(compose_settings([*shared, "optim.lr=1e-3", "name=OTHER"]))
    stages = next(word for one in COMMANDS for word in shlex.split(one) if word.startswith("data.groups="))
    for stage in ("first", "meats", "greens"):
        train(compose_settings([*shared, stages, f"data.stage={stage}", f"name={stage}"]))
    for copy in (*(f"GF{letter}" for letter in "ABCDEFG"), "HAA", "HAB", "efficientnet_b4_1", "efficientnet_b4_2"):
        shutil.copytree(folder / "runs" / "NAME", folder / "runs" / copy)
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
    """Globs are expanded as a shell does; bench is of a small network."""
    words = shlex.split(command)
    arguments = [path for word in words[1:] for path in (sorted(map(str, here.glob(word))) if "*" in word else [word])]
    if reason_not_to_run(command):
        parse(cli.app, arguments)
        return
    if words[1] == "bench":
        arguments = [*(word for word in arguments if not word.startswith("model=")), "model=small_cnn", "--quick"]
    monkeypatch.setattr(sys, "argv", ["kenyan13", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    printed = capsys.readouterr()
    assert not ended.value.code, printed.out + printed.err


def parse(app: typer.Typer, arguments: list[str]) -> None:
    """Check the arguments of a command, and those of a command of a group such as `study`."""
    command: Any = typer.main.get_command(app)
    while hasattr(command, "commands"):
        name, *arguments = arguments
        command = command.commands[name]
    if "--help" not in arguments:
        command.make_context("", arguments)


@pytest.mark.parametrize("command", starting("python scripts/"))
def test_scripts_take_the_documented_arguments(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert reason_not_to_run(command)
    script, *arguments = shlex.split(command)[1:]
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    parse(importlib.import_module(Path(script).stem).app, arguments)


@pytest.mark.parametrize("command", starting("make "))
def test_make_targets_exist(command: str) -> None:
    done = subprocess.run([*shlex.split(command), "--dry-run"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", starting("tensorboard ", "mlflow "))
def test_programs_of_other_packages_are_installed(command: str) -> None:
    """They are servers that run until they are ended."""
    assert entry_points(group="console_scripts", name=command.split()[0])


def test_no_other_commands() -> None:
    known = ("python train.py", "python scripts/", "kenyan13 ", "make ", "tensorboard ", "mlflow ")
    others = {command for command in COMMANDS if not command.startswith(known)}
    assert others == {"source .venv/bin/activate", "pip install mlflow"}  # the environment's own, and the network


@pytest.mark.parametrize("page", PAGES)
def test_choices_in_texts_are_there(page: str) -> None:
    for group, choice in re.findall(r"(?<![\w./_])([\w/]+)=(\w+)\b(?!\*)", PAGES[page]):
        folder = CONF / ("hydra/launcher" if group == "hydra/launcher" else group)
        if folder.is_dir():
            assert (folder / f"{choice}.yaml").exists() or choice in experiments(), f"{group}={choice}"


def anchors(text: str) -> set[str]:
    """Return the anchors that GitHub gives a page's headings."""
    headings = re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_links_and_images_resolve(page: str) -> None:
    for target in re.findall(r"\]\(([^)]+)\)|src=\"([^\"]+)\"", PAGES[page]):
        path, _, anchor = "".join(target).partition("#")
        if path.startswith("http"):
            continue
        file = ((ROOT / page).parent / path).resolve().relative_to(ROOT) if path else Path(page)
        if file.as_posix() in PENDING_PAGES:
            continue
        assert (ROOT / file).exists(), target
        assert not anchor or anchor in anchors((ROOT / file).read_text()), target
    assert not re.search(r"!\[.{0,19}\]\(|<img (?!.*alt=\".{20,}\")", PAGES[page])  # images have alternative texts


@pytest.mark.parametrize("page", PAGES)
def test_pages_are_short(page: str) -> None:
    assert len(PAGES[page].splitlines()) <= (180 if page == "README.md" else 150)


def test_table_of_groups_is_complete() -> None:
    page = PAGES["docs/configuration.md"]
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]*) \|", page, flags=re.MULTILINE))
    folders = {folder.name for folder in CONF.iterdir() if folder.is_dir() and folder.name != "hydra"}
    assert folders <= set(rows)
    for group in folders:
        named = set(re.findall(r"`(\w+)`", page if group == "model" else rows[group]))
        present = {file.stem for file in (CONF / group).glob("*.yaml")}
        assert present <= named, f"not in docs/configuration.md: {group}={present - named}"


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
