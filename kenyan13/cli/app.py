"""What all commands of `kenyan13` share."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode="rich", pretty_exceptions_enable=False)
console = Console(highlight=False, soft_wrap=True, markup=False)

RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="A run directory, as in runs/demo.")]


@app.callback()
def describe() -> None:
    """Use runs that `python train.py` has trained. Each command tells more with --help."""
