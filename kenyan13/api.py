"""kenyan13 from Python: train, load and list runs, as `import kenyan13` gives them; torch is imported when needed."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image, ImageOps

from kenyan13.config.arguments import quoted
from kenyan13.data.images import decode
from kenyan13.errors import UserError, first_line
from kenyan13.runs.predictions import read_predictions

if TYPE_CHECKING:
    from torch import nn

    from kenyan13.export.session import Graph

Picture = str | Path | Image.Image | NDArray[np.uint8]


@dataclass(frozen=True)
class Run:
    """A run directory."""

    folder: Path

    @cached_property
    def graph(self) -> "Graph":
        """The run as a graph of onnxruntime, written into its directory where it is not there yet."""
        from kenyan13.export.session import GRAPH, Graph

        if not (self.folder / GRAPH).is_file():
            from kenyan13.export.write import export_onnx
            from kenyan13.training.composed import open_any

            export_onnx(open_any(self.folder), self.folder / GRAPH)
        return Graph(self.folder / GRAPH)

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes, in the order of the columns of predictions."""
        return self.graph.classes

    def predict(self, images: Picture | Sequence[Picture], coverage: float = 0.9) -> pd.DataFrame:
        """Return a row an image: prediction, unknown, set, and the probability (0..1) of each class.

        images: paths, Pillow's images, or arrays, uint8 [height, width, 3]. unknown: whether the image is less like
        training images than 95 % of the validation images; set: classes among which the right one is with `coverage`
        (0..1). Files are the index where they are given. Raises UserError for a file that cannot be read.
        """
        one = isinstance(images, str | Path | Image.Image) or (isinstance(images, np.ndarray) and images.ndim < 4)
        if not (one or isinstance(images, Iterable)):
            raise UserError(f"{images!r} is no image.", "give a path, an image, an array, or a list of them")
        listed = cast(list[Picture], [images] if one else list(cast(Sequence[Picture], images)))
        found, names = [self.graph.run(pixels(one)) for one in listed], np.array(self.classes)
        probabilities = np.array([one.probabilities for one in found]).reshape(-1, len(names))
        index = [str(one) if isinstance(one, str | Path) else row for row, one in enumerate(listed)]
        table = pd.DataFrame(probabilities, pd.Index(index), list(names))
        table.insert(0, "prediction", names[probabilities.argmax(axis=1)])
        table.insert(1, "unknown", [self.graph.unknown(one) for one in found])
        table.insert(2, "set", [tuple(names[inside]) for inside in self.graph.sets(probabilities, coverage)])
        return table

    def evaluate(self) -> dict[str, float]:
        """Return loss, accuracy and macro F1 on the run's validation images, computed again from the checkpoint."""
        from kenyan13.training.composed import open_any

        return open_any(self.folder).evaluate().metrics

    @property
    def predictions(self) -> pd.DataFrame:
        """The predictions of the validation images, by id: target, and the probability of each class."""
        return read_predictions(self.folder)

    def report(self) -> Path:
        """Write the run's report into its directory, and return the page."""
        from kenyan13.report.writing import write_report

        return write_report([self.folder], self.folder / "report")[0]

    @property
    def network(self) -> "nn.Module":
        """The network, a module of timm's; its `transform` makes float [3, crop, crop] of an image of `predict`."""
        import torch

        from kenyan13.data.augmentation import normalise
        from kenyan13.export.session import seen
        from kenyan13.model.backbones import normalisation
        from kenyan13.training.inference import open_run

        opened = open_run(self.folder)
        crop, colours = opened.settings.model.crop, normalisation(opened.settings.model)
        mean, std = torch.tensor(colours.mean), torch.tensor(colours.std)

        def transform(image: Picture) -> torch.Tensor:
            middle = np.array(seen(Image.fromarray(pixels(image)), crop))
            return normalise(torch.from_numpy(middle)[None], mean, std)[0]

        opened.network.transform = transform  # type: ignore[assignment]
        return opened.network.eval()


def pixels(image: Picture) -> NDArray[np.uint8]:
    """Return uint8 [height, width, 3] of an image. Raises UserError for a file that cannot be read."""
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
            problem = f"An array of {image.dtype} {[*image.shape]} is no image."
            raise UserError(problem, "give uint8 [height, width, 3], red green blue")
        return image
    if isinstance(image, Image.Image):
        buffer = BytesIO()
        ImageOps.exif_transpose(image).save(buffer, "PNG")  # so that transparency and deep grey are read as of a file
        return np.asarray(decode(buffer.getvalue()))
    try:
        return np.asarray(decode(Path(image)))
    except Exception as error:  # Pillow's formats raise nearly everything
        raise UserError(f"{image} cannot be read: {first_line(error)}", "leave it out, or repair it") from None


def train(root: str | Path | None = None, *overrides: str, **settings: Any) -> Run:
    """Train a run, as `python train.py` does, and return it: train("~/birds", "optim.lr=1e-3", recipe="quick").

    root: a folder with a folder of images a class; without it, settings say which data. Raises UserError for what the
    command would refuse.
    """
    from kenyan13.config.compose import compose_settings
    from kenyan13.runs.locate import run_directory
    from kenyan13.training.run import train as train_settings

    of_root = [] if root is None else ["data=folder", f"data.root={as_text(as_path(root).expanduser())}"]
    chosen = compose_settings([*of_root, *(f"{key}={as_text(value)}" for key, value in settings.items()), *overrides])
    train_settings(chosen)
    return Run(run_directory(chosen))


def as_text(value: Any) -> str:
    """Return a setting's value as it is written on the command line; texts such as "[a,b]" are written so already."""
    text = "null" if value is None else str(value)
    odd = isinstance(value, str | Path) and re.search(r"^[^\[{].*[,'\"(){}\[\]$]", text)
    return quoted(text) if odd else text


def load(folder: str | Path) -> Run:
    """Return the run of a directory; a name stands for one in runs/. Raises UserError where there is none."""
    from kenyan13.runs.config_file import read_config
    from kenyan13.runs.locate import resolve_run

    place = resolve_run(as_path(folder))
    read_config(place)
    return Run(place)


def as_path(value: str | Path) -> Path:
    """Return a path. Raises UserError for anything else."""
    if not isinstance(value, str | Path):
        raise UserError(f"{value!r} is no path.", 'give the path of a folder, as in "runs/demo"')
    return Path(value)


def list_runs(folder: str | Path = "runs") -> pd.DataFrame:
    """Return a row a run below a folder, by name: state, metrics (shares 0..1) and the settings that differ."""
    from kenyan13.runs.locate import find_runs
    from kenyan13.runs.run import differing_settings, read_all

    found = list(read_all(find_runs([as_path(folder)])))
    table = pd.DataFrame([vars(run.summary) for run in found], index=[run.name for run in found])
    table.insert(0, "state", [run.state.value for run in found])
    return table.assign(**differing_settings(found))
