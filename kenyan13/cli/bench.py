"""The command that measures what limits training: kenyan13 bench."""

from typing import Annotated

import typer

from kenyan13.cli.app import app
from kenyan13.config.compose import compose_settings
from kenyan13.terminal import align


@app.command(epilog="Example:  kenyan13 bench data=demo model=resnet18")
def bench(
    overrides: Annotated[
        list[str] | None, typer.Argument(help="Settings, as for python train.py: data.root=DIR model=efficientnet_b4.")
    ] = None,
) -> None:
    """Measure decoding, augmentation, loader, model and whole epochs, and say which of them limits training here."""
    settings = compose_settings(overrides or [])
    from kenyan13.machine import keep_freed_memory
    from kenyan13.training.bench import measure_stages, verdict

    keep_freed_memory()  # as in training
    rates = measure_stages(settings)
    rows = [
        (rate.stage, rate.of, f"{rate.images_per_second:,.0f}", f"{1000 / rate.images_per_second:.3f}")
        for rate in rates
    ]
    print(align([("stage", "with", "images/s", "ms/image"), *rows], right=(2, 3)), verdict(rates), sep="\n")
