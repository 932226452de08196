"""The command that measures what limits training: kenyan13 bench."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from kenyan13.cli.app import app
from kenyan13.config.compose import compose_settings
from kenyan13.terminal import align


@app.command(epilog="Example:  kenyan13 bench data=demo model=resnet18")
def bench(
    overrides: Annotated[
        list[str] | None, typer.Argument(help="Settings, as for python train.py: data.root=DIR model=efficientnet_b4.")
    ] = None,
    images: Annotated[int, typer.Option(min=1, help="Images that decoding and augmentation are measured on.")] = 64,
    rounds: Annotated[int, typer.Option(min=1, help="Measures of each stage; the median counts.")] = 7,
    quick: Annotated[bool, typer.Option("--quick", help="Few small images, once: to see that it works.")] = False,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Also write the rates as JSON.")] = None,
) -> None:
    """Measure decoding, augmentation, loader, model and whole epochs, and say which of them limits training here."""
    settings = compose_settings(overrides or [])
    if quick:
        images, rounds = min(images, 16), 1
        settings.model.crop, settings.model.batch_size = min(settings.model.crop, 64), 16
    from kenyan13.machine import keep_freed_memory
    from kenyan13.training.bench import document, measure_stages, verdict

    keep_freed_memory()  # as in training
    rates = measure_stages(settings, images, rounds, seconds=0 if quick else 0.5)
    rows = [
        (rate.name, rate.detail, f"{rate.images_per_second:,.0f}", f"{1000 * rate.seconds:.3f}", rate.clock)
        for rate in rates
    ]
    content = document(rates, overrides=overrides or [], images=images, rounds=rounds, verdict=verdict(rates))
    print(align([("stage", "of", "images/s", "ms/image", "time of"), *rows], right=(2, 3)))
    print(content["machine"], content["verdict"], sep="\n")
    if output:
        write(output, content)


def write(file: Path, content: dict[str, Any]) -> None:
    """Write what was measured as JSON, with the folders above the file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content, indent=2) + "\n")
