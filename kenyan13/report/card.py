"""A model card for the Hugging Face hub: data, metrics with intervals, confusions, limits; no photographs."""

from pathlib import Path

from huggingface_hub import EvalResult, ModelCardData

from kenyan13.analysis.run_metrics import measure
from kenyan13.errors import UserError
from kenyan13.report.photos import pair_table
from kenyan13.report.run_page import class_table
from kenyan13.report.writing import environment
from kenyan13.runs.predictions import classes_of, confusion_of, labelled
from kenyan13.runs.run import read_run
from kenyan13.terminal import number


def write_card(folder: Path, file: Path) -> Path:
    """Write the card of a finished run, and return the file. Raises UserError for a run that is not finished."""
    run = read_run(folder)
    found = measure(run)
    if run.result is None or run.predictions is None or found.accuracy is None:
        raise UserError(f"{folder} has not finished: there is nothing to tell.", "train it to its end")
    known = labelled(run.predictions)
    classes, counts = classes_of(known), confusion_of(known).to_numpy()
    task, results = "image-classification", []
    for metric, value in {"accuracy": found.accuracy, "f1": found.macro_f1}.items():
        rounded = round(float(value or 0), 4)
        results.append(EvalResult(task, "imagefolder", "validation images", metric, metric_value=rounded))
    header = ModelCardData(
        model_name=run.name, pipeline_tag=task, library_name="timm", license="other", tags=[task, "kenyan13"],
        eval_results=results,
    )  # fmt: skip
    text = environment().get_template("card.md.jinja").render(
        header=header.to_yaml(), run=run, found=found, classes=classes, number=number,
        by_class=class_table(counts, classes).markdown(), pairs=pair_table(counts, classes).markdown(),
        fewest=counts.sum(axis=1).min(),
    )  # fmt: skip
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"{text}\n", encoding="utf-8")
    return file
