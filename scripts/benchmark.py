"""Time training on this machine: input and whole epochs beside other libraries', and its stages one by one.

Example: python scripts/benchmark.py input data.root=DIR --output runs/bench.json

Example: python scripts/benchmark.py epochs model=resnet18 data.root=DIR --images 96 --rounds 3

Example: python scripts/benchmark.py stages data=demo model=resnet18
"""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from bench import epochs as whole
from bench import peers
from bench import stages as parts
from bench.measure import document, write
from PIL import Image

from kenyan13.config.compose import compose_settings, explain
from kenyan13.config.settings import DataSettings
from kenyan13.data.catalogue import read
from kenyan13.data.images import decode
from kenyan13.data.synthetic import draw_if_missing
from kenyan13.errors import one_screen
from kenyan13.machine import keep_freed_memory
from kenyan13.terminal import align

SHORT_SIDE, QUALITY = 1080, 90  # pixels of KenyanFood13's photographs; JPEG quality

app = typer.Typer(help=__doc__, add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)
Overrides = Annotated[list[str] | None, typer.Argument(help="Settings, as for python train.py.")]
Number = Annotated[int, typer.Option(min=2, help="Images that are measured on.")]
Rounds = Annotated[int, typer.Option(min=1, help="Measures of each thing; the median counts.")]
Seconds = Annotated[float, typer.Option(min=0, help="The least that each thing is measured for in a round.")]
Crops = Annotated[list[int] | None, typer.Option(min=8, help="Crop in pixels; may be repeated. By default 224, 380.")]
Output = Annotated[Path | None, typer.Option("--output", "-o", help="Also write the rates as JSON.")]


@app.command("input")
def training_input(
    overrides: Overrides = None, crop: Crops = None, images: Number = 64, rounds: Rounds = 7, seconds: Seconds = 0.5,
    output: Output = None,
) -> None:  # fmt: skip
    """Compare training input with the study's, torchvision's and timm's, in CPU time of one core."""
    with one_screen(explain):
        settings = compose_settings(overrides or [])
        with large_images(settings.data, images) as files:
            rates = peers.compare(files, crop or [224, 380], settings.augment, rounds, seconds)
    ratios = peers.ratios(rates)
    rows = [
        (rate.name, rate.detail, f"{1000 * rate.seconds:.2f}", f"{ratios[rate.detail].get(rate.name, 1):.1f} x")
        for rate in rates
    ]
    print(align([("training input", "crop", "ms/image", "ratio"), *rows], right=(1, 2, 3)))
    print("ratio: times as long as ours; of the store: as decoding and resizing alone.")
    if output:
        write(output, document(rates, overrides=overrides or [], images=images, rounds=rounds, ratios=ratios))


@app.command()
def epochs(overrides: Overrides = None, images: Number = 64, rounds: Rounds = 7, output: Output = None) -> None:
    """Compare whole training epochs with those of a plain loop, in wall time on all cores."""
    keep_freed_memory()  # as in training
    with one_screen(explain):
        settings = compose_settings(overrides or [])
        with large_images(settings.data, images) as files:
            rates = whole.compare(files, settings, rounds)
    plain, ours = rates
    ratio = plain.seconds / ours.seconds
    rows = [(rate.name, rate.detail, f"{1000 * rate.seconds:.1f}") for rate in rates]
    print(align([("epoch", "of", "ms/image"), *rows], right=(2,)), f"ratio: {ratio:.2f} x", sep="\n")
    if output:
        write(output, document(rates, overrides=overrides or [], images=images, rounds=rounds, ratio=ratio))


@app.command()
def stages(overrides: Overrides = None, seconds: Seconds = 2.0) -> None:
    """Measure decoding, augmentation, loader, model and whole epochs, and say which of them limits training here."""
    keep_freed_memory()  # as in training
    with one_screen(explain):
        rates = parts.measure_stages(compose_settings(overrides or []), seconds)
    rows = [
        (rate.stage, rate.of, f"{rate.images_per_second:,.0f}", f"{1000 / rate.images_per_second:.3f}")
        for rate in rates
    ]
    print(align([("stage", "with", "images/s", "ms/image"), *rows], right=(2, 3)), parts.verdict(rates), sep="\n")


@contextmanager
def large_images(settings: DataSettings, number: int) -> Iterator[list[Path]]:
    """Write up to `number` labelled images anew, short sides of 1080 pixels, as JPEG files that a context uses.

    They lie below train/ in two classes, so that training can read them; it validates on one image of each.
    """
    draw_if_missing(settings)
    paths = read(settings).labelled.paths
    chosen = [paths[row] for row in np.linspace(0, len(paths) - 1, min(number, len(paths))).astype(int)]
    with tempfile.TemporaryDirectory(prefix="kenyan13-bench-") as folder:
        files = [Path(folder, "train", "ab"[row % 2], f"{row:04d}.jpg") for row in range(len(chosen))]
        for path, file in zip(chosen, files, strict=True):
            image = decode(path)
            scale = SHORT_SIDE / min(image.size)
            size = (round(image.width * scale), round(image.height * scale))
            file.parent.mkdir(parents=True, exist_ok=True)
            image.resize(size, Image.Resampling.BICUBIC).save(file, quality=QUALITY)
        for name, file in zip("ab", files, strict=False):
            Path(folder, "val", name).mkdir(parents=True)
            shutil.copy(file, Path(folder, "val", name))
        yield files


if __name__ == "__main__":
    app()
