"""Why: a heat map over the part of an image that the network sees, of what speaks for one class, or against another."""

import numpy as np
from matplotlib import colormaps
from numpy.typing import NDArray
from PIL import Image

from kenyan13.data.images import Pixels

OPAQUE = 0.5


def heat_map(seen: Pixels, maps: NDArray[np.float32], of: int, against: int | None = None) -> Image.Image:
    """Return what the network sees, uint8 [crop, crop, 3], under the map of class `of`.

    maps: each place's logits, float [classes, h, w]. against: another class, whose map is taken off: what tells the two
    apart (Finer-CAM, arXiv 2501.11309).
    """
    values = maps[of] - (0 if against is None else maps[against])
    shares = (values - values.min()) / max(float(np.ptp(values)), 1e-6)
    size = seen.shape[1::-1]
    smooth = np.asarray(Image.fromarray(shares.astype(np.float32)).resize(size, Image.Resampling.BICUBIC))
    colours = Image.fromarray((colormaps["inferno"](np.clip(smooth, 0, 1))[..., :3] * 255).astype(np.uint8))
    return Image.blend(Image.fromarray(seen), colours, OPAQUE)
