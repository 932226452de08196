"""The Dockerfile copies what the package needs, and what it copies is there."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
LINES = (ROOT / "Dockerfile").read_text().splitlines()
COPIED = {name for line in LINES if line.startswith("COPY ") for name in line.split()[1:-1]}


def test_what_is_copied_is_there_and_is_not_ignored() -> None:
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert kept == COPIED
    assert all((ROOT / name).exists() for name in COPIED)


def test_all_of_the_package_is_copied() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = project["tool"]["setuptools"]["packages"]
    folders = project["tool"]["setuptools"]["package-dir"]
    needed = {folders.get(name, name.partition(".")[0]) for name in packages}
    assert needed | {"pyproject.toml", project["project"]["readme"]} <= COPIED
    (extras,) = re.findall(r'"\.\[([\w,]+)\]"', "\n".join(LINES))
    assert set(extras.split(",")) <= set(project["project"]["optional-dependencies"])


def test_all_packages_are_in_the_wheel() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    found = {
        path.parent.relative_to(ROOT).as_posix().replace("/", ".") for path in ROOT.glob("kenyan13/**/__init__.py")
    }
    assert found <= set(project["tool"]["setuptools"]["packages"])
