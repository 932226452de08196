"""The report's folder, and the card of a model for the Hugging Face hub.

The folder has index.html with everything in it, and beside it plots, and tables as CSV and text.
The page needs no network: plots are inside, all texts are escaped, and no script runs but our own.
"""

import base64
import hashlib
import re
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from kenyan13.errors import UserError
from kenyan13.machine import available_cores, git_commit
from kenyan13.metrics.classification import reliability, scale_by_others
from kenyan13.report.photos import pair_table
from kenyan13.report.run_page import class_table, run_page
from kenyan13.report.sections import how_made, overview, sweep_jobs
from kenyan13.report.tables import PLOTS, Section, Value
from kenyan13.runs.directory import CONFIG, MEMBERS
from kenyan13.runs.locate import find_runs
from kenyan13.runs.predictions import classes_of, confusion_of, labelled, probabilities_of, targets_of
from kenyan13.runs.run import Run, read_all, read_run
from kenyan13.terminal import number, progress

GENERATOR = "kenyan13 report"
PIXELS = 1.12  # a point of a plot on the page: two plots stand side by side in a usual window
TEMPLATE = Path(__file__).parent / "template"
INDEX, TABLES, ENDINGS = "index.html", "tables", (".svg", ".png")
UNNAMEABLE = "replace"  # bytes of folders' names that are no text become question marks
Job = Callable[[], Section]
Jobs = Callable[[Sequence[Run], Path], list[Job]]  # runs, the report's folder -> what makes sections


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
    kept = {f"{output / plot.path}{ending}" for section, _ in drawn for plot in section.plots for ending in ENDINGS}
    for file in sorted((output / PLOTS).glob("**/*"), reverse=True):  # of an older report; a folder is behind its files
        if file.is_dir() and not any(file.iterdir()):
            file.rmdir()
        elif file.is_file() and str(file) not in kept:
            file.unlink()
    menu = {section.anchor: section.title for section in sections}
    made = f"Made by kenyan13 report at commit {git_commit()}, from {len(runs)} run directories."
    return write_page(output, "kenyan13 report", made, menu, [article for _, article in drawn]), runs, sections


def write_single_page(section: Section, output: Path) -> Path:
    """Write one section as a page of its own, with its tables beside it; return the page. Raises UserError as above."""
    prepare(output)
    write_tables([section], output)
    made = f"Made by kenyan13 at commit {git_commit()}."
    return write_page(output, section.title, made, {}, [render_article(section, output)])


def prepare(output: Path) -> None:
    """Make the report's folder, or empty that of an older report, but for its plots, which may be the same again.

    Raises UserError for a folder of anything else, and where nothing can be written.
    """
    index = output / INDEX
    ours = index.is_file() and GENERATOR in index.read_text(encoding="utf-8", errors="replace")[:2000]
    if output.is_file() or (output.is_dir() and any(output.iterdir()) and not ours):
        raise UserError(f"{output} is there and is no report.", "choose another folder: --output report")
    shutil.rmtree(output / TABLES, ignore_errors=True)
    try:
        (output / TABLES).mkdir(parents=True)
        # by which the folder is known should this be interrupted
        write_page(output, GENERATOR, "This report was not finished.", {}, [])
    except OSError as error:
        raise UserError(f"{output} cannot be written: {error}.", "choose another folder: --output report") from None


def draw(jobs: Sequence[Job], output: Path) -> list[tuple[Section, Markup]]:
    """Run jobs on all cores, and return their sections, in their order, also as HTML."""
    workers = min(available_cores(), len(jobs))
    with ProcessPoolExecutor(workers) as pool:
        each = (map if workers <= 1 else pool.map)(partial(call, output=output), jobs)
        return list(progress(each, "Pages", total=len(jobs)))


def call(job: Job, output: Path) -> tuple[Section, Markup]:
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


def render_article(section: Section, output: Path) -> Markup:
    """Return a section as HTML. Plots are read from below `output`."""
    plots = {plot.path: Path(f"{output / plot.path}.svg").read_bytes() for plot in section.plots}
    return Markup(environment().get_template("article.html.jinja").render(section=section, plots=plots))


def write_page(output: Path, title: str, made: str, menu: Mapping[str, str], articles: Sequence[Markup]) -> Path:
    """Write the whole page, and return it. menu: anchor -> title of what it leads to; made: a line on how."""
    style, script = ((TEMPLATE / name).read_text(encoding="utf-8") for name in ("style.css", "page.js"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    page = environment().get_template("page.html.jinja").render(
        title=title, made=made, menu=menu, articles=articles,
        style=Markup(style), script=Markup(script), script_digest=digest, generator=GENERATOR,
    )  # fmt: skip
    (output / INDEX).write_text(page, encoding="utf-8", errors=UNNAMEABLE)
    return output / INDEX


@cache
def environment() -> Environment:
    """Return what reads the templates: in HTML, all texts are escaped."""
    made = Environment(
        loader=FileSystemLoader(TEMPLATE), autoescape=lambda name: name is None or ".html" in name,
        trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined,
    )  # fmt: skip
    made.globals |= {"embed": embed, "width": width, "sort_key": sort_key}
    return made


def embed(contents: bytes, kind: str) -> str:
    """Return an image as a data address. kind: svg+xml or jpeg."""
    return f"data:image/{kind};base64,{base64.b64encode(contents).decode()}"


def width(svg: bytes) -> int:
    """Return at how many pixels a plot is shown where there is room; SVG files have their width in points."""
    found = re.search(rb'width="([\d.]+)pt"', svg)
    return round(PIXELS * float(found[1])) if found else 600


def sort_key(value: Value) -> str:
    """Return what a cell is sorted by: numbers in full precision, texts as they are, nothing for a missing value.

    Texts that are numbers, as rates are, sort as numbers.
    """
    return "" if value is None else repr(float(value)) if isinstance(value, float | int) else value


def write_card(folder: Path, file: Path) -> Path:
    """Write the card of a finished run, and return the file. Raises UserError for a run that is not finished."""
    from huggingface_hub import EvalResult, ModelCardData

    run = read_run(folder)
    found = run.summary
    if run.result is None or run.predictions is None or found.accuracy is None:
        raise UserError(f"{folder} has not finished: there is nothing to tell.", "train it to its end")
    known = labelled(run.predictions)
    classes, counts = classes_of(known), confusion_of(known).to_numpy()
    plain, targets = probabilities_of(known), targets_of(known)
    used = scale_by_others(plain, targets) if run.setting("predict.temperature") else plain
    members = [read_run(file.parent) for file in sorted((folder / MEMBERS).rglob(CONFIG))]
    networks = Counter(str(one.setting("model.backbone")) for one in members if not one.setting("members"))
    task, results = "image-classification", []
    for metric, value in {"accuracy": found.accuracy, "f1": found.macro_f1}.items():
        rounded = round(float(value or 0), 4)
        results.append(EvalResult(task, "imagefolder", "validation images", metric, metric_value=rounded))
    header = ModelCardData(
        model_name=run.name, pipeline_tag=task, library_name="onnx" if networks else "timm", license="other",
        tags=[task, "kenyan13"], eval_results=results,
    )  # fmt: skip
    text = environment().get_template("card.md.jinja").render(
        header=header.to_yaml(), run=run, found=found, classes=classes, number=number,
        by_class=class_table(counts, classes).markdown(), pairs=pair_table(counts, classes).markdown(),
        fewest=counts.sum(axis=1).min(), networks=networks, calibration=reliability(targets, used).error,
    )  # fmt: skip
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"{text}\n", encoding="utf-8")
    return file
