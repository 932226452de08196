"""Commands about the KenyanFood13 study: kenyan13 study ..."""

from pathlib import Path
from typing import Annotated

import typer

from kenyan13.cli.app import app
from kenyan13.terminal import align

study = typer.Typer(no_args_is_help=True, help="The KenyanFood13 study's experiments.")
app.add_typer(study, name="study")


@study.command("list", epilog="Examples:  kenyan13 study list      kenyan13 study list C      kenyan13 study list GF")
def study_list(
    group: Annotated[
        str | None, typer.Argument(metavar="[GROUP]", help="A group, as in C, or a set, as in CB.")
    ] = None,
    runs: Annotated[Path, typer.Option(help="The folder with the run directories.")] = Path("runs"),
) -> None:
    """List the study's experiments: settings, what the study reported (loss, accuracy in percent), and state here."""
    from kenyan13.study import listing

    rows = [listing.HEAD, *listing.list_rows(group, runs)]
    print(align(rows))
