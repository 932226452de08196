"""The report's folder: index.html with everything in it, and beside it plots, and tables as CSV and text."""

import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from markupsafe import Markup

from kenyan13.errors import UserError
from kenyan13.machine import available_cores, git_commit
from kenyan13.report.overview import how_made, overview
from kenyan13.report.page import GENERATOR, render_article, render_page
from kenyan13.report.parts import PLOTS, Section
from kenyan13.report.run_page import run_page
from kenyan13.report.sweeps import sweep_jobs
from kenyan13.runs.find import find_runs
from kenyan13.runs.run import Run, read_all
from kenyan13.terminal import progress

INDEX, TABLES, ENDINGS = "index.html", "tables", (".svg", ".png")
UNNAMEABLE = "replace"  # bytes of folders' names that are no text become question marks
Job = Callable[[], Section]
Jobs = Callable[[Sequence[Run], Path], list[Job]]  # runs, the report's folder -> what makes sections
Drawn = tuple[Section, Markup]


def write_report(
    paths: Sequence[Path], output: Path, more_jobs: Jobs = lambda runs, output: []
) -> tuple[Path, list[Run], list[Section]]:
    """Write the report on the run directories in `paths`; return its page, the runs, and the sections but theirs.

    more_jobs: further sections, between the overview and the sweeps. Raises UserError where there are no runs, or the
    folder holds something else than a report.
    """
    folders = find_runs(paths)
    prepare(output)
    runs = list(progress(read_all(folders), "Runs", total=len(folders)))
    own: list[Job] = [partial(overview, runs, output), *more_jobs(runs, output), *sweep_jobs(runs, output)]
    jobs: list[Job] = [*own, partial(how_made, runs), *(partial(run_page, run, output) for run in runs)]
    drawn = draw(jobs, output)
    sections = [section for section, _ in drawn[: len(own) + 1]]
    write_tables(sections, output)
    remove_other_plots([section for section, _ in drawn], output)
    menu = {section.anchor: section.title for section in sections}
    made = f"Made by kenyan13 report at commit {git_commit()}, from {len(runs)} run directories."
    index = output / INDEX
    page = render_page("kenyan13 report", made, menu, [article for _, article in drawn])
    index.write_text(page, encoding="utf-8", errors=UNNAMEABLE)
    return index, runs, sections


def write_single_page(section: Section, output: Path) -> Path:
    """Write one section as a page of its own, with its tables beside it; return the page. Raises UserError as above."""
    prepare(output)
    write_tables([section], output)
    made = f"Made by kenyan13 at commit {git_commit()}."
    page = render_page(section.title, made, {}, [render_article(section, output)])
    (output / INDEX).write_text(page, encoding="utf-8", errors=UNNAMEABLE)
    return output / INDEX


def remove_other_plots(sections: Sequence[Section], output: Path) -> None:
    """Remove the plots of an older report that this one does not have."""
    kept = {f"{output / plot.path}{ending}" for section in sections for plot in section.plots for ending in ENDINGS}
    for folder in (output / PLOTS).glob("*"):
        for file in folder.iterdir():
            if str(file) not in kept:
                file.unlink()
        if not any(folder.iterdir()):
            folder.rmdir()


def prepare(output: Path) -> None:
    """Make the report's folder, or empty that of an older report, but for its plots, which may be the same again.

    Raises UserError for a folder of anything else, and where nothing can be written.
    """
    index = output / INDEX
    ours = index.is_file() and GENERATOR in index.read_text(encoding="utf-8", errors="replace")[:2000]
    if output.is_file() or (output.is_dir() and any(output.iterdir()) and not ours):
        raise UserError(f"{output} is there and is no report.", "choose another folder: --output report")
    shutil.rmtree(output / TABLES, ignore_errors=True)
    unfinished = render_page(GENERATOR, "This report was not finished.", {}, [])
    try:
        output.mkdir(parents=True, exist_ok=True)
        (output / TABLES).mkdir()
        index.write_text(unfinished, encoding="utf-8")  # by which the folder is known should this be interrupted
    except OSError as error:
        raise UserError(f"{output} cannot be written: {error}.", "choose another folder: --output report") from None


def draw(jobs: Sequence[Job], output: Path) -> list[Drawn]:
    """Run jobs on all cores, and return their sections, in their order, also as HTML."""
    workers = min(available_cores(), len(jobs))
    each = partial(call, output=output)
    if workers <= 1:
        return [each(job) for job in progress(jobs, "Pages")]
    with ProcessPoolExecutor(workers) as pool:
        return list(progress(pool.map(each, jobs), "Pages", total=len(jobs)))


def call(job: Job, output: Path) -> Drawn:
    """Return the section that a job makes, also as HTML."""
    section = job()
    return section, render_article(section, output)


def write_tables(sections: Sequence[Section], output: Path) -> None:
    """Write the sections' tables as CSV and text: C3.csv, or the section's name; then C3-1.csv."""
    taken: Counter[str] = Counter()
    for section in sections:
        for table in section.tables:
            name = table.name or section.anchor
            unique = f"{name}-{taken[name]}" if taken[name] else name
            taken[name] += 1
            for ending, text in (("csv", table.csv()), ("txt", f"{table.text()}\n")):
                (output / TABLES / f"{unique}.{ending}").write_text(text, encoding="utf-8", errors=UNNAMEABLE)
