"""The command that makes the best model of some images: best."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kenyan13.cli.app import app, console, examples, print_next, words
from kenyan13.cli.probe import chosen_model, rank
from kenyan13.config.compose import compose_settings
from kenyan13.config.settings import Settings
from kenyan13.errors import UserError
from kenyan13.runs.locate import run_directory
from kenyan13.terminal import align, duration

if TYPE_CHECKING:
    import pandas as pd

MODELS = ("efficientnetv2_s", "convnextv2_tiny", "dinov2_small")  # of several families, whose mistakes are different
HEAD = ("", "accuracy %", "95 % interval", "log loss")


@app.command(epilog=examples("best data=folder data.root=DIR", "best resnet50 dinov2_small data.root=DIR --hours 8"))
def best(
    given: Annotated[list[str] | None, words("[MODEL] [KEY=VALUE]", "Backbones, and settings, as for train.")] = None,
    weights: Annotated[Path | None, typer.Option(metavar="DIR", help="A folder of NAME.safetensors to try.")] = None,
    top: Annotated[int, typer.Option(min=1, help="How many backbones to fine-tune, of those tried.")] = 3,
    hours: Annotated[float | None, typer.Option(min=0, help="Fine-tune no more than what this time allows.")] = None,
    save: Annotated[str, typer.Option(metavar="NAME|DIR", help="The run that is made of the best models.")] = "best",
) -> None:
    """Make the best model: several networks, averaged.

    Linear classifiers on frozen features (recipe=quick) rank the backbones; the best ones are fine-tuned
    (recipe=modern). Of all these models, those are averaged whose mean is best out of fold. Each fold is a run:
    interrupted, the same command goes on.
    """
    from kenyan13.analysis.ensemble import pool, select
    from kenyan13.analysis.saving import save_runs
    from kenyan13.runs.run import read_run

    models, settings = choose_models(given or [], weights)
    found: dict[str, list[Path]] = {}
    for model, chosen in models.items():
        without = [word for word in settings if not word.startswith("trainer.max_epochs=")]  # quick's are none
        found |= train_folds(f"{model} quick", [*chosen, *without, "recipe=quick"])
    if not found:
        raise UserError("None of these models could be trained.", "the reasons are above")
    tables = {name: pool([read_run(folder) for folder in folders]) for name, folders in found.items()}
    ranked = [name.removesuffix(" quick") for name in rank(tables) if name in found]
    for model in affordable({model: [*models[model], *settings] for model in ranked[:top]}, hours):
        found |= train_folds(f"{model} modern", [*models[model], *settings, "recipe=modern"])
    tables = {name: pool([read_run(folder) for folder in folders]) for name, folders in found.items()}
    chosen, mean = select(tables)
    print_models(tables, chosen, mean)
    saved = save_runs(save, [read_run(folder) for name in chosen for folder in found[name]], mean)
    print_next(["kenyan13", "predict", str(saved), "PHOTO.jpg"], ["kenyan13", "report", str(saved)])


def choose_models(given: Sequence[str], weights: Path | None) -> tuple[dict[str, list[str]], list[str]]:
    """Return the settings of each model by name, and those of all models."""
    files = {file.stem: file for file in sorted(weights.glob("*.safetensors"))} if weights else {}
    if weights and not files:
        raise UserError(f"There are no *.safetensors in {weights}.", "give the folder of weights: --weights DIR")
    settings = [word for word in given if "=" in word]
    names = [word for word in given if "=" not in word] or files or MODELS
    weights_of = {name: [f"model.weights={file}"] for name, file in files.items()}
    return {name: [chosen_model(name), *weights_of.get(name, [])] for name in names}, settings


def train_folds(name: str, overrides: Sequence[str]) -> dict[str, list[Path]]:
    """Train the folds of a model, and return their folders under its name; {} where a network cannot be had."""
    from kenyan13.training.run import train

    console.print(f"\n{name}", style="bold")
    folders: list[Path] = []
    for fold in range(compose_settings(overrides).data.folds):
        settings = compose_settings([*overrides, f"data.fold={fold}"])
        try:
            train(settings, brief=True)
        except UserError as error:
            if folders:
                raise
            console.print(f"{name} is left out: {error}", style="yellow")
            return {}
        folders.append(run_directory(settings))
    return {name: folders}


def affordable(models: dict[str, list[str]], hours: float | None) -> list[str]:
    """Return the models whose folds can be trained in the hours, after printing how long each will take."""
    kept, total = [], 0.0
    console.print("\nFine-tuning takes about:", style="bold")
    for model, overrides in models.items():
        seconds = estimate(compose_settings([*overrides, "recipe=modern"]))
        fits = hours is None or total + seconds <= 3600 * hours
        total += seconds if fits else 0.0
        kept += [model] if fits else []
        console.print(f"  {model:<40} {duration(seconds):>10}{'' if fits else '  left out: --hours'}")
    console.print(f"  {'together':<40} {duration(total):>10}")
    return kept


def estimate(settings: Settings) -> float:
    """Return the seconds that the folds of a run will take here, from a few steps of it."""
    import torch

    from kenyan13.model.backbones import build
    from kenyan13.training.arithmetic import FLOAT, MIXED, seconds_a_step
    from kenyan13.training.inference import read_data
    from kenyan13.training.run import epochs_of
    from kenyan13.training.trainer import one_device, precision

    model, device, data = settings.model, one_device(settings), read_data(settings)
    images = torch.zeros(model.batch_size, 3, model.crop, model.crop, device=device)
    network = build(model, len(data.classes), pretrained=False).to(device)
    step = seconds_a_step(network, images, MIXED if "bf16" in str(precision(settings)) else FLOAT)
    folds, labelled = settings.data.folds, sum(map(len, data.catalogues[:2]))
    train = labelled * (folds - 1) / folds
    views = epochs_of(settings, round(train)) * (train + 2 / 3 * labelled / folds)  # validation: two passes an image
    return folds * step * views / model.batch_size


def print_models(tables: "dict[str, pd.DataFrame]", chosen: Sequence[str], mean: "pd.DataFrame") -> None:
    """Print how good each model is out of fold, which ones are averaged, and how good their mean is."""
    marked = {name + " *" * (name in chosen): table for name, table in tables.items()}
    ranked = rank({**marked, "mean of those with *": mean})
    rows = [cells for name, cells in ranked.items() if name != "mean of all"]
    console.print("\n" + align([HEAD, *rows], right={1, 2, 3}))
    console.print(f"Out of fold, on {len(mean):,} images: each by models that were not trained on it.")
