"""Commands that choose a network, or its learning rate: probe, lr-find, best."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kenyan13.cli.app import Overrides, app, console, examples, output, print_next, score_cells, words
from kenyan13.config.compose import compose_settings
from kenyan13.config.identity import run_name
from kenyan13.config.presets import presets
from kenyan13.config.settings import Settings
from kenyan13.errors import UserError
from kenyan13.runs.directory import OUT_OF_FOLD
from kenyan13.runs.locate import run_directory
from kenyan13.terminal import align, duration

if TYPE_CHECKING:
    import pandas as pd

HEAD = ("model", "accuracy %", "95 % interval", "log loss", "")  # and the time, if it is known
Weights = Annotated[Path | None, typer.Option(metavar="DIR", help="A folder of NAME.safetensors to try.")]
MODELS = ("efficientnetv2_s", "convnextv2_tiny", "dinov2_small")  # of several families, whose mistakes are different


@app.command(epilog=examples("probe resnet18 mobilenetv2_100", "probe resnet50 regnety_008 data=folder data.root=DIR"))
def probe(
    given: Annotated[list[str] | None, words("MODEL [KEY=VALUE]", "Names of conf/model or of timm, settings.")] = None,
    weights: Weights = None,
) -> None:
    """Rank backbones by linear heads, a minute each.

    A linear classifier is fitted to what each backbone, frozen, makes of the training images. Accuracy and log loss are
    out of fold: of each image by a classifier that was not fitted to it. Each model is a run with recipe=quick: it
    predicts, evaluates, is reported and combined like any other.
    """
    from kenyan13.analysis.ensemble import align as aligned_of
    from kenyan13.runs.predictions import read_predictions
    from kenyan13.training.run import train

    models = chosen_models(given or [], weights, ())
    if not models:
        raise UserError("There is no model to probe.", "kenyan13 probe resnet18 mobilenetv2_100")
    tables, times, folders = {}, {}, {}
    for model, chosen in models.items():
        settings = compose_settings(["recipe=quick", *chosen])
        times[model] = duration(train(settings, brief=True).seconds)
        folders[model] = run_directory(settings)
        tables[model] = read_predictions(folders[model], OUT_OF_FOLD)
    means = {"mean of all": aligned_of(tables).mean()} if len(tables) > 1 else {}
    best = rank(tables)[0]
    print_ranked(tables | means, times)
    combined = [["kenyan13", "ensemble", *map(str, folders.values())]] if means else []
    print_next(["kenyan13", "predict", str(folders[best]), "PHOTO.jpg"], *combined)


@app.command("lr-find", epilog=examples("lr-find model=dinov2_small data=folder data.root=DIR", "lr-find freeze=pt2"))
def lr_find(
    given: Overrides = None,
    steps: Annotated[int, typer.Option(min=20, help="How many batches to train on, each at a higher rate.")] = 100,
    folder: Annotated[Path, output("The folder for plot and table.")] = Path("lr_find"),
) -> None:
    """Suggest a learning rate, by a minute of training.

    A new network trains at rates from 1e-6 to 1, and is thrown away. The suggestion is a tenth of the highest rate at
    which the loss, smoothed, was lowest. With rates by depth (optim.layer_decay), layers keep their shares of the rate.
    """
    from kenyan13.plots.style import save_plot
    from kenyan13.plots.training import range_test_plot
    from kenyan13.training.rates import find_rate

    overrides = [word for word in given or [] if not word.startswith("optim.lr=")]
    settings = compose_settings(overrides)
    table, rate = find_rate(settings, steps)
    path = folder / run_name(settings)
    save_plot(path, range_test_plot, *(table[name].to_numpy() for name in table), rate)
    table.to_csv(path.with_suffix(".csv"), index=False)
    console.print(f"Suggested: optim.lr={rate:.1e}\n{path}.png\n{path}.csv")
    print_next(["kenyan13", "train", *overrides, f"optim.lr={rate:.1e}"])


@app.command(epilog=examples("best data=folder data.root=DIR", "best resnet50 dinov2_small data.root=DIR --hours 8"))
def best(
    given: Annotated[list[str] | None, words("[MODEL] [KEY=VALUE]", "Backbones, and settings, as for train.")] = None,
    weights: Weights = None,
    top: Annotated[int, typer.Option(min=1, help="How many backbones to fine-tune, of those tried.")] = 3,
    hours: Annotated[float | None, typer.Option(min=0, help="Fine-tune no more than what this time allows.")] = None,
    save: Annotated[str, typer.Option(metavar="NAME|DIR", help="The run that is made of the best models.")] = "best",
) -> None:
    """Make the best model: several networks, averaged.

    Linear classifiers on frozen features (recipe=quick) rank the backbones; the best ones are fine-tuned
    (recipe=modern). Of all these models, those are averaged whose mean is best out of fold. Each fold is a run:
    interrupted, the same command goes on.
    """
    from kenyan13.analysis.ensemble import pool
    from kenyan13.analysis.saving import save_runs, select, select_by_others
    from kenyan13.runs.predictions import read_predictions
    from kenyan13.runs.run import read_run

    models = chosen_models(given or [], weights, MODELS)
    found: dict[str, list[Path]] = {}
    for name, chosen in models.items():
        without = [word for word in chosen if not word.startswith("trainer.max_epochs=")]  # quick's are none
        found |= train_folds(f"{name} quick", [*without, "recipe=quick"])
    if not found:
        raise UserError("None of these models could be trained.", "the reasons are above")
    tables = {name: pool([read_run(folder) for folder in folders]) for name, folders in found.items()}
    ranked = [name.removesuffix(" quick") for name in rank(tables)]
    for name in affordable({name: [*models[name], "recipe=modern"] for name in ranked[:top]}, hours):
        found |= train_folds(f"{name} modern", [*models[name], "recipe=modern"])
    tables = {name: pool([read_run(folder) for folder in folders]) for name, folders in found.items()}
    selected, mean = select(tables)
    marked = {name + " *" * (name in selected): table for name, table in tables.items()}
    folds = [read_predictions(folder).index for folder in found[selected[0]]]
    print_ranked({**marked, "mean of those with *": select_by_others(tables, folds)})
    console.print("Which to average was chosen by the other folds, too.")
    saved = save_runs(save, [read_run(folder) for name in selected for folder in found[name]], mean)
    done = [["kenyan13", verb, str(saved)] for verb in ("report", "export")]
    print_next(["kenyan13", "predict", str(saved), "PHOTO.jpg"], *done)


def chosen_models(given: Sequence[str], weights: Path | None, usual: Sequence[str]) -> dict[str, list[str]]:
    """Return the settings of each model by name: those given, or of a folder of weights, or the usual ones."""
    names, overrides = [word for word in given if "=" not in word], [word for word in given if "=" in word]
    files = {file.stem: file for file in sorted(weights.glob("*.safetensors"))} if weights else {}
    if weights and not files:
        raise UserError(f"There are no *.safetensors in {weights}.", "give the folder of weights: --weights DIR")
    models = {name: [chosen_model(name), *overrides] for name in names or files or usual}
    for name in files.keys() & models.keys():
        models[name].append(f"model.weights={files[name]}")
    return models


def chosen_model(name: str) -> str:
    """Return the setting that chooses a network by its name in conf/model or in timm: of a preset's, the preset."""
    same = [key for key, preset in presets("model").items() if name in (key, preset["backbone"].partition(".")[0])]
    return f"model={same[0]}" if same else f"model.backbone={name}"


