"""The command that measures: kenyan13 bench."""

from pathlib import Path
from typing import Annotated

import typer

from kenyan13.cli.app import app
from kenyan13.configuration import compose_settings

PRESETS = ("none", "default", "enhanced", "untuned")


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
    pictures: Annotated[int, typer.Option(min=1, help="Pictures that input is measured on.")] = 64,
    rounds: Annotated[int, typer.Option(min=1, help="Measures of each thing; the median counts.")] = 7,
    quick: Annotated[bool, typer.Option("--quick", help="Few small pictures, once: to see that it works.")] = False,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Also write the figures as JSON.")] = None,
) -> None:
    """Measure decoding, augmentation, loader, model and whole epochs, and say which of them limits."""
    settings = compose_settings(overrides or [])
    if quick:
        pictures, rounds, crop = min(pictures, 16), 1, crop or [64]
        settings.model.crop, settings.model.batch_size = (
            min(settings.model.crop, 64),
            min(settings.model.batch_size, 16),
        )
    from kenyan13.bench import report
    from kenyan13.bench.timing import Effort
    from kenyan13.machine import available_cores, keep_freed_memory

    keep_freed_memory()  # as in training; it helps all libraries
    effort = Effort(rounds, seconds=0 if quick else 0.5)
    facts = {"overrides": overrides or [], "pictures": pictures, "rounds": rounds}
    if epochs:
        from kenyan13.bench.epochs import compare_epochs
        from kenyan13.bench.pictures import large_pictures, read_paths

        with large_pictures(read_paths(settings.data, pictures)) as files:
            figures = compare_epochs(files, settings, Effort(rounds, seconds=0))
        content = report.document(figures, facts | {"ratio": figures[0].seconds / figures[1].seconds})
        lines = [report.table(["epoch", "of", "pictures/s", "ms/picture", "clock"], report.stage_rows(figures))]
        lines += [f"ratio: {content['ratio']:.2f} x"]
    elif peers:
        from kenyan13.bench.peers import compare, ratios
        from kenyan13.bench.pictures import large_pictures, read_paths

        with large_pictures(read_paths(settings.data, pictures)) as files:
            figures = compare(files, crop or [224, 380], settings.augment, effort)
        slower = ratios(figures)
        content = report.document(figures, facts | {"ratios": slower})
        head = ["training input", "crop", "pictures/s", "ms/picture", "ratio"]
        lines = [report.table(head, report.peer_rows(figures, slower))]
        lines += ["On one core, CPU time. ratio: times as long as ours; of the store: as decoding and resizing alone."]
    else:
        from kenyan13.bench.stages import measure_input, measure_training, verdict

        presets = {name: compose_settings([f"augment={name}"]).augment for name in PRESETS}
        figures = measure_input(settings, presets, crop or [224, 380], pictures, effort)
        figures += measure_training(settings, 1 if quick else available_cores(), effort)
        content = report.document(figures, facts | {"verdict": verdict(figures)})
        head = ["stage", "of", "pictures/s", "ms/picture", "clock"]
        lines = [report.table(head, report.stage_rows(figures)), verdict(figures)]
    described = " ".join(f"{name} {version}" for name, version in content["versions"].items())
    print("\n".join([*lines, content["machine"], described]))
    if output:
        report.write(output, content)
