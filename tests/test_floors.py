"""The floors of docs/architecture.md: lower ones never import higher ones, and files are of a size to be read."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FLOORS = [
    {"config"}, {"metrics", "plots", "runs"}, {"data", "model"}, {"training"}, {"analysis"}, {"export"}, {"report"},
    {"study"}, {"cli"},
]  # fmt: skip
PACKAGES = sorted(name for floor in FLOORS for name in floor)


def floor_of(package: str) -> int:
    return next(number for number, floor in enumerate(FLOORS) if package in floor)


def test_every_package_has_a_floor() -> None:
    assert sorted(path.parent.name for path in ROOT.glob("kenyan13/*/__init__.py")) == PACKAGES


@pytest.mark.parametrize("package", PACKAGES)
def test_no_package_imports_a_higher_one(package: str) -> None:
    for file in (ROOT / "kenyan13" / package).glob("*.py"):
        imported = re.findall(r"^\s*(?:from|import) kenyan13\.(\w+)", file.read_text(), flags=re.MULTILINE)
        higher = {other for other in imported if other in PACKAGES and floor_of(other) > floor_of(package)}
        assert not higher, f"{file.relative_to(ROOT)} imports {higher}"


def test_files_have_at_most_250_lines() -> None:
    for folder in ("kenyan13", "hydra_plugins", "scripts"):
        for file in (ROOT / folder).rglob("*.py"):
            assert len(file.read_text().splitlines()) <= 250, file
