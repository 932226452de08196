"""The report's folder: index.html with everything in it, and beside it the figures, and tables as CSV and Markdown."""

import gc
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from markupsafe import Markup

from kenyan13.errors import UserError
from kenyan13.machine import available_cores, git_commit
from kenyan13.report.groups import group_jobs
from kenyan13.report.other_sections import other_jobs
from kenyan13.report.overview import how_made, overview
from kenyan13.report.page import GENERATOR, render_article, render_page
from kenyan13.report.parts import Section
from kenyan13.report.run_page import run_page
from kenyan13.runs.find import find_runs
from kenyan13.runs.run import Run, read_all
from kenyan13.terminal import progress

INDEX, TABLES = "index.html", "tables"
UNNAMEABLE = "replace"  # bytes of folders' names that are no text become question marks
Job = Callable[[], Section]
Drawn = tuple[Section, Markup]


def write_report(places: Sequence[Path], output: Path) -> tuple[Path, list[Run], list[Section]]:
    """Write the report on the run directories in `places`; return its page, the runs, and the sections but theirs.

    Raises UserError where there are no runs, or the folder holds something else than a report.
    """
    folders = find_runs(places)
    prepare(output)
    runs = list(progress(read_all(folders), "Runs", total=len(folders)))
    jobs = [*group_jobs(runs, output), *other_jobs(runs, output)]
    drawn = draw([*jobs, *(partial(run_page, run, output) for run in runs)], output)
    first, last = ((section, render_article(section, output)) for section in (overview(runs), how_made(runs)))
    made_of = [first, *drawn[: len(jobs)], last]
    sections = [section for section, _ in made_of]
    write_tables(sections, output)
    menu = {section.anchor: section.title for section in sections}
    articles = [article for _, article in (*made_of, *drawn[len(jobs) :])]
    made = f"Made by kenyan13 report at commit {git_commit()}, from {len(runs)} run directories."
    index = output / INDEX
    index.write_text(render_page("kenyan13 report", made, menu, articles), encoding="utf-8", errors=UNNAMEABLE)
    return index, runs, sections


def prepare(output: Path) -> None:
    """Make the report's folder, or empty that of an older report. Raises UserError for a folder of anything else.

    So it does where nothing can be written.
    """
    index = output / INDEX
    if output.is_file() or (output.is_dir() and any(output.iterdir()) and not is_report(index)):
        raise UserError(f"{output} is there and is no report.", "choose another folder: --output report")
    for part in ("figures", TABLES):
        shutil.rmtree(output / part, ignore_errors=True)
    unfinished = render_page(GENERATOR, "This report was not finished.", {}, [])
    try:
        output.mkdir(parents=True, exist_ok=True)
        (output / TABLES).mkdir()
        index.write_text(unfinished, encoding="utf-8")  # by which the folder is known should this be interrupted
    except OSError as error:
        raise UserError(f"{output} cannot be written: {error}.", "choose another folder: --output report") from None


def is_report(index: Path) -> bool:
    """Return whether a page was written by this program."""
    return index.is_file() and GENERATOR in index.read_text(encoding="utf-8", errors="replace")[:2000]


def draw(jobs: Sequence[Job], output: Path) -> list[Drawn]:
    """Run jobs on all cores, and return their sections, in their order, also as HTML."""
    workers = min(available_cores(), len(jobs))
    each = partial(call, output=output)
    if workers <= 1:
        return [each(job) for job in progress(jobs, "Pages")]
    with ProcessPoolExecutor(workers, initializer=collect_rarely) as pool:
        return list(progress(pool.map(each, jobs), "Pages", total=len(jobs)))


def collect_rarely() -> None:
    """Look for unused objects less often: figures are many small ones, among which a tenth of the time is spent."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


def call(job: Job, output: Path) -> Drawn:
    """Return the section that a job makes, also as HTML."""
    section = job()
    return section, render_article(section, output)


def write_tables(sections: Sequence[Section], output: Path) -> None:
    """Write the sections' tables as CSV and Markdown: C3.csv, or under the section's name."""
    for section in sections:
        variant = section.anchor.removeprefix("group-")[1:] if section.anchor.startswith("group-") else ""
        for table in section.tables:
            name = f"{table.name}{variant}" if table.name else section.anchor
            for ending, text in (("csv", table.csv()), ("md", table.markdown())):
                (output / TABLES / f"{name}.{ending}").write_text(text, encoding="utf-8", errors=UNNAMEABLE)
