"""The command that writes a report: report."""

from pathlib import Path
from time import perf_counter
from typing import Annotated

import typer

from kenyan13.cli.app import app, console


@app.command(
    epilog="Examples:  kenyan13 report      kenyan13 report runs/C* -o report-size      kenyan13 report runs/smoke"
)
def report(
    runs: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[RUNS]...", help="Run directories, or folders of them.", show_default="runs, without runs/smoke"
        ),
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="The report's folder.")] = Path("report"),
) -> None:
    """Write a page of HTML on runs, with tables and figures, the study's beside ours; needs no network to be read.

    Beside the page lie its figures, and its tables as CSV and Markdown.
    """
    from kenyan13.report.writing import write_report

    start, places = perf_counter(), runs or [Path("runs")]
    index, found, sections = write_report(places, output)
    for run in found:
        if run.problem:
            console.print(f"{run.folder} cannot be read: {run.problem}", style="yellow")
    toys = [place for place in places if any(place.glob("smoke/*/config.yaml"))]
    for place in toys:
        console.print(f"Left out: the smoke runs; kenyan13 report {place / 'smoke'} -o report-smoke")
    size, seconds = index.stat().st_size / 1e6, perf_counter() - start
    runs_said = "1 run" if len(found) == 1 else f"{len(found)} runs"
    console.print(f"{index}: {runs_said}, {len(sections)} sections, {size:.1f} MB, {seconds:.0f} s")
