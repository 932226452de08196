"""A smaller graph: weights of 16 bits, or whole numbers of 8 bits, with what that costs, measured at once."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from kenyan13.data.images import decode
from kenyan13.export.session import Graph, Outputs
from kenyan13.runs.directory import replacing
from kenyan13.training.composed import AnyRun
from kenyan13.training.inference import open_data

before = sys.path[:]
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static  # noqa: E402
from onnxruntime.transformers.float16 import convert_float_to_float16  # noqa: E402

sys.path[:] = before  # on which both put a folder with modules of names such as `benchmark`

CALIBRATION = 100  # training images whose activations choose the ranges of 8 bits
LAYERS = ["Conv", "MatMul", "Gemm"]  # what is arithmetic of the network: resizing stays as it is


class Calibration(CalibrationDataReader):  # type: ignore[misc]
    """Training images, one at a time, as onnxruntime asks for them."""

    def __init__(self, paths: list[Path]) -> None:
        self.images: Iterator[dict[str, Any]] = ({"images": np.asarray(decode(path))[None]} for path in paths)

    def get_next(self) -> dict[str, Any] | None:
        """Return the next image, None at the end."""
        return next(self.images, None)


def shrink(run: AnyRun, whole: Path, file: Path, to: str) -> list[tuple[str, ...]]:
    """Write a smaller graph of a graph, `to` float16 or int8, and return a table of what it costs, with a header."""
    data = open_data(run.settings, draw=False)
    with replacing(file) as temporary:
        if to == "float16":
            proto = convert_float_to_float16(onnx.load(whole), keep_io_types=True, op_block_list=["Cast", "Resize"])
            onnx.save(proto, temporary)
        else:
            chosen = np.random.default_rng(0).permutation(len(data.train.catalogue))[:CALIBRATION]
            paths = [data.train.catalogue.paths[row] for row in chosen]
            quantize_static(
                whole, temporary, Calibration(paths), QuantFormat.QDQ, op_types_to_quantize=LAYERS, per_channel=True,
                weight_type=QuantType.QInt8,
            )  # fmt: skip
        rows: list[tuple[str, ...]] = [("", "accuracy", "same class", "MB", "ms an image")]
        best = None
        for name, graph in (("float32", whole), (to, temporary)):
            opened, images = Graph(graph), data.validation.catalogue
            start = time.perf_counter()
            found = opened.run_files(images.paths)
            each = 1000 * (time.perf_counter() - start) / len(images)
            named = np.array([one.probabilities.argmax() if isinstance(one, Outputs) else -1 for one in found])
            best = named if best is None else best
            right, counted = (named == images.targets), images.targets >= 0
            rows.append((name, f"{right[counted].mean():.2%}", f"{(named == best).mean():.1%}",
                         f"{graph.stat().st_size / 1e6:.1f}", f"{each:.1f}"))  # fmt: skip
    return rows
