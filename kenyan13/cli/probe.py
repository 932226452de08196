"""The command that compares backbones by linear classifiers on their features: probe."""

from typing import TYPE_CHECKING, Annotated

from kenyan13.cli.app import app, console, examples, print_next, words
from kenyan13.config.compose import compose_settings
from kenyan13.config.presets import presets
from kenyan13.errors import UserError
from kenyan13.runs.directory import OUT_OF_FOLD
from kenyan13.runs.locate import run_directory
from kenyan13.terminal import align, duration, number

if TYPE_CHECKING:
    import pandas as pd

HEAD = ("model", "accuracy %", "95 % interval", "log loss", "time")


@app.command(epilog=examples("probe resnet18 mobilenetv2_100", "probe resnet50 regnety_008 data=folder data.root=DIR"))
def probe(
    given: Annotated[list[str], words("MODEL [KEY=VALUE]", "Names of conf/model or of timm, and settings.")],
) -> None:
    """Rank backbones by linear heads, a minute each.

    A linear classifier is fitted to what each backbone, frozen, makes of the training images. Accuracy and log loss are
    out of fold: of each image by a classifier that was not fitted to it. Each model is a run with recipe=quick: it
    predicts, evaluates, is reported and combined like any other.
    """
    from kenyan13.runs.predictions import read_predictions
    from kenyan13.training.run import train

    models = [word for word in given if "=" not in word]
    if not models:
        raise UserError("There is no model to probe.", "kenyan13 probe resnet18 mobilenetv2_100")
    found, seconds, folders = {}, {}, {}
    for model in dict.fromkeys(models):
        settings = compose_settings(["recipe=quick", chosen_model(model), *(word for word in given if "=" in word)])
        seconds[model] = train(settings, brief=True).seconds
        folders[model] = run_directory(settings)
        found[model] = read_predictions(folders[model], OUT_OF_FOLD)
    ranked = rank(found)
    rows = [(*cells, duration(seconds[model]) if model in seconds else "") for model, cells in ranked.items()]
    console.print("\n" + align([HEAD, *rows], right={1, 2, 3, 4}))
    console.print(f"Out of fold, on {len(found[models[0]]):,} training images; the lowest log loss first.")
    best = next(model for model in ranked if model in folders)
    combined = [["kenyan13", "ensemble", *map(str, folders.values())]] if len(folders) > 1 else []
    print_next(["kenyan13", "predict", str(folders[best]), "PHOTO.jpg"], *combined)


def chosen_model(name: str) -> str:
    """Return the setting that chooses a network by its name in conf/model or in timm: of a preset's, the preset."""
    same = [key for key, preset in presets("model").items() if name in (key, preset["backbone"].partition(".")[0])]
    return f"model={same[0]}" if same else f"model.backbone={name}"


def rank(found: "dict[str, pd.DataFrame]") -> dict[str, tuple[str, ...]]:
    """Return the cells of each model, and of the mean of all, by name, those with the lowest log loss first."""
    from kenyan13.analysis.alignment import align as aligned_of
    from kenyan13.metrics.statistics import wilson
    from kenyan13.runs.predictions import labelled, scores

    tables = dict(found)
    if len(found) > 1:
        tables["mean of all"] = aligned_of(found).mean()
    losses, cells = {}, {}
    for model, table in tables.items():
        known = labelled(table)
        scored = scores(known)
        accuracy, losses[model] = scored["accuracy"], scored["loss"]
        low, high = wilson(accuracy, len(known))
        cells[model] = model, number(accuracy, 1, 100), f"{100 * low:.1f}-{100 * high:.1f}", number(losses[model], 3)
    return {model: cells[model] for model in sorted(cells, key=losses.__getitem__)}
