"""Commands about the KenyanFood13 study: kenyan13 study ..."""

import json
from pathlib import Path
from typing import Annotated

import typer

from kenyan13.cli.app import Verbs, app, examples, output, words
from kenyan13.terminal import WIDTH, align, fit

study = typer.Typer(cls=Verbs, help="The KenyanFood13 study's experiments.", epilog=examples("study list C"))
app.add_typer(study, name="study")


@study.command("list", epilog=examples("study list", "study list C", "study list GF"))
def study_list(
    group: Annotated[str | None, words("GROUP", "A group, as in C, or a set, as in CB.")] = None,
    runs: Annotated[Path, typer.Option(help="The folder with the run directories.")] = Path("runs"),
) -> None:
    """List the study's experiments, its metrics, their state here."""
    from kenyan13.study.tables import list_groups

    print("\n\n".join(list_groups(group or "", runs)))


@study.command("exposures", epilog=examples("study exposures --seed 1 --seed 2"))
def study_exposures(
    seed: Annotated[list[int] | None, typer.Option(min=0, max=2**32 - 1, help="Seeds; by default the 15 of H.")] = None,
    data: Annotated[Path, typer.Option(help="The folder with train.csv.")] = Path("data/kenyan13"),
    as_json: Annotated[bool, typer.Option("--json", help="Print the numbers as JSON.")] = False,
) -> None:
    """Count how often each image is trained on. Each seed makes its own split; the others are validated."""
    import numpy as np

    from kenyan13.data.tables import read_labels
    from kenyan13.study import ensembles

    numbers = tuple(seed or ensembles.study_seeds())
    counts = ensembles.exposures(read_labels(data), numbers)
    images, splits = len(counts), len(numbers)
    found = {name: float(getattr(np, name)(counts)) for name in ("min", "max", "median", "mean", "std")}
    trained = np.bincount(counts, minlength=splits + 1).tolist()
    if as_json:
        by_times = {"images_by_times_trained": dict(enumerate(trained))}
        print(json.dumps({"images": images, "splits": splits, **found, **by_times}, indent=2))
        return
    validated = trained[counts.min() :][::-1]
    rows = [[f"{k}", f"{n:,}", f"{n / images:.2%}", "#" * (40 * n // max(validated))] for k, n in enumerate(validated)]
    print(f"{images:,} labelled images, {splits} stratified splits: 80 % to train, 20 % to validate\n")
    print(f"Times in the training part: {counts.min()} to {counts.max()}, median {found['median']:g}")
    print(f"mean {found['mean']:.4f}, standard deviation {found['std']:.4f}\n")
    print(align([("times validated", "images", "share", ""), *rows], right={0, 1, 2}))
    print(f"\nNever validated: {validated[0]:,}, whereas data.fold=0..4 validates each image exactly once.")


Group = Annotated[str, words("GROUP", "A group, as in C.")]
Overrides = Annotated[list[str] | None, words("KEY=VALUE", "What the runs were made with: debug=smoke, runs=DIR.")]


@study.command("table", epilog=examples("study table C", "study table C debug=smoke"))
def study_table(group: Group, overrides: Overrides = None) -> None:
    """Print a group's tables: our metrics beside the study's."""
    from kenyan13.study.group_tables import tables_of_settings

    print("\n\n".join(table.text() for table in tables_of_settings(group, overrides or [])))


@study.command("verify", epilog=examples("study verify C", "study verify", "study verify C debug=smoke"))
def study_verify(
    group: Annotated[str | None, words("GROUP", "A group, as in C; by default all.")] = None,
    overrides: Overrides = None,
    folder: Annotated[Path, output("The folder for the certificates.")] = Path(),
) -> None:
    """Check that runs are the study's, and what they say of it.

    Prints accuracies against the study's, its conclusions, and what does not hold. Writes certificate-GROUP.json, and
    certificate-GROUP/index.html; on another network, certificate-GROUP-NETWORK.
    """
    from kenyan13.report.tables import Section
    from kenyan13.report.writing import write_single_page
    from kenyan13.runs.directory import replacing
    from kenyan13.study.definitions import GROUPS
    from kenyan13.study.verify import verify

    problems: list[str] = []
    for letter in [group] if group else GROUPS:
        certificate, tables = verify(letter, overrides or [])
        folder.mkdir(parents=True, exist_ok=True)
        name = f"certificate-{letter}-{certificate['network']}".rstrip("-")
        with replacing(folder / f"{name}.json") as file:
            file.write_text(json.dumps(certificate, indent=2, default=str) + "\n")
        print("\n\n".join(table.text() for table in tables if table.rows), end="\n\n")
        found = certificate["does_not_hold"]
        texts = [f"{len(found)} things do not hold:" if found else "SUCCESS: all rules hold.", *found]
        page = Section("overview", f"Certificate of group {letter}", texts, [one for one in tables if one.rows])
        write_single_page(page, folder / name)
        problems += found
    for problem in problems:
        print(fit(problem, WIDTH))
    print(f"{len(problems)} things do not hold." if problems else "SUCCESS: all rules hold.")
    if problems:
        raise typer.Exit(1)


@study.command("pack", epilog=examples("study pack C", "study pack C --output C.zip runs=DIR"))
def study_pack(
    group: Group,
    overrides: Overrides = None,
    archive: Annotated[Path | None, output("The archive; by default GROUP.zip.")] = None,
) -> None:
    """Archive what a group's tables are made from. Photographs and networks are not in it."""
    from kenyan13.study.group_tables import pack

    file = archive or Path(f"{group}.zip")
    print(f"{pack(group, overrides or [], file)} runs: {file}")
