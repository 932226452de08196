"""The command that predicts: photos by hand, or the test images of a run's data set."""

import json
import os
import re
import shlex
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kenyan13.cli.app import RunFolder, app, console, examples, output, words
from kenyan13.cli.runs import open_run, tell_stage
from kenyan13.errors import UserError, first_line, shorten
from kenyan13.runs.config_file import read_yaml
from kenyan13.runs.directory import CONFIG, replacing
from kenyan13.terminal import WIDTH, align, cell, fit, print_note

if TYPE_CHECKING:
    from kenyan13.training.inference import OpenRun

SURE = "Add the set of classes that holds the right one, so often."
SETTING = re.compile(r"(data|trainer|model)\.\w+=")


@app.command(epilog=examples("predict runs/demo PHOTO.jpg holiday/ -o it.csv", "predict runs/demo --test"))
def predict(
    run: RunFolder,
    given: Annotated[list[str] | None, words("IMAGE|FOLDER", "Photos, folders, and settings: data.root=DIR.")] = None,
    test: Annotated[bool, typer.Option("--test", help="Predict the data's test images; write submission.csv.")] = False,
    file: Annotated[Path | None, output("A .csv or .json file instead of a table; of --test, submission.csv.")] = None,
    top: Annotated[int, typer.Option(min=1, help="How many classes to print for each image.")] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    coverage: Annotated[float | None, typer.Option(min=0.5, max=0.999, help=SURE)] = None,
    explain: Annotated[Path | None, typer.Option(metavar="DIR", help="Write heat maps of the classes there.")] = None,
) -> None:
    """Predict photos, or with --test the test images. Photos that cannot be read are named; the exit code is then 1."""
    from kenyan13.data.source import find_images
    from kenyan13.export.session import GRAPH

    if "" in (given or []):
        raise UserError("The name of an image is empty.", "an unset variable of the shell?")
    overrides = [one for one in given or [] if SETTING.match(one)]
    images = [Path(one) for one in given or [] if not SETTING.match(one)]
    if run.is_file() or bool(images) == test:
        problem = "Photos and --test do not go together." if test else "Photos, or folders of photos, are missing."
        problem = problem if (run / CONFIG).is_file() else f"{run} is no run directory, which comes first."
        raise UserError(problem, "kenyan13 predict RUN PHOTO.jpg...", "for test images: kenyan13 predict RUN --test")
    if test and as_json:
        raise UserError("--test goes with --output, photos go with --json.", "see kenyan13 predict --help")
    if file and not test and (file.suffix.lower() not in (".csv", ".json") or file.is_dir()):
        raise UserError(f"{file} is no name of a CSV or JSON file.", "as in --output predictions.csv")
    if test:
        predict_test(open_run(run, overrides), file or run / "submission.csv")
        return
    if (explain or coverage) and (not (run / GRAPH).is_file() or (coverage and overrides)):
        problem = "Sets of classes and heat maps need the run's graph, as it is."
        raise UserError(problem, f"kenyan13 export {shlex.quote(str(run))}")
    paths = find_images(images)
    listed = predict_photos(run, paths, overrides, top, coverage)
    if explain is not None:
        explain_photos(run, listed, explain)
    print_photos(listed, as_json, file)
    if bad := sum("error" in one for one in listed):
        print_note(f"{bad:,} of {len(paths):,} images could not be read.")
        raise typer.Exit(1)


def predict_test(run: "OpenRun", file: Path) -> None:
    """Write `id,class` in the order of the test images, and predictions_test.csv with all probabilities beside it."""
    from kenyan13.runs.directory import TEST
    from kenyan13.runs.predictions import predicted_of, write_predictions, write_submission

    table, bad = run.predict_catalogue(run.test_images())
    write_submission(file, table.index.tolist(), predicted_of(table))
    write_predictions(file.parent / TEST, table)
    console.print(f"{len(table):,} test images predicted: {file}")
    if bad:
        console.print(f"{len(bad):,} images could not be read and are left out: a competition may refuse the file.")
        raise typer.Exit(1)


