"""Writes a run as ONNX, checked at once against torch on the validation images; smaller; for timm; for torch."""

import json
import logging
import sys
import time
import warnings
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from timm.models import save_for_hf
from torch.nn import functional as F

from kenyan13.config.settings import Settings
from kenyan13.data.batches import Images
from kenyan13.data.images import centre_views, decode, resize_length
from kenyan13.errors import UserError
from kenyan13.export.graph import One, complete
from kenyan13.export.session import META, Graph, Outputs
from kenyan13.metrics.classification import scale
from kenyan13.metrics.uncertainty import left_out_classes, quantiles, set_scores
from kenyan13.runs.directory import VALIDATION, replacing
from kenyan13.runs.predictions import labelled, probabilities_of, read_predictions, targets_of
from kenyan13.terminal import progress
from kenyan13.training.inference import OpenRun, TrainedRun, open_data

OPSET = 20
NAMES = ("probabilities", "likeness", "maps")  # of the graph's outputs
MOST = 1e-4  # by which probabilities may differ from torch's
CALIBRATION = 100  # training images whose activations choose the ranges of 8 bits
LAYERS = ["Conv", "MatMul", "Gemm"]  # what is arithmetic of the network: resizing stays as it is
NARROW = 3  # channels into a filter: the first layer and depthwise ones lose most by 8 bits, and have few weights
BANK = 5000  # training images that new ones are compared with


class Check(NamedTuple):
    """How an exported graph compares with torch on validation images."""

    images: int
    difference: float  # the largest of two probabilities
    same: int  # images with the same most probable class


def export_onnx(run: OpenRun, file: Path) -> Check | None:
    """Write a run's graph to a file, and return how it compares with torch on the run's validation images.

    Where the run's images are not there, it is not compared, and knows nothing of what is unknown to it. Raises
    UserError where a probability differs by more than 1e-4 or a class changes; there is no file then.
    """
    module = complete(run).eval()
    meta: dict[str, Any] = {
        "name": run.folder.name, "classes": list(run.classes), "crop": run.settings.model.crop,
        "max_pixels": run.settings.data.max_pixels, "stage": run.settings.data.stage,
        "set_scores": [[] for _ in run.classes],
    }  # fmt: skip
    if (run.folder / VALIDATION).is_file():
        known = labelled(read_predictions(run.folder))
        meta["set_scores"] = set_scores(scale(probabilities_of(known), run.temperature), targets_of(known))
    crops = {part.crop for part in module.modules() if isinstance(part, One)}
    meta |= {"length": resize_length(crops.pop())} if len(crops) == 1 else {}
    data = None
    with suppress(UserError):  # the images have gone
        data = open_data(run.settings, draw=False)
    if data and isinstance(module, One):
        meta |= describe(module, data.train, data.validation)
    with replacing(file) as temporary:
        write(module, temporary, meta)
        if not data:
            return None
        checked = compare(Graph(temporary), run, data.validation.catalogue.paths)
        if checked.difference > MOST or checked.same < checked.images:
            odd = f"{checked.difference:.1e}, and {checked.images - checked.same} of {checked.images} classes"
            problem = f"The graph differs from the run: probabilities by up to {odd}."
            raise UserError(problem, "this is a defect: please report it with the backbone's name")
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


