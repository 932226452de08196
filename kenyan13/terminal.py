"""The terminal: progress bars on standard error, so that what a command prints can be piped; tables, and times."""

import re
from collections.abc import Collection, Iterable, Sequence
from functools import cache
from typing import Any, TypeVar

import rich.console
from rich.progress import track

T = TypeVar("T")
WIDTH = 80  # columns that everything printed fits in
CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069]")


def visible(text: str) -> str:
    """Return a text whose control characters and marks of direction are shown, as \\x1b, instead of obeyed."""
    return CONTROLS.sub(lambda found: ascii(found[0])[1:-1], text)


def cell(text: str) -> str:
    """Return a text as it fits in a table: in one line, with control characters shown."""
    return visible(text).replace("\n", r"\n").replace("\t", r"\t")


class Console(rich.console.Console):
    """A terminal that obeys no text that it is given to print."""

    def print(self, *objects: Any, **options: Any) -> None:
        """Print; texts are made visible."""
        super().print(*(visible(one) if isinstance(one, str) else one for one in objects), **options)


console = Console(highlight=False, soft_wrap=True, markup=False)


def progress(items: Iterable[T], label: str, total: int | None = None) -> Iterable[T]:
    """Yield items behind a progress bar with an estimate of the time left; no bar where nobody watches."""
    console = Console(stderr=True)
    return track(items, label, total, console=console, transient=True, disable=not console.is_terminal)


def print_note(text: str) -> None:
    """Print a line on standard error."""
    Console(stderr=True, markup=False, highlight=False, soft_wrap=True).print(text)


note_once = cache(print_note)  # the same text is printed once


def align(rows: Sequence[Sequence[str]], right: Collection[int] = ()) -> str:
    """Return rows of cells as lines of aligned columns; those in `right` are flush right."""
    rows = [[cell(text) for text in row] for row in rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]

    def padded(text: str, column: int) -> str:
        return text.rjust(widths[column]) if column in right else text.ljust(widths[column])

    return "\n".join("  ".join(padded(text, column) for column, text in enumerate(row)).rstrip() for row in rows)


def duration(seconds: float) -> str:
    """Return a time as people say it: 12.3 s, 4 min 05 s, 2 h 07 min."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def number(value: float | None, decimals: int = 0, factor: float = 1) -> str:
    """Return a number's text, times a factor; a dash for None."""
    return "-" if value is None else f"{factor * value:,.{decimals}f}"


def fit(text: str, width: int) -> str:
    """Return a text cut in the middle to at most `width` columns (5 or more), more of its end than of its beginning."""
    text = cell(text)
    if len(text) <= width:
        return text
    start = (width - 3) // 3
    return f"{text[:start]}...{text[start + 3 - width :]}"
