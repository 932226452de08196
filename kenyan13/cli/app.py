"""What all commands of `kenyan13` share."""

import shlex
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from kenyan13.errors import UserError
from kenyan13.runs.locate import resolve_run
from kenyan13.terminal import console as console
from kenyan13.terminal import number

if TYPE_CHECKING:
    import pandas as pd


class Verbs(TyperGroup):
    """Verbs; without one, or with `help`, they are listed."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take the words behind the command. Raises UserError for a setting in place of a verb."""
        if args and "=" in args[0] and not args[0].startswith("-"):
            raise UserError(f"'{args[0]}' is a setting, not a command.", f"kenyan13 train {shlex.join(args)}")
        return super().parse_args(ctx, [*args[1:], "--help"] if args[:1] in ([], ["help"]) else args)


DRY_RUN = "KENYAN13_DRY_RUN"  # tells the sweeper of train's flag
app = typer.Typer(
    cls=Verbs,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)


def words(metavar: str, told: str, **more: Any) -> Any:
    """Return an argument with its name in the usage, and its help."""
    return typer.Argument(metavar=metavar, help=told, **more)


def output(told: str) -> Any:
    """Return the option --output or -o with its help."""
    return typer.Option("--output", "-o", help=told)


RunFolder = Annotated[Path, words("RUN", "A run, as in runs/demo; last: the newest.", callback=resolve_run)]
several = {"callback": lambda runs: [*map(resolve_run, runs)]}
Runs = Annotated[list[Path], words("RUN", "As in runs/GF*; last: the newest.", **several)]
Overrides = Annotated[list[str] | None, words("KEY=VALUE", "Settings, as for kenyan13 train: data.root=DIR.")]
saved_as = typer.Option("--save", metavar="NAME|DIR", help="Keep the mean, or gated stages, as a run that predicts.")
SaveAs = Annotated[str | None, saved_as]


def examples(*arguments: str) -> str:
    """Return examples as the end of a command's help, one a line; Click wraps no paragraph that begins with \\b."""
    return "\n".join(["\b", "Examples:", *(f"  kenyan13 {one}" for one in arguments)])


def score_cells(table: "pd.DataFrame") -> list[str]:
    """Return accuracy in percent, its 95 % interval (Wilson) and log loss of predictions of images with a target."""
    from kenyan13.metrics.classification import wilson
    from kenyan13.runs.predictions import labelled, scores

    known = labelled(table)
    found = scores(known)
    low, high = wilson(found["accuracy"], len(known))
    return [number(found["accuracy"], 2, 100), f"{100 * low:.1f}-{100 * high:.1f}", number(found["loss"], 4)]


def print_next(*commands: Sequence[str]) -> None:
    """Print commands to go on with, ready to be pasted: long ones in lines, programs not on the PATH by their path."""
    console.print("\nNext:")
    for program, *arguments in commands:
        own = Path(sys.executable).with_name(program)
        here = own.relative_to(Path.cwd()) if own.is_relative_to(Path.cwd()) else own
        words = [program if which(program) or not own.exists() else str(here), *arguments]
        line = shlex.join(words)
        if len(line) > 78:
            line = " \\\n    ".join([shlex.join(words[:2]), *map(shlex.quote, words[2:])])
        console.print(f"  {line}")


@app.callback(invoke_without_command=True, epilog=examples("train data=demo model=small_cnn", "report"))
def describe(
    wanted: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Fine-tune ImageNet models on a small, unbalanced set of images, and use the runs. Each command has a --help."""
    if wanted:
        print(f"kenyan13 {version('kenyan13')}")
        raise typer.Exit


@app.command(
    "train",
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
    help="Train one run, or with -m several: python train.py.",
)
def train_command(context: typer.Context) -> None:
    """Hand all arguments to Hydra."""
    from kenyan13.cli import train

    # its file rather than this command: Lightning starts the other processes of a data-parallel run by sys.argv[0]
    sys.argv = [train.__file__, *context.args]
    train.main()
