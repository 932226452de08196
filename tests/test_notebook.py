"""The notebook of docs runs from its first cell to its last, as a kernel runs it, and is kept without outputs."""

import ast
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

NOTEBOOK = json.loads((Path(__file__).parent.parent / "docs" / "notebook.ipynb").read_text())
CELLS = ["".join(cell["source"]) for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]


def run_cell(source: str, names: dict[str, Any]) -> Any:
    """Run a cell's statements, and return the value of the last, if it is an expression."""
    tree = ast.parse(source)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "cell", "exec"), names)
    return eval(compile(ast.Expression(last.value), "cell", "eval"), names) if isinstance(last, ast.Expr) else None


@pytest.mark.slow
def test_the_notebook_runs(demo_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "demo").symlink_to(demo_root)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "__main__"}
    folder, evaluated, predictions, predicted, table, page, shape = [run_cell(cell, names) for cell in CELLS]
    assert folder.parent == Path("runs")
    assert 0 <= evaluated["accuracy"] <= 1
    assert len(predictions) == 5
    assert isinstance(predicted, pd.DataFrame)
    assert predicted.shape == (4, 3)
    assert table["state"].tolist() == ["finished"]
    assert table["accuracy"].iloc[0] == pytest.approx(evaluated["accuracy"])
    assert (page.name, page.is_file()) == ("index.html", True)
    assert tuple(shape) == (1, 13)


def test_the_notebook_has_no_outputs() -> None:
    cells = [cell for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in cells)
    assert len({cell["id"] for cell in NOTEBOOK["cells"]}) == len(NOTEBOOK["cells"])
