"""Commands about the KenyanFood13 study: kenyan13 study ..."""

from pathlib import Path
from typing import Annotated

import typer

from kenyan13.cli.app import Verbs, app, examples
from kenyan13.terminal import align

study = typer.Typer(cls=Verbs, help="The KenyanFood13 study's experiments.", epilog=examples("study list C"))
app.add_typer(study, name="study")


@study.command("list", epilog=examples("study list", "study list C", "study list GF"))
def study_list(
    group: Annotated[str | None, typer.Argument(metavar="GROUP", help="A group, as in C, or a set, as in CB.")] = None,
    runs: Annotated[Path, typer.Option(help="The folder with the run directories.")] = Path("runs"),
) -> None:
    """List the study's experiments, its metrics, their state here."""
    from kenyan13.study.listing import list_groups

    print("\n\n".join(list_groups(group or "", runs)))


@study.command("exposures", epilog=examples("study exposures --seed 1 --seed 2"))
def study_exposures(
    seed: Annotated[
        list[int] | None,
        typer.Option(min=0, max=2**32 - 1, help="A seed, or more; by default the 15 of group H."),
    ] = None,
    data: Annotated[Path, typer.Option(help="The folder with train.csv.")] = Path("data/kenyan13"),
) -> None:
    """Count how often each image is trained on. Each seed makes its own split; the others are validated."""
    from kenyan13.data.tables import GET_DATA, read_labels
    from kenyan13.study import exposure

    numbers = tuple(seed or exposure.study_seeds())
    labelled = read_labels(data, GET_DATA[0], "--data DIR if it lies elsewhere")
    counts = exposure.exposures(labelled, numbers)
    images, splits = len(counts), len(numbers)
    validated = [int((counts == splits - times).sum()) for times in range(splits - int(counts.min()) + 1)]
    histogram = [(f"{times}", f"{count:,}", f"{count / images:.1%}") for times, count in enumerate(validated)]
    print(f"{images:,} labelled images, {splits} stratified splits: 80 % to train, 20 % to validate\n")
    mean, deviation = f"mean {counts.mean():.2f}", f"standard deviation {counts.std():.2f}"
    print(f"Times in the training part: {counts.min()} to {counts.max()}, {mean}, {deviation}\n")
    print(align([("times validated", "images", "share"), *histogram], right={0, 1, 2}))
    print(f"\nNever validated: {validated[0]:,}, in the training part of every split.")
    print("Five folds (data.fold=0 to 4) validate each image exactly once.")


@study.command("table", epilog=examples("study table C", "study table C debug=smoke"))
def study_table(
    group: Annotated[str, typer.Argument(metavar="GROUP", help="A group, as in C.")],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY=VALUE", help="Settings that the runs were made with: debug=smoke, runs=DIR."),
    ] = None,
) -> None:
    """Print a group's tables: our metrics beside the study's."""
    from kenyan13.study.group_tables import tables_of_settings

    print("\n\n".join(table.text() for table in tables_of_settings(group, overrides or [])))
