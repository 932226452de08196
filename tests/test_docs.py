"""README and docs: links resolve, pages are short, choices and programs that they name are there."""

import importlib
import pkgutil
import re
import shlex
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from documented import COMMANDS, PAGES, ROOT, parse, reason_not_to_run, starting

from kenyan13.config.compose import compose_settings
from kenyan13.config.presets import CONF
from kenyan13.study.definitions import GROUPS, TRAINING, experiments


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
        assert (ROOT / file).exists(), target
        assert not anchor or anchor in anchors((ROOT / file).read_text()), target
    assert not re.search(r"!\[.{0,19}\]\(|<img (?!.*alt=\".{20,}\")", PAGES[page])  # images have alternative texts


EXAMPLES = ("conf/group/", "conf/callbacks/notes.yaml")  # of files that a reader may write


@pytest.mark.parametrize("page", PAGES)
def test_files_and_modules_in_texts_are_there(page: str) -> None:
    for path in re.findall(r"(?<![\w/.-])((?:kenyan13|hydra_plugins|scripts|conf|tests)/[\w/.]*)", PAGES[page]):
        assert path.startswith(EXAMPLES) or (ROOT / path.rstrip(".")).exists(), path
    for name in re.findall(r"(?<![\w/.-])kenyan13(?:\.[A-Za-z_]\w*)+", PAGES[page]):
        pkgutil.resolve_name(name)  # raises for what is not there


def test_the_architecture_lists_every_folder() -> None:
    folders = {file.parent.relative_to(ROOT).as_posix() for file in (ROOT / "kenyan13").glob("*/__init__.py")}
    assert not [folder for folder in folders if f"`{folder}/`" not in PAGES["docs/architecture.md"]]


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


def test_the_python_writes_a_plot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (program,) = re.findall(r"```python\n(.*?)```", PAGES["docs/report.md"], flags=re.DOTALL)
    exec(program)
    assert (tmp_path / "losses.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.slow
def test_estimates_are_of_the_images_that_the_plan_has() -> None:
    rows = re.findall(r"^\| ([A-H]|all) \| (\d+) \| ([\d,]+) \|", PAGES["docs/study.md"], flags=re.MULTILINE)
    told = {group: (int(runs), int(images.replace(",", ""))) for group, runs, images in rows}
    counted = dict.fromkeys(GROUPS, (0, 0))
    for id_, one in experiments().items():
        if one.kind == TRAINING:
            runs, images = counted[one.group]
            epochs = compose_settings([f"experiment={id_}"]).trainer["max_epochs"]
            counted[one.group] = runs + 1, images + epochs * one.images[0]
    assert told == counted | {"all": tuple(map(sum, zip(*counted.values(), strict=True)))}


@pytest.mark.slow
def test_promises_have_as_many_tests_as_they_say() -> None:
    told = dict(re.findall(r"`(tests/\S+\.py)` \((\d+)\)", PAGES["docs/promises.md"]))
    assert len(told) > 10
    arguments = ["--collect-only", "-qq", "-m", "slow or not slow", "-p", "no:xdist", *told]
    done = subprocess.run([sys.executable, "-m", "pytest", *arguments], cwd=ROOT, capture_output=True, text=True)
    found = dict(re.findall(r"^(\S+\.py): (\d+)$", done.stdout, flags=re.MULTILINE))
    assert not {file: number for file, number in told.items() if int(found.get(file, 0)) < int(number)}
