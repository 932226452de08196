"""Commands about the KenyanFood13 study: kenyan13 study ..."""

from pathlib import Path
from typing import Annotated

import typer

from kenyan13.cli.app import app
from kenyan13.errors import UserError
from kenyan13.terminal import align

study = typer.Typer(no_args_is_help=True, help="The KenyanFood13 study's experiments.")
app.add_typer(study, name="study")


@study.command("list", epilog="Examples:  kenyan13 study list      kenyan13 study list C      kenyan13 study list GF")
def study_list(
    group: Annotated[
        str | None, typer.Argument(metavar="[GROUP]", help="A group, as in C, or a set, as in CB.")
    ] = None,
    runs: Annotated[Path, typer.Option(help="The folder with the run directories.")] = Path("runs"),
) -> None:
    """List the study's experiments: what the study reported of them, and their state here."""
    from kenyan13.study.listing import list_groups

    print("\n\n".join(list_groups(group or "", runs)))


@study.command("exposures", epilog="Examples:  kenyan13 study exposures      kenyan13 study exposures --seeds 1,2,3")
def study_exposures(
    seeds: Annotated[
        str | None, typer.Option(help="Seeds with commas between; by default the 15 of group H.", show_default=False)
    ] = None,
    data: Annotated[Path, typer.Option(help="The folder with train.csv; images are not needed.")] = Path(
        "data/kenyan13"
    ),
) -> None:
    """Count how often each image is trained on, and validated, when each seed makes its own split."""
    from kenyan13.data.catalogue import GET_DATA, read_labels
    from kenyan13.study import exposure

    numbers = exposure.study_seeds() if seeds is None else read_seeds(seeds)
    labelled = read_labels(data, GET_DATA[0], "--data DIR if it lies elsewhere")
    counts = exposure.exposures(labelled, numbers)
    images, splits = len(counts), len(numbers)
    summary = [
        ("times in the training part", ""),
        ("lowest", f"{counts.min()}"),
        ("highest", f"{counts.max()}"),
        ("mean", f"{counts.mean():.2f}"),
        ("standard deviation", f"{counts.std():.2f}"),
    ]
    validated = [int((counts == splits - times).sum()) for times in range(splits - int(counts.min()) + 1)]
    histogram = [(f"{times}", f"{count:,}", f"{count / images:.1%}") for times, count in enumerate(validated)]
    print(f"{images:,} labelled images, {splits} stratified splits: 80 % to train, 20 % to validate\n")
    print(align(summary, right={1}))
    print("\n" + align([("times validated", "images", "share"), *histogram], right={0, 1, 2}))
    print(f"\nNever validated: {validated[0]:,}, in the training part of every split.")
    print("Five folds (data.fold=0 to 4) validate each image exactly once.")


def read_seeds(text: str) -> tuple[int, ...]:
    """Return the seeds of a text as 42,5174. Raises UserError for anything but whole numbers from 0 to 2^32 - 1."""
    try:
        seeds = tuple(int(word) for word in text.split(","))
    except ValueError:
        seeds = ()
    if not seeds or not all(0 <= seed < 2**32 for seed in seeds):
        raise UserError(f"--seeds {text} is no list of seeds.", "whole numbers with commas between: --seeds 42,5174")
    return seeds


@study.command("table", epilog="Examples:  kenyan13 study table C      kenyan13 study table C debug=smoke")
def study_table(
    group: Annotated[str, typer.Argument(metavar="GROUP", help="A group, as in C.")],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="Settings that the runs were made with: debug=smoke, runs=DIR."),
    ] = None,
) -> None:
    """Print a group's tables: our metrics beside the study's."""
    from kenyan13.study.group_tables import tables_of_settings

    print("\n\n".join(table.text() for table in tables_of_settings(group, overrides or [])))
