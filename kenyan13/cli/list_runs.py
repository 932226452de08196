"""The command that lists runs: runs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kenyan13.cli.app import app
from kenyan13.cli.compare import number
from kenyan13.errors import shorten
from kenyan13.terminal import align

if TYPE_CHECKING:
    from kenyan13.runs.run import Run

HEAD = ("accuracy %", "macro F1", "loss", "epochs", "state", "run")


@app.command("runs", epilog="Examples:  kenyan13 runs      kenyan13 runs runs/smoke      kenyan13 evaluate last")
def list_runs(
    places: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[FOLDER]...", help="Folders of runs, and runs.", show_default="runs"),
    ] = None,
    last: Annotated[bool, typer.Option("--last", help="Print only the folder of the newest run.")] = False,
) -> None:
    """List runs with their state and metrics, the newest at the end; other commands take `last` for that one."""
    from kenyan13.runs.find import changed, find_runs, newest_run
    from kenyan13.runs.run import read_all

    folders = places or [Path("runs")]
    if last:
        print(newest_run(folders))
        return
    found = list(read_all(sorted(find_runs(folders), key=changed)))
    print(align([HEAD, *map(cells, found)], right={0, 1, 2, 3}))
    for run in found:
        if run.problem or run.failure:
            print(f"{run.folder}: {shorten([run.problem or run.failure])}")


def cells(run: "Run") -> tuple[str, ...]:
    """Return a run's row: metrics at the lowest validation loss; epochs so far."""
    from kenyan13.analysis.run_metrics import measure

    if run.problem:
        return "-", "-", "-", "-", "unreadable", str(run.folder)
    metrics = measure(run)
    return (
        number(metrics.accuracy, 1, 100), number(metrics.macro_f1, 3), number(metrics.min_val_loss, 4),
        number(metrics.epochs), run.state.value, str(run.folder),
    )  # fmt: skip
