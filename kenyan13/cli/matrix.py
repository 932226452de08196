"""Confusion matrices in the terminal."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


def matrix_lines(matrix: "pd.DataFrame") -> list[str]:
    """Return a confusion matrix as aligned lines: rows are targets, by number and name; columns are their numbers.

    Numbers stand for names above the columns, so that many classes fit into a terminal; zeros are dots.
    """
    digits = len(str(len(matrix)))
    names = [f"{k:>{digits}} {name}" for k, name in enumerate(matrix.index, start=1)]
    head = [str(k) for k in range(1, len(matrix.columns) + 1)]
    rows = [[str(count or ".") for count in row] for row in matrix.to_numpy().tolist()]
    width = max(map(len, names))
    cell = max(len(text) for row in (head, *rows) for text in row) + 2
    lines = zip(["", *names], [head, *rows], strict=True)
    return [f"{name:<{width}}" + "".join(f"{text:>{cell}}" for text in row) for name, row in lines]
