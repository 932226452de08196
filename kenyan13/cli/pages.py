"""Commands that show runs and images on pages: report, contact-sheets, data check, data labels."""

import json
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kenyan13.cli.app import Overrides, Runs, Verbs, app, console, examples, output, words
from kenyan13.config.compose import compose_settings
from kenyan13.terminal import WIDTH, align, fit

if TYPE_CHECKING:
    import pandas as pd

    from kenyan13.data.check import Finding

SHOWN = 24  # photographs of a finding, and likely wrong labels


@app.command(epilog=examples("report", "report runs/C* -o report-size", "report runs/smoke"))
def report(
    runs: Annotated[list[Path] | None, words("RUNS", "Runs, or folders of them; by default runs.")] = None,
    folder: Annotated[Path, output("The report's folder.")] = Path("report"),
) -> None:
    """Write a page of HTML on runs, with tables and plots. These lie beside it as SVG, PNG, CSV and text, too."""
    from kenyan13.report.writing import write_report
    from kenyan13.study.sections import study_jobs

    index, found, sections = write_report(runs or [Path("runs")], folder, study_jobs)
    for run in found:
        if run.problem:
            console.print(f"{run.folder} cannot be read: {run.problem}", style="yellow")
    console.print(f"{index}: {len(found)} run{'s' * (len(found) != 1)}, {len(sections)} sections")


@app.command("contact-sheets", epilog=examples("contact-sheets data=folder data.root=~/birds augment=enhanced"))
def contact_sheets(
    settings: Overrides = None, folder: Annotated[Path, output("The folder of the sheets.")] = Path("contact-sheets")
) -> None:
    """Draw training images, as they are and augmented. There are 36 of each class, and nine under each preset."""
    from kenyan13.training.contact_sheets import write_contact_sheets
    from kenyan13.training.inference import open_data

    written = write_contact_sheets(open_data(compose_settings(settings or [])), folder)
    console.print(f"{len(written)} contact sheets: {folder}")


data = typer.Typer(cls=Verbs, help="What is odd in images and labels.", epilog=examples("data check ~/birds"))
app.add_typer(data, name="data")
Output = Annotated[Path, output("The folder of the page.")]


@data.command("check", epilog=examples("data check ~/birds", "data check data=demo --json"))
def data_check(
    given: Annotated[list[str] | None, words("DATA|KEY=VALUE", "A folder of images, or settings.")] = None,
    folder: Output = Path("data-check"),
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON; no page is written.")] = False,
) -> None:
    """Look for what spoils a training, as duplicates or odd images.

    Also wrong files, personal data, and shortcuts. Exit code 0: nothing found; 1: something found.
    """
    from kenyan13.data import check
    from kenyan13.data.catalogue import read
    from kenyan13.data.source import describe_source
    from kenyan13.data.split import split
    from kenyan13.data.synthetic import draw_if_missing

    settings = compose_settings([word for one in given or [] for word in overrides_of(one)])
    draw_if_missing(settings.data)
    source = read(settings.data)
    parts = dict(zip(("train", "validation"), split(source, settings.data), strict=True))
    parts |= {"test": source.test} if source.test else {}
    looks = check.look_at([path for part in parts.values() for path in part.paths], settings.data)
    table = check.table_of(parts, looks)
    findings = check.check(table, settings.model.crop)
    if as_json:
        counts = {part: rows["label"].value_counts().to_dict() for part, rows in table.groupby("part", sort=False)}
        ids = table["id"].tolist()
        listed = [{"kind": one.kind, "text": one.text, "images": [[ids[row] for row in rows] for rows in one.groups]}
                  for one in findings]  # fmt: skip
        found = {"images": len(table), "classes": counts, "findings": listed}
        print(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        print("\n".join(describe_source(source, parts["train"], parts["validation"])))
        for finding in findings:
            print(textwrap.fill(f"- {finding.text}", WIDTH, subsequent_indent="  "))
        page = write_check_page(table, findings, folder) if findings else None
        print(f"Photographs, with ids: {page}" if page else "Nothing odd was found.")
    raise typer.Exit(1 if findings else 0)


def overrides_of(word: str) -> list[str]:
    """Return a setting as it is; of a folder or table, the settings that read it."""
    root = Path(word).expanduser()
    if "=" in word and not root.exists():
        return [word]
    layout = "table" if root.is_file() else "kenyan13" if (root / "train.csv").is_file() else "folder"
    return [f"data={layout}", f"data.root={word}"]


def write_check_page(table: "pd.DataFrame", findings: "list[Finding]", folder: Path) -> Path:
    """Write the page of a check: class counts, findings, and photographs of each."""
    from kenyan13.report.photos import grid_of
    from kenyan13.report.tables import Column, Section, Table
    from kenyan13.report.writing import write_single_page

    section = Section("overview", "Data check", [one.text for one in findings])
    parts = [str(part) for part in table["part"].unique()]
    counts = table.pivot_table(index="label", columns="part", values="id", aggfunc="count", fill_value=0)
    columns = [Column("label", "class"), *(Column(part, part, 0) for part in parts)]
    section.details.append(Table("classes", "Images of each class", columns, counts.reset_index().to_dict("records")))
    for finding in findings:
        rows = [(number, table.loc[row]) for number, rows in enumerate(finding.groups, 1) for row in rows][:SHOWN]
        texts = [f"{number}. {one['id']}: {one['label'] or 'no label'}, {one['part']}" for number, one in rows]
        captions = [(Path(one["path"]), text) for (_, one), text in zip(rows, texts, strict=True)]
        section.grids += [grid_of(finding.text, captions)] if captions else []
    return write_single_page(section, folder)


@data.command("labels", epilog=examples("data labels runs/fold*"))
def data_labels(runs: Runs, folder: Output = Path("data-labels")) -> None:
    """Rank likely wrong labels, by runs not trained on the images.

    Best are the runs of all folds (-m data.fold=0..4). OUTPUT/labels.csv lists all images; with labels corrected, or
    replaced by drop, it is what data.corrections=FILE reads.
    """
    from kenyan13.analysis.ensemble import rank_labels
    from kenyan13.report.photos import files_by_id, grid_of
    from kenyan13.report.tables import Section
    from kenyan13.report.writing import write_single_page
    from kenyan13.runs.run import read_run

    opened = [read_run(folder) for folder in runs]
    ranked, wrong = rank_labels(opened)
    told = f"About {wrong:,} of {len(ranked):,} labels are likely wrong; the first {SHOWN}:"
    files = files_by_id(opened[0])
    section = Section("overview", "Likely wrong labels", [told])
    rows = [("", "label", "probable", "quality", "image")]
    for number, row in enumerate(ranked[:SHOWN].reset_index().to_dict("records"), 1):
        rows.append((f"{number}", row["label"], row["probable"], f"{row['quality']:.3f}", fit(row["id"], 30)))
        named = {row["id"]: f"{row['label']} ({row['quality']:.0%})?", row["like_label"]: row["label"]}
        named |= {row["like_probable"]: row["probable"]}
        captions = [(files[id_], f"{id_}: {label}") for id_, label in named.items() if id_ in files]
        title = f"{number}. Labelled {row['label']}, probably {row['probable']} ({row['p_probable']:.0%})"
        section.grids += [grid_of(title, captions)] if captions else []
    page, file = write_single_page(section, folder), folder / "labels.csv"
    ranked.to_csv(file, float_format="%.4g")
    print(f"{told}\n\n{align(rows, right={0, 3})}")
    console.print(f"\n{page}\n{file}")
    print(f"To train without them: look, correct the file, and add data.corrections={file} to the command of before.")
