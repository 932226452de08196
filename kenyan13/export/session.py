"""The ONNX graph of a run at work, without torch: from image files to probabilities and heat maps, in a second."""

import json
import shlex
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import onnxruntime
from numpy.typing import NDArray
from PIL import Image

from kenyan13.data.images import Pixels, decode, load, opened, read_file, resize_length, resize_short_side
from kenyan13.errors import UserError, first_line
from kenyan13.machine import available_cores
from kenyan13.metrics.uncertainty import familiarity, prediction_sets, thresholds
from kenyan13.terminal import progress

GRAPH = "model.onnx"  # in a run directory
LARGE = 2e6  # pixels
META = "kenyan13"  # the graph's metadata: JSON of classes, crop and what `describe` in write.py adds


class Outputs(NamedTuple):
    """What the graph makes of one image: see kenyan13.export.graph.One.outputs; maps only where asked for."""

    probabilities: NDArray[np.float32]
    likeness: float | None = None
    maps: NDArray[np.float32] | None = None


class Graph:
    """An exported run: its classes, and what it makes of images, uint8 [height, width, 3]."""

    def __init__(self, file: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # images run side by side
        try:
            self.session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
            self.meta: dict[str, Any] = json.loads(self.session.get_modelmeta().custom_metadata_map[META])
        except Exception as error:  # onnxruntime has an exception a kind of damage
            problem = f"{file} is damaged, or no graph of kenyan13: {first_line(error)}"
            raise UserError(problem, f"make it again: kenyan13 export {shlex.quote(str(file.parent))}") from error
        self.classes = tuple(self.meta["classes"])
        self.names = [output.name for output in self.session.get_outputs()]

    def run(self, image: Pixels, maps: bool = False) -> Outputs:
        """Return what the graph makes of an image."""
        names = self.names if maps else self.names[:2]
        options = onnxruntime.RunOptions()
        options.only_execute_path_to_fetches = True
        return Outputs(*(found[0] for found in self.session.run(names, {"images": image[None]}, options)))

    def read(self, source: Path | bytes) -> Pixels:
        """Return an image file or its contents for `run`; raises as kenyan13.data.images.decode.

        Of large images the graph itself needs 60 bytes a pixel: Pillow resizes them before, to the same bits.
        """
        contents, length = source if isinstance(source, bytes) else read_file(source), self.meta.get("length")
        if length and np.prod(opened(contents).size) > LARGE:
            return load(contents, length, self.meta["max_pixels"])
        return np.asarray(decode(contents, max_pixels=self.meta["max_pixels"]))

    def run_files(self, paths: Sequence[Path]) -> list[Outputs | str]:
        """Return what the graph makes of each file, or why it cannot be read; decoded and run on all cores."""

        def one(path: Path) -> Outputs | str:
            try:
                image = self.read(path)
            except Exception as error:  # Pillow's formats raise nearly everything
                return first_line(error)
            return self.run(image)

        with ThreadPoolExecutor(available_cores()) as pool:
            return list(progress(pool.map(one, paths), "Predicting", len(paths)))

    def sets(self, probabilities: NDArray[np.float32], coverage: float) -> NDArray[np.bool_]:
        """Return which classes may be the right ones, bool [n, classes], of probabilities [n, classes]."""
        return prediction_sets(probabilities, thresholds(self.meta["set_scores"], coverage))

    def unknown(self, found: Outputs) -> bool:
        """Return whether an image is less familiar than nearly all validation images: none of the classes, perhaps."""
        if found.likeness is None:
            return False
        known = self.meta["known"]
        score = familiarity(np.array([found.likeness]), np.array([found.probabilities.max()]), known)
        return bool(score[0] < known["lowest"][0])


def answer(graph: Graph, found: Outputs, top: int, coverage: float | None = None) -> dict[str, Any]:
    """Return a prediction as JSON has it; with coverage (0..1), a set of classes with the right one so often."""
    order = (-found.probabilities).argsort(kind="stable")
    classes = [{"class": graph.classes[k], "probability": float(found.probabilities[k])} for k in order[:top]]
    told: dict[str, Any] = {"classes": classes, "unknown": graph.unknown(found)}
    if coverage is not None:
        inside = graph.sets(found.probabilities[None], coverage)[0]
        told["set"] = [graph.classes[k] for k in order if inside[k]]
    return told


def explain(graph: Graph, path: Path, of: str | None = None, against: str | None = None) -> Image.Image:
    """Return the part of an image that the network sees under the heat map of a class, by default the predicted one.

    against: a class whose map is taken off: what tells the two apart (Finer-CAM, arXiv 2501.11309). Raises UserError
    where the graph has no maps, and whatever `decode` raises.
    """
    if "maps" not in graph.names:
        raise UserError(f"{graph.meta['name']} has no heat maps.", "its network, or its being several, allows none")
    image = decode(path)
    found = graph.run(np.asarray(image), maps=True)
    assert found.maps is not None
    chosen = int(found.probabilities.argmax()) if of is None else graph.classes.index(of)
    other = None if against is None else graph.classes.index(against)
    return heat_map(seen(image, graph.meta["crop"]), found.maps, chosen, other)


def seen(image: Image.Image, crop: int) -> Image.Image:
    """Return the middle of an image, [crop, crop], that the network sees."""
    resized = resize_short_side(image, resize_length(crop))
    left, top = (round((side - crop) / 2) for side in resized.size)
    return resized.crop((left, top, left + crop, top + crop))


def heat_map(image: Image.Image, maps: NDArray[np.float32], of: int, against: int | None = None) -> Image.Image:
    """Return an image under the map of class `of`; maps: each place's logits, float [classes, h, w]."""
    values = maps[of] - (0 if against is None else maps[against])
    shares = (values - values.min()) / max(float(np.ptp(values)), 1e-6)
    smooth = np.asarray(Image.fromarray(shares.astype(np.float32)).resize(image.size, Image.Resampling.BICUBIC))
    shades = cv2.applyColorMap((np.clip(smooth, 0, 1) * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)
    return Image.blend(image, Image.fromarray(cv2.cvtColor(shades, cv2.COLOR_BGR2RGB)), 0.5)