def predict_photos(
    run: Path, paths: Sequence[Path], overrides: list[str], top: int, coverage: float | None
) -> list[dict[str, Any]]:
    """Return of each image its path and top classes with probabilities, or why not; by the graph, if there is one."""
    from kenyan13.export.session import GRAPH, Graph, answer

    told: list[dict[str, Any]] = []
    if (run / GRAPH).is_file() and not overrides:
        graph = Graph(run / GRAPH)
        try:
            own = read_yaml(run / CONFIG)["data"]["classes"]
        except Exception as error:  # a file that may be anybody's
            raise UserError(f"{run / CONFIG} cannot be read: {first_line(error)}", "kenyan13 runs lists runs") from None
        if list(graph.classes) != own:
            problem = f"The graph in {run} is of another run: its classes are {shorten(graph.classes)}."
            raise UserError(problem, f"make it again: kenyan13 export {shlex.quote(str(run))}")
        tell_stage(graph.meta["stage"])
        for found in graph.run_files(paths):
            told.append({"error": found} if isinstance(found, str) else answer(graph, found, top, coverage))
    else:
        opened = open_run(run, ["data.on_bad=skip", *overrides])
        probabilities, bad = opened.predict(paths)
        for row, one in enumerate(probabilities):
            best = (-one).argsort(kind="stable")[:top]
            classes = [{"class": opened.classes[k], "probability": float(one[k])} for k in best]
            told.append({"error": bad[row]} if row in bad else {"classes": classes})
    return [{"image": str(path), **one} for path, one in zip(paths, told, strict=True)]


def explain_photos(run: Path, listed: Sequence[Mapping[str, Any]], folder: Path) -> None:
    """Write a heat map of each image's first class, and one of what tells it from the second, into a folder."""
    from kenyan13.export.session import GRAPH, Graph, explain

    graph = Graph(run / GRAPH)
    folder.mkdir(parents=True, exist_ok=True)
    for place, one in enumerate(listed, 1):
        path, names = Path(one["image"]), [found["class"] for found in one.get("classes", [])]
        start = folder / f"{place:04d}-{path.stem}"
        if names:
            explain(graph, path, names[0]).save(f"{start}.jpg")
        if len(names) > 1:
            explain(graph, path, names[0], names[1]).save(f"{start}-first-against-second.jpg")
    print_note(f"Heat maps: {folder}")


def print_photos(listed: Sequence[Mapping[str, Any]], as_json: bool, file: Path | None) -> None:
    """Print predictions as a table or as JSON, or write them to a CSV or JSON file."""
    text = json.dumps(listed, indent=2, ensure_ascii=False)
    if file is None:
        print(text if as_json else as_table(listed))
        return
    if file.suffix.lower() == ".csv":
        import pandas as pd

        rows = []
        for one in listed:
            row = {"image": one["image"]}
            for k, found in enumerate(one.get("classes", []), 1):
                row |= {f"{name}{k}": value for name, value in found.items()}
            rows.append(row | {key: one[key] for key in ("unknown", "error") if key in one})
        table = pd.DataFrame(rows)
        # last; spreadsheets would take a cell that begins with = for a formula
        table["error"] = table.pop("error") if "error" in table else ""
        safe = table.map(lambda cell: re.sub(r"^(?=[=+\-@\t\r])", "'", cell) if isinstance(cell, str) else cell)
        text = safe.to_csv(index=False)
    file.parent.mkdir(parents=True, exist_ok=True)
    with replacing(file) as temporary:
        temporary.write_text(text, "utf-8")
    console.print(f"{sum('classes' in one for one in listed):,} of {len(listed):,} images predicted: {file}")


def as_table(listed: Sequence[Mapping[str, Any]]) -> str:
    """Return each image's path and its top classes, aligned in 80 columns; many classes take more lines."""
    common = os.path.commonpath([Path(one["image"]).absolute().parent for one in listed])
    names = [cell(found["class"]) for one in listed for found in one.get("classes", [])]
    widest = min(30, max(map(len, names), default=0))
    a_cell = widest + 7 + 2  # with the probability and the gap before it
    width = min(max(len(cell(os.path.relpath(one["image"], common))) for one in listed), WIDTH - max(a_cell, 32))
    rows: list[tuple[str, str]] = []
    for one in listed:
        cells = [f"{fit(k['class'], widest):<{widest}} {k['probability']:6.1%}" for k in one.get("classes", [])]
        a_line = (WIDTH - width) // a_cell
        lines = ["  ".join(cells[start : start + a_line]) for start in range(0, len(cells), a_line)]
        told = [f"not read: {one.get('error')}"] * ("error" in one)
        told += [f"one of: {', '.join(one.get('set', []))}"] * ("set" in one)
        told += ["perhaps none of these: unlike the training images"] * one.get("unknown", False)
        lines += [line for text in told for line in textwrap.wrap(cell(text), WIDTH - width - 2)]
        paths = [fit(os.path.relpath(one["image"], common), width), *[""] * len(lines)]
        rows += [(path, line) for path, line in zip(paths, lines, strict=False)]
    return align(rows)
