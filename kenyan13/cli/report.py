"""Commands that show runs and images: report, contact-sheets."""

from pathlib import Path
from time import perf_counter
from typing import Annotated

from kenyan13.cli.app import Overrides, app, console, examples, output, words
from kenyan13.config.compose import compose_settings


@app.command(epilog=examples("report", "report runs/C* -o report-size", "report runs/smoke"))
def report(
    runs: Annotated[list[Path] | None, words("RUNS", "Runs, or folders of them; by default runs.")] = None,
    folder: Annotated[Path, output("The report's folder.")] = Path("report"),
) -> None:
    """Write a page of HTML on runs, with tables and plots. These lie beside it as SVG, PNG, CSV and text, too."""
    from kenyan13.report.writing import write_report
    from kenyan13.study.sections import study_jobs

    start, paths = perf_counter(), runs or [Path("runs")]
    index, found, sections = write_report(paths, folder, study_jobs)
    for run in found:
        if run.problem:
            console.print(f"{run.folder} cannot be read: {run.problem}", style="yellow")
    for path in paths:
        if any(path.glob("smoke/*/config.yaml")):
            console.print(f"Left out: the smoke runs; kenyan13 report {path / 'smoke'} -o report-smoke")
    size, seconds = index.stat().st_size / 1e6, perf_counter() - start
    counted = f"{len(found)} run{'s' * (len(found) != 1)}, {len(sections)} sections"
    console.print(f"{index}: {counted}, {size:.1f} MB, {seconds:.0f} s")


@app.command("contact-sheets", epilog=examples("contact-sheets data=folder data.root=~/birds augment=enhanced"))
def contact_sheets(
    settings: Overrides = None, folder: Annotated[Path, output("The folder of the sheets.")] = Path("contact-sheets")
) -> None:
    """Draw training images, as they are and augmented. There are 36 of each class, and nine under each preset."""
    from kenyan13.training.contact_sheets import write_contact_sheets
    from kenyan13.training.inference import open_data

    written = write_contact_sheets(open_data(compose_settings(settings or [])), folder)
    console.print(f"{len(written)} contact sheets: {folder}")
