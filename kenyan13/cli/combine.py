"""Commands on several runs: compare, ensemble; groups and cascade, of the two-stage classifier."""

import json
import textwrap
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from statistics import mean, stdev
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from kenyan13.cli.app import RunFolder, Runs, SaveAs, app, console, examples, output, print_next, score_cells
from kenyan13.errors import UserError
from kenyan13.runs.config_file import read_settings
from kenyan13.runs.directory import CONFIG
from kenyan13.terminal import WIDTH, align, fit, number

if TYPE_CHECKING:
    import pandas as pd

WIDEST = 24  # of a setting's text
Method = Literal["AP", "MP", "V1", "V2"]  # the study's ways to combine runs


@app.command(epilog=examples("compare runs/first runs/second", "compare runs/efficientnet_b4_*"))
def compare(
    runs: Runs,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Compare runs: settings, metrics, and tests of chance.

    Runs are listed by accuracy, the highest first, not in the order given. Metrics are of the epoch with the lowest
    validation loss; shares are 0..1. Each run is tested against the most accurate one on the validation images that
    both have predicted, by McNemar's exact test, with Holm's correction for several tests.
    """
    import pandas as pd

    from kenyan13.analysis import compare as comparing
    from kenyan13.runs.run import differing_settings

    found, left_out = comparing.read_runs(runs)
    comparisons = comparing.compare(found)
    remarks = [*comparing.other_origins(found), *comparing.remarks(found, left_out, comparisons)]
    concluded = comparing.conclusion(comparisons)
    names, settings = [str(run.folder) for run in found], differing_settings(found)
    listed = [
        {"run": names[k], "state": run.state.value, "settings": {key: settings[key][k] for key in settings}}
        | asdict(run.summary) for k, run in enumerate(found)
    ]  # fmt: skip
    if as_json:
        tests = [{**asdict(one), "run": names[one.run], "against": names[one.against]} for one in comparisons]
        whole = {"runs": listed, "tests": tests, "remarks": remarks, "conclusion": " ".join(concluded)}
        print(json.dumps(whole, indent=2, ensure_ascii=False))
        return
    rows = [
        {"McNemar's test": f"{comparing.letter(one.run)} and {comparing.letter(one.against)}", "images": one.images,
         "only it right": one.only_run, "only the other": one.only_against, "p": one.p, "p corrected": one.corrected}
        for one in comparisons if one.p is not None
    ]  # fmt: skip
    tested = pd.DataFrame(rows).to_string(index=False, float_format="{:.3g}".format) if rows else ""
    texts = [align([(comparing.letter(k), name) for k, name in enumerate(names)]), run_table(listed), tested]
    fill = partial(textwrap.fill, width=WIDTH, break_long_words=False, break_on_hyphens=False)
    console.print("\n\n".join(filter(None, [*texts, "\n".join(map(fill, remarks + concluded))])))


def run_table(listed: Sequence[dict[str, Any]]) -> str:
    """Return settings and metrics as rows with a column a run, broken to a terminal's width."""
    import pandas as pd

    from kenyan13.analysis.compare import letter
    from kenyan13.runs.run import value_text

    columns = {}
    for k, one in enumerate(listed):
        texts = {key: fit(value_text(value), WIDEST) for key, value in one["settings"].items()}
        for key in [key for key in one if key not in ("run", "settings")]:
            value = one[key]
            shown = f"{value:,.4f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else value
            texts[key.replace("_", " ")] = shown or "-"
        columns[letter(k)] = texts
    return str(pd.DataFrame(columns).to_string(line_width=WIDTH))


@app.command(epilog=examples("ensemble runs/GF*", "ensemble runs/fold* --save all", "ensemble runs/H* --test"))
def ensemble(
    runs: Runs,
    save: SaveAs = None,
    test: Annotated[bool, typer.Option("--test", help="Combine predictions of the test images; write them.")] = False,
    method: Annotated[Method | None, typer.Option(help="How --test combines; by default AP.")] = None,
    top: Annotated[int | None, typer.Option(min=1, help="Use the most accurate only; by default all.")] = None,
    file: Annotated[Path | None, output("Where --test writes; by default submission.csv.")] = None,
) -> None:
    """Combine the predictions of several runs.

    Printed is the accuracy of each and of all, with Wilson's interval, and of the best 2, 3, ..., on their validation
    images.

    AP: highest mean probability. MP: the single highest probability. V1: majority vote, ties to the most accurate run.
    V2: majority vote, ties to the highest probability.

    Runs that differ in data.fold alone count as one model: on each image by the run that was not trained on it, on
    test images by their mean.
    """
    from kenyan13.analysis.ensemble import METHODS, mean_over_folds, read_models
    from kenyan13.runs.predictions import write_submission

    if test and save is None:
        models, file = read_models(runs, top), file or Path("submission.csv")
        aligned = mean_over_folds(models)
        predicted = METHODS[method or "AP"](aligned.probabilities)
        write_submission(file, aligned.ids, [aligned.classes[k] for k in predicted])
        told = f"{sum(map(len, models))} runs, {method or 'AP'}: {file}"
        console.print(f"{len(aligned.ids):,} test images predicted by {told}")
    elif method or file or test:
        problem = "--method and --output go with --test, and --save with neither of them."
        raise UserError(problem, "see kenyan13 ensemble --help")
    else:
        print_accuracies(runs, top, save)


def print_accuracies(folders: Sequence[Path], top: int | None, save: str | None) -> None:
    """Print the models by accuracy, that of all combined, and that of each number of them; save them."""
    from kenyan13.analysis.ensemble import accuracy_table, name_of, pool, read_models
    from kenyan13.analysis.ensemble import align as aligned_of
    from kenyan13.analysis.saving import save_runs
    from kenyan13.runs.predictions import labelled, read_predictions, scores

    models = read_models(folders, top)
    aligned = aligned_of({name_of(model): pool(model) for model in models})
    together, tried = aligned.mean(), accuracy_table(aligned)
    tables = [*map(aligned.table, aligned.probabilities), *([together] if len(models) > 1 else [])]
    rows: list[tuple[str, ...]] = [("", "accuracy %", "95 % interval", "log loss", "mean of folds", "sd")]
    for k, (model, table) in enumerate(zip([*models, models[0]], tables, strict=False), 1):
        parts = [labelled(table[table.index.isin(read_predictions(run.folder).index)]) for run in model]
        folds = [100 * scores(part)["accuracy"] for part in parts if len(part)]
        spread = [number(mean(folds), 2), number(stdev(folds), 2)] if len(folds) > 1 else ["", ""]
        rows.append((str(k) if k <= len(models) else "all", *score_cells(table), *spread))
    for k, model in enumerate(models, 1):
        print(f"{k}  {name_of(model)}" + f" ({len(model)} folds)" * (len(model) > 1))
    print("\n" + align(rows, right=range(1, 6)))
    if len(models) > 1:
        print("\nThe most accurate models combined, accuracy in percent (all: by AP):")
        print(tried.to_string(index=False, float_format=lambda share: f"{100 * share:.2f}"))
    images = int((aligned.targets >= 0).sum())
    print(f"\n{images:,} validation images; no run was trained on those that it predicts here.")
    if save is not None:
        saved = save_runs(save, [run for model in models for run in model], together)
        print_next(["kenyan13", "predict", str(saved), "photo.jpg"])


@app.command(epilog=examples("groups runs/demo"))
def groups(
    run: RunFolder,
    threshold: Annotated[
        float, typer.Option(min=0, max=1, metavar="SHARE", help="Mutual confusion above which classes are together.")
    ] = 0.04,  # on the study's composed matrix, any value from 0.026 to 0.050 gives the study's three groups
) -> None:
    """Propose groups of classes that a run confuses. A two-stage classifier tells groups first, then their classes."""
    from kenyan13.analysis.cascade import as_setting, propose_groups, reorder
    from kenyan13.runs.predictions import confusion_of, labelled, read_predictions

    stage = read_settings(run).data.stage
    if stage is not None:
        raise UserError(f"{run} is a run of data.stage={stage}.", "give a run of all classes, without data.stage")
    matrix = confusion_of(labelled(read_predictions(run)))
    order = reorder(matrix.to_numpy())
    found = propose_groups(matrix, threshold)
    print("Rows are targets, columns are predictions; confused classes stand together.\n")
    console.print(matrix_text(matrix.iloc[order, order]))
    if not found or len(found["group1"]) == len(matrix):
        told = "All" if found else "No"
        print(f"\n{told} classes are confused above {threshold:g}: another --threshold proposes groups.")
        return
    print(f"\nGroups above a mutual confusion of {threshold:g}, for data.stage=first and each group:\n")
    console.print(as_setting(found))


@app.command(epilog=examples("cascade runs/first runs/greens runs/meats --save two_stages"))
def cascade(
    stages: Runs,
    save: SaveAs = None,
    folder: Annotated[Path | None, output("A folder for predictions and confusion matrices as CSV.")] = None,
) -> None:
    """Put the runs of a two-stage classifier together. Their validation images must be the same."""
    from kenyan13.analysis.cascade import compose, read_stages, write_cascade
    from kenyan13.analysis.saving import save_runs
    from kenyan13.metrics.classification import standard_error
    from kenyan13.runs.predictions import classes_of, scores
    from kenyan13.runs.run import read_run

    if folder is not None and (folder / CONFIG).exists():
        raise UserError(f"{folder} is the folder of a run, with predictions of its own.", "choose another --output")
    composed = compose(read_stages(stages))
    if folder is not None:
        write_cascade(folder, composed)
    for name, matrix in composed.matrices.items():
        title = {"hard": "Hard gating", "soft": "Soft gating"}.get(name, f"Predictions of {name}")
        console.print(f"\n{title} (rows are targets, columns are predictions)\n\n{matrix_text(matrix)}")
    images = len(composed.hard)
    print(f"\n{images:,} validation images of {len(classes_of(composed.hard))} classes\n")
    rows = [("", "accuracy", "standard error", "macro F1")]
    for name, table in (("hard gating", composed.hard), ("soft gating", composed.soft)):
        found = scores(table)
        error = standard_error(found["accuracy"], images)
        rows.append((name, f"{found['accuracy']:.2%}", f"{error:.2%}", f"{found['macro_f1']:.3f}"))
    print(align(rows, right={1, 2, 3}))
    if save is not None:
        saved = save_runs(save, [*map(read_run, stages)], composed.soft)
        print_next(["kenyan13", "predict", str(saved), "photo.jpg"])


def matrix_text(matrix: "pd.DataFrame") -> str:
    """Return a confusion matrix as lines: targets by number and name, columns by number, zeros as dots."""
    counts = matrix.set_axis(range(1, len(matrix.columns) + 1), axis=1).astype(object).replace(0, ".")
    columns = counts.set_axis([""] * len(counts)).to_string().splitlines()[0]
    width = max(8, WIDTH - len(columns) - 3)
    names = [f"{number:>2} {fit(str(name), width)}" for number, name in enumerate(matrix.index, 1)]
    return counts.set_axis(names).to_string()
