"""The command that measures: kenyan13 bench."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from kenyan13.cli.app import app
from kenyan13.config.compose import compose_settings
from kenyan13.config.settings import Settings

if TYPE_CHECKING:
    from kenyan13.bench.timing import Effort, Figure

PRESETS = ("none", "default", "enhanced", "untuned")
RATES = ("images/s", "ms/image", "clock")
Measured: TypeAlias = tuple[list["Figure"], dict[str, Any], list[str]]  # figures, facts for JSON, lines to print


@app.command(epilog="Examples:  kenyan13 bench data=demo model=resnet18      kenyan13 bench --peers data.root=DIR")
def bench(
    overrides: Annotated[
        list[str] | None, typer.Argument(help="Settings, as for python train.py: data.root=DIR model=efficientnet_b4.")
    ] = None,
    peers: Annotated[
        bool, typer.Option("--peers", help="Compare training input with other libraries' instead, on one core.")
    ] = False,
    epochs: Annotated[
        bool, typer.Option("--epochs", help="Compare whole training epochs with a plain loop's instead, on all cores.")
    ] = False,
    crop: Annotated[
        list[int] | None, typer.Option(min=8, help="Crop in pixels; several may be given. By default 224 and 380.")
    ] = None,
    images: Annotated[int, typer.Option(min=1, help="Images that input is measured on.")] = 64,
    rounds: Annotated[int, typer.Option(min=1, help="Measures of each thing; the median counts.")] = 7,
    quick: Annotated[bool, typer.Option("--quick", help="Few small images, once: to see that it works.")] = False,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Also write the figures as JSON.")] = None,
) -> None:
    """Measure decoding, augmentation, loader, model and whole epochs, and say which of them limits."""
    settings = compose_settings(overrides or [])
    crops = crop or ([64] if quick else [224, 380])
    if quick:
        images, rounds = min(images, 16), 1
        settings.model.crop, settings.model.batch_size = min(settings.model.crop, 64), 16
    from kenyan13.bench import report
    from kenyan13.bench.timing import Effort
    from kenyan13.machine import keep_freed_memory

    keep_freed_memory()  # as in training
    effort = Effort(rounds, seconds=0 if quick else 0.5)
    if epochs:
        figures, facts, lines = whole_epochs(settings, images, Effort(rounds, seconds=0))
    elif peers:
        figures, facts, lines = beside_peers(settings, images, crops, effort)
    else:
        figures, facts, lines = stage_by_stage(settings, images, crops, effort)
    facts |= {"overrides": overrides or [], "images": images, "rounds": rounds}
    content = report.document(figures, facts)
    described = " ".join(f"{name} {version}" for name, version in content["versions"].items())
    print("\n".join([*lines, content["machine"], described]))
    if output:
        report.write(output, content)


def whole_epochs(settings: Settings, images: int, effort: "Effort") -> Measured:
    """Compare epochs with a plain loop's."""
    from kenyan13.bench import report
    from kenyan13.bench.epochs import compare_epochs
    from kenyan13.bench.images import large_images, read_paths

    with large_images(read_paths(settings.data, images)) as files:
        figures = compare_epochs(files, settings, effort)
    ratio = figures[0].seconds / figures[1].seconds
    table = report.table(["epoch", "of", *RATES], report.stage_rows(figures))
    return figures, {"ratio": ratio}, [table, f"ratio: {ratio:.2f} x"]


def beside_peers(settings: Settings, images: int, crops: list[int], effort: "Effort") -> Measured:
    """Compare training input with other libraries'."""
    from kenyan13.bench import report
    from kenyan13.bench.images import large_images, read_paths
    from kenyan13.bench.peers import compare, ratios

    with large_images(read_paths(settings.data, images)) as files:
        figures = compare(files, crops, settings.augment, effort)
    slower = ratios(figures)
    head = ["training input", "crop", "images/s", "ms/image", "ratio"]
    note = "On one core, CPU time. ratio: times as long as ours; of the store: as decoding and resizing alone."
    return figures, {"ratios": slower}, [report.table(head, report.peer_rows(figures, slower)), note]


def stage_by_stage(settings: Settings, images: int, crops: list[int], effort: "Effort") -> Measured:
    """Measure every stage of training on this machine."""
    from kenyan13.bench import report
    from kenyan13.bench.stages import measure_input, measure_training, verdict
    from kenyan13.machine import available_cores

    presets = {name: compose_settings([f"augment={name}"]).augment for name in PRESETS}
    figures = measure_input(settings, presets, crops, images, effort)
    figures += measure_training(settings, available_cores() if effort.seconds else 1, effort)
    table = report.table(["stage", "of", *RATES], report.stage_rows(figures))
    return figures, {"verdict": verdict(figures)}, [table, verdict(figures)]
