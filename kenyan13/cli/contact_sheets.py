"""The command that draws training images as they go into a network: contact-sheets."""

from pathlib import Path
from typing import Annotated

import typer

from kenyan13.cli.app import app, console, examples


@app.command("contact-sheets", epilog=examples("contact-sheets data=folder data.root=~/birds augment=enhanced"))
def contact_sheets(
    settings: Annotated[
        list[str] | None, typer.Argument(metavar="KEY=VALUE", help="Settings, as for kenyan13 train.")
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder of the sheets.")] = Path("contact-sheets"),
) -> None:
    """Draw training images, as they are and augmented. There are 36 of each class, and nine under each preset."""
    from kenyan13.config.compose import compose_settings
    from kenyan13.training.contact_sheets import write_contact_sheets
    from kenyan13.training.inference import open_data

    written = write_contact_sheets(open_data(compose_settings(settings or [])), output)
    console.print(f"{len(written)} contact sheets: {output}")
