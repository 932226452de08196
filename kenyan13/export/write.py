"""Writes a run's graph as ONNX, and checks it at once against torch on the validation images."""

import json
import logging
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from kenyan13.analysis.unknowns import left_out_classes
from kenyan13.data.augmentation import centre_crop
from kenyan13.data.batches import Images
from kenyan13.data.catalogue import Catalogue
from kenyan13.errors import UserError
from kenyan13.export.graph import One, complete
from kenyan13.export.session import META, Graph, Outputs
from kenyan13.metrics.calibration import scale
from kenyan13.metrics.uncertainty import quantiles, set_scores
from kenyan13.runs.directory import VALIDATION, replacing
from kenyan13.runs.predictions import labelled, probabilities_of, read_predictions, targets_of
from kenyan13.terminal import progress
from kenyan13.training.composed import AnyRun, predict
from kenyan13.training.inference import open_data

OPSET = 20
NAMES = ("probabilities", "likeness", "maps")  # of the graph's outputs
MOST = 1e-4  # by which probabilities may differ from torch's
BANK = 5000  # training images that new ones are compared with


@dataclass(frozen=True)
class Check:
    """How an exported graph compares with torch on validation images.

    difference: the largest of two probabilities; same: images with the same most probable class; accuracy: 0..1.
    """

    images: int
    difference: float
    same: int
    accuracy: float


def export_onnx(run: AnyRun, file: Path) -> Check | None:
    """Write a run's graph to a file, and return how it compares with torch on the run's validation images.

    Where the run's images are not there, it is not compared, and knows nothing of what is unknown to it. Raises
    UserError where a probability differs by more than 1e-4 or a class changes; there is no file then.
    """
    module = complete(run).eval()
    meta: dict[str, Any] = {
        "name": run.folder.name, "classes": list(run.classes), "crop": run.settings.model.crop,
        "max_pixels": run.settings.data.max_pixels, "stage": run.settings.data.stage,
        "set_scores": scores_of(run),
    }  # fmt: skip
    try:
        data = open_data(run.settings, draw=False)
    except UserError:  # the images have gone
        with replacing(file) as temporary:
            write(module, temporary, meta)
        return None
    if isinstance(module, One):
        meta |= describe(module, data.train, data.validation)
    with replacing(file) as temporary:
        write(module, temporary, meta)
        checked = compare(Graph(temporary), run, data.validation.catalogue)
        if checked.difference > MOST or checked.same < checked.images:
            raise UserError(
                f"The graph differs from the run: probabilities by up to {checked.difference:.1e}, and "
                f"{checked.images - checked.same} of {checked.images} classes.",
                "this is a defect: please report it with the backbone's name; kenyan13 predict uses torch meanwhile",
            )
    return checked


def write(module: torch.nn.Module, file: Path, meta: dict[str, Any]) -> None:
    """Write a module from images, uint8 [n, height, width, 3], as ONNX, with all of `meta` as one text in it."""
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    example, sizes = example_sizes()
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        outputs = NAMES[: len(module(example))]
        program = torch.onnx.export(
            module, (example,), dynamo=True, opset_version=OPSET, input_names=["images"], output_names=outputs,
            dynamic_shapes={"images": sizes}, external_data=False, verbose=False,
        )  # fmt: skip
    assert program is not None
    proto = program.model_proto
    onnx.helper.set_model_props(proto, {META: json.dumps({**meta, "opset": OPSET, "torch": torch.__version__})})
    onnx.save(proto, file)


def example_sizes() -> tuple[torch.Tensor, dict[int, Any]]:
    """Return an example of the input for torch.export, and which of its sizes are free."""
    sizes = {index: torch.export.Dim(name) for index, name in enumerate(("images", "height", "width"))}
    return torch.zeros(2, 300, 400, 3, dtype=torch.uint8), sizes


def describe(module: One, train: Images, validation: Images) -> dict[str, Any]:
    """Give a module its bank of training images, and return what uncertainty needs to know of validation images."""
    chosen = np.random.default_rng(0).permutation(len(train.catalogue))[:BANK]
    targets = train.catalogue.targets[chosen]
    bank = features(module, Images(train.catalogue.take(chosen), train.store, train.store_rows[chosen]))[0]
    module.bank = torch.from_numpy(bank)
    known = np.flatnonzero(validation.catalogue.targets >= 0)
    images = Images(validation.catalogue.take(known), validation.store, validation.store_rows[known])
    pooled, probabilities = features(module, images)
    right = images.catalogue.targets
    return {
        "known": quantiles((pooled @ bank.T).max(axis=1), probabilities.max(axis=1)),
        "left_out": left_out_classes(bank, targets, pooled, right),
    }


def scores_of(run: AnyRun) -> list[list[float]]:
    """Return what sets of classes need, by class, of the run's validation images; nothing without predictions."""
    if not (run.folder / VALIDATION).is_file():
        return [[] for _ in run.classes]
    known = labelled(read_predictions(run.folder))
    return set_scores(scale(probabilities_of(known), run.temperature), targets_of(known))


def features(module: One, images: Images) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return pooled features of length 1, float32 [n, d], and probabilities, float32 [n, classes], of stored images."""
    parts = []
    with torch.inference_mode():
        for start in progress(range(0, len(images.store_rows), 32), "Computing features"):
            rows = images.store_rows[start : start + 32]
            crops = torch.from_numpy(np.stack([centre_crop(images.store[row], module.crop) for row in rows]))
            pooled, logits, _ = module.pooled_and_logits(crops)
            parts.append((F.normalize(pooled, dim=1), (logits / module.temperature).softmax(dim=1)))
    first, second = (torch.cat(part).numpy() for part in zip(*parts, strict=True))
    return first, second


def compare(graph: Graph, run: AnyRun, catalogue: Catalogue) -> Check:
    """Return how a graph compares with `kenyan13 predict` by torch on image files; unreadable ones do not count."""
    theirs, bad = predict(run, catalogue.paths)
    rows = [row for row in range(len(theirs)) if row not in bad]
    found = graph.run_files([catalogue.paths[row] for row in rows])
    ours = np.stack([one.probabilities for one in found if isinstance(one, Outputs)])
    best, right = ours.argmax(axis=1), catalogue.targets[rows]
    return Check(
        images=len(rows),
        difference=float(np.abs(ours - theirs[rows]).max()),
        same=int((best == theirs[rows].argmax(axis=1)).sum()),
        accuracy=float((best == right)[right >= 0].mean()),
    )