def rank(tables: "dict[str, pd.DataFrame]") -> list[str]:
    """Return the names of predictions, those with the lowest log loss first."""
    from kenyan13.runs.predictions import labelled, scores

    return sorted(tables, key=lambda name: scores(labelled(tables[name]))["loss"])


def print_ranked(tables: "dict[str, pd.DataFrame]", times: Mapping[str, str] = {}) -> None:
    """Print how good models are out of fold, those with the lowest log loss first, and how long each took."""
    rows = [(name, *score_cells(tables[name]), times.get(name, "")) for name in rank(tables)]
    console.print("\n" + align([HEAD, *rows], right={1, 2, 3, 4}))
    images = max(map(len, tables.values()))
    console.print(f"Out of fold, on {images:,} images: of each by classifiers that were not trained on it.")


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
        seconds = estimate(compose_settings(overrides))
        fits = hours is None or total + seconds <= 3600 * hours
        if fits:
            kept.append(model)
            total += seconds
        console.print(f"  {model:<40} {duration(seconds):>10}{'' if fits else '  left out: --hours'}")
    console.print(f"  {'together':<40} {duration(total):>10}")
    return kept


def estimate(settings: Settings) -> float:
    """Return the seconds that the folds of a run will take here, from a few steps of it."""
    import torch

    from kenyan13.model.backbones import build
    from kenyan13.training.inference import read_data
    from kenyan13.training.run import epochs_of
    from kenyan13.training.trainer import FLOAT, MIXED, one_device, precision, seconds_a_step

    model, device, data = settings.model, one_device(settings), read_data(settings)
    images = torch.zeros(model.batch_size, 3, model.crop, model.crop, device=device)
    network = build(model, len(data.classes), pretrained=False).to(device)
    step = seconds_a_step(network, images, MIXED if "bf16" in str(precision(settings)) else FLOAT)
    folds, labelled = settings.data.folds, sum(map(len, data.catalogues[:2]))
    train = labelled * (folds - 1) / folds
    views = epochs_of(settings, round(train)) * (train + 2 / 3 * labelled / folds)  # validation: two passes an image
    return folds * step * views / model.batch_size
