"""The `kenyan13` command: what is done with runs. Imports no torch at start.

Each module adds its commands to the app when it is imported, in the order in which --help lists them.
"""

import typer  # noqa: I001

from kenyan13.cli import runs, predict, pages, models  # noqa: F401
from kenyan13.cli import combine, export, study  # noqa: F401
from kenyan13.cli.app import app as app
from kenyan13.config.compose import explain
from kenyan13.errors import one_screen


def main() -> None:
    """Run the command, with a user's mistakes on one screen and exit code 2."""
    with one_screen(explain):
        try:
            app()
        except SystemExit as end:
            if isinstance(end.__context__, typer.Exit) and isinstance(end.__context__.__cause__, KeyboardInterrupt):
                raise KeyboardInterrupt from None  # of which Typer says nothing
            raise
