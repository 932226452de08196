"""Why: a heat map over the part of an image that the network sees, of what speaks for one class, or against another."""

from pathlib import Path

import numpy as np
from matplotlib import colormaps
from numpy.typing import NDArray
from PIL import Image

from kenyan13.data.images import decode, resize_length, resize_short_side
from kenyan13.errors import UserError
from kenyan13.export.session import Graph

OPAQUE = 0.5


def explain(graph: Graph, path: Path, of: str | None = None, against: str | None = None) -> Image.Image:
    """Return the part of an image that the network sees under the heat map of a class, by default the predicted one.

    against: a class whose map is taken off, so that what tells the two apart is left (Finer-CAM, arXiv 2501.11309).
    Raises UserError where the graph has no maps, and whatever `decode` raises.
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
    colours = Image.fromarray((colormaps["inferno"](np.clip(smooth, 0, 1))[..., :3] * 255).astype(np.uint8))
    return Image.blend(image, colours, OPAQUE)