def features(module: One, images: Images) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return pooled features of length 1, float32 [n, d], and probabilities, float32 [n, classes], of stored images."""
    parts = []
    with torch.inference_mode():
        for start in progress(range(0, len(images.store_rows), 32), "Computing features"):
            rows = images.store_rows[start : start + 32]
            crops = np.concatenate([centre_views(images.store[row], module.crop, module.shares) for row in rows])
            pooled, logits, _ = module.pooled_and_logits(torch.from_numpy(crops))
            parts.append((F.normalize(pooled, dim=1), (logits / module.temperature).softmax(dim=1)))
    first, second = (torch.cat(part).numpy() for part in zip(*parts, strict=True))
    return first, second


def compare(graph: Graph, run: OpenRun, paths: Sequence[Path]) -> Check:
    """Return how a graph compares with `kenyan13 predict` by torch on image files; unreadable ones do not count."""
    theirs, bad = run.predict(paths)
    rows = [row for row in range(len(theirs)) if row not in bad]
    found = graph.run_files([paths[row] for row in rows])
    ours = np.stack([one.probabilities for one in found if isinstance(one, Outputs)])
    return Check(
        images=len(rows),
        difference=float(np.abs(ours - theirs[rows]).max()),
        same=int((ours.argmax(axis=1) == theirs[rows].argmax(axis=1)).sum()),
    )


def write_timm(run: OpenRun, folder: Path) -> Path:
    """Write model.safetensors and config.json for timm.create_model("local-dir:FOLDER"). Raises UserError."""
    if not isinstance(run, TrainedRun):
        raise UserError(f"{run.folder} has several networks; timm's folder holds one.", "export a member")
    if not hasattr(run.network, "num_features"):
        raise UserError(f"{run.settings.model.backbone} is no network of timm's own.", "use --to torch, or --to onnx")
    crop = run.settings.model.crop
    seen = {"input_size": (3, crop, crop), "crop_pct": crop / resize_length(crop), "interpolation": "bilinear",
            "crop_mode": "center", "test_input_size": None, "test_crop_pct": None}  # fmt: skip
    run.network.pretrained_cfg = run.network.pretrained_cfg | seen  # type: ignore[operator]
    save_for_hf(run.network, str(folder), model_config={"label_names": list(run.classes)}, safe_serialization=True)
    return folder


def write_torch(run: OpenRun, folder: Path) -> Path:
    """Write model.pt2: torch.export.load(FILE).module()(images) gives probabilities of uint8 [n, height, width, 3]."""
    folder.mkdir(parents=True, exist_ok=True)
    example, sizes = example_sizes()
    with torch.no_grad():
        program = torch.export.export(complete(run).eval(), (example,), dynamic_shapes={"images": sizes})
    torch.export.save(program, folder / "model.pt2")
    return folder / "model.pt2"


def shrink(settings: Settings, whole: Path, file: Path, to: str) -> list[tuple[str, ...]]:
    """Write a smaller graph of a graph, `to` float16 or int8, and return a table of what it costs, with a header."""
    before = sys.path[:]
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.transformers.float16 import convert_float_to_float16

    sys.path[:] = before  # on which both put a folder with modules of names such as `benchmark`
    data, proto = open_data(settings, draw=False), onnx.load(whole)
    with replacing(file) as temporary:
        if to == "float16":
            onnx.save(convert_float_to_float16(proto, keep_io_types=True, op_block_list=["Cast", "Resize"]), temporary)
        else:
            chosen = np.random.default_rng(0).permutation(len(data.train.catalogue))[:CALIBRATION]
            images = ({"images": np.asarray(decode(data.train.catalogue.paths[row]))[None]} for row in chosen)
            reader = SimpleNamespace(get_next=lambda: next(images, None))
            narrow = {one.name for one in proto.graph.initializer if len(one.dims) == 4 and one.dims[1] <= NARROW}
            exact = [node.name for node in proto.graph.node if narrow.intersection(node.input)]
            quantize_static(
                whole, temporary, reader, QuantFormat.QDQ, op_types_to_quantize=LAYERS, per_channel=True,
                weight_type=QuantType.QInt8, nodes_to_exclude=exact,
            )  # fmt: skip
        rows: list[tuple[str, ...]] = [("", "accuracy", "same class", "MB", "ms an image")]
        best = None
        for name, graph in (("float32", whole), (to, temporary)):
            opened, validated = Graph(graph), data.validation.catalogue
            start = time.perf_counter()
            found = opened.run_files(validated.paths)
            each = 1000 * (time.perf_counter() - start) / len(validated)
            named = np.array([one.probabilities.argmax() if isinstance(one, Outputs) else -1 for one in found])
            best = named if best is None else best
            right, counted = (named == validated.targets), validated.targets >= 0
            rows.append((name, f"{right[counted].mean():.2%}", f"{(named == best).mean():.1%}",
                         f"{graph.stat().st_size / 1e6:.1f}", f"{each:.1f}"))  # fmt: skip
    return rows
