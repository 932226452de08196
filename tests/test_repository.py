"""What stands beside the code: the lock of all versions and who uses it, the licence, the citation."""

import re
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def plain(name: str) -> str:
    """A package's name as PyPI compares them."""
    return re.sub(r"[-_.]+", "-", name).lower()


def test_every_package_is_locked() -> None:
    lines = (ROOT / "constraints.txt").read_text().split("\n")
    locked = {plain(line.partition("==")[0]) for line in lines if "==" in line}
    given = [*PROJECT["dependencies"], *(word for words in PROJECT["optional-dependencies"].values() for word in words)]
    names = {plain(re.split(r"[\[<>=~!; ]", word, maxsplit=1)[0]) for word in given}
    assert names - locked == {"kenyan13"}


def test_make_and_ci_use_the_lock() -> None:
    makefile = (ROOT / "Makefile").read_text()
    (installed,) = re.findall(r"^\.venv/\.complete: (.*)\n(?:\t.*\n)*?\t(.*pip install.*)$", makefile, re.MULTILINE)
    assert "constraints.txt" in installed[0].split()
    assert "-c constraints.txt" in installed[1]
    ci = [line for line in (ROOT / ".ci" / "run").read_text().splitlines() if not line.startswith(("#", "set ", "cd "))]
    assert ci
    assert all(line.startswith("make ") for line in ci)


def test_licence_and_citation_are_the_projects() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert (citation["version"], citation["license"]) == (PROJECT["version"], PROJECT["license"])
    assert citation["license"] == "Apache-2.0"
    assert {"cff-version", "title", "message", "authors"} <= citation.keys()
    assert "Apache License" in (ROOT / "LICENSE").read_text()[:200]
