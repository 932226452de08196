"""A model card for the Hugging Face hub: data, metrics with intervals, confusions, limits; no photographs."""

from pathlib import Path

from huggingface_hub import EvalResult, ModelCardData

from kenyan13.analysis.run_metrics import measure
from kenyan13.errors import UserError
from kenyan13.metrics.classification import per_class
from kenyan13.report.photos import pair_table
from kenyan13.report.run_page import class_table
from kenyan13.runs.predictions import classes_of, confusion_of, labelled
from kenyan13.runs.run import read_run
from kenyan13.terminal import number

CARD = """---
{header}
---
# {name}

Classifies photographs of {classes} classes: {listed}. A {backbone} of
[timm](https://huggingface.co/docs/timm), fine-tuned with kenyan13 on {train} images; {validation} others, from the same
source, validated it and chose the epoch that is kept.

## How good it is

Accuracy {accuracy} % (95 % interval {low} to {high}, Wilson), macro F1 {macro_f1}, expected calibration error
{calibration} %, on the {validation} validation images. These also chose the epoch: on new images, expect a little less.

{by_class}

Most confused:

{pairs}

## Limits

- It was trained on {train} images, {fewest} of the smallest class in validation: other cameras, places and habits than
  theirs may be taken wrongly.
- It names one of its {classes} classes for any image. `kenyan13 predict` marks images that are unlike the training
  images; look-alikes that are of no class are often not noticed.
- Licence of the images, and consent of people in them: to be filled in by whoever publishes this.

## How to load it

```python
import timm
network = timm.create_model("local-dir:FOLDER", pretrained=True)  # FOLDER: of kenyan13 export RUN --to timm
```

`kenyan13 export RUN` writes an ONNX graph that takes images as they are.

## How it was made

Data: digest {digest} (ids, labels and contents). Settings that differ from the defaults are in the run's name; all are
in its config.yaml. Commit {commit}.
"""


def write_card(folder: Path, file: Path) -> Path:
    """Write the card of a finished run, and return the file. Raises UserError for a run that is not finished."""
    run = read_run(folder)
    found = measure(run)
    if run.result is None or run.predictions is None or found.accuracy is None:
        raise UserError(f"{folder} has not finished: there is nothing to tell.", "train it to its end")
    known = labelled(run.predictions)
    classes, counts = classes_of(known), confusion_of(known).to_numpy()
    metrics = {"accuracy": found.accuracy, "f1": found.macro_f1}
    results = [
        EvalResult(
            task_type="image-classification", dataset_type="imagefolder", dataset_name="validation images",
            metric_type=metric, metric_value=round(float(value), 4),
        )
        for metric, value in metrics.items() if value is not None
    ]  # fmt: skip
    header = ModelCardData(
        model_name=run.name, pipeline_tag="image-classification", library_name="timm", license="other",
        tags=["image-classification", "kenyan13"], eval_results=results,
    )  # fmt: skip
    text = CARD.format(
        header=header.to_yaml(), name=run.name, classes=len(classes), listed=", ".join(classes).replace("<", "&lt;"),
        backbone=run.setting("model.backbone"), train=f"{run.result.train_images:,}", validation=f"{found.images:,}",
        accuracy=number(found.accuracy, 1, 100), low=number(found.accuracy_low, 1, 100),
        high=number(found.accuracy_high, 1, 100), macro_f1=number(found.macro_f1, 3),
        calibration=number(found.calibration_error, 1, 100), by_class=class_table(counts, classes).markdown(),
        pairs=pair_table(counts, classes).markdown(), fewest=int(per_class(counts)["images"].min()),
        digest=run.data["train"]["digest"] if "train" in run.data else "unknown", commit=run.commit,
    )  # fmt: skip
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file
