"""How figures become PNG files: matplotlib's Agg, with texts drawn from outlines that are kept.

Laying out and hinting letters takes half of the time of a small figure, and a report's figures have mostly the same
texts: classes, ticks, percentages. This way they are drawn in half the time.
"""

import io
import warnings
from functools import lru_cache

import matplotlib as mpl
import numpy as np
from matplotlib.backend_bases import GraphicsContextBase
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.path import Path
from matplotlib.text import Text
from matplotlib.textpath import text_to_path
from matplotlib.transforms import Affine2D
from PIL import Image, ImageChops

from kenyan13.plots.style import DPI, STYLE

SHADES = 128  # colours of a file without photographs: a quarter of the bytes, and no difference to be seen
MARGIN = 12  # pixels of white around a figure
KEPT = 20_000  # texts


def png(figure: Figure, photographs: bool = False) -> bytes:
    """Return a figure as the bytes of a PNG file, with white around it cut down to MARGIN.

    photographs: keep all colours. Letters that the fonts lack become boxes, without a warning.
    """
    with mpl.rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        width, height = (round(length * DPI) for length in figure.get_size_inches())
        figure.set_dpi(DPI)
        renderer = OutlineRenderer(width, height, DPI)
        figure.draw(renderer)
    image = trimmed(Image.fromarray(np.asarray(renderer.buffer_rgba())).convert("RGB"))
    buffer = io.BytesIO()
    (image if photographs else few_colours(image)).save(buffer, "PNG")
    return buffer.getvalue()


def trimmed(image: Image.Image) -> Image.Image:
    """Return an image without the white around what is drawn, but for a margin."""
    left, top, right, bottom = ImageChops.invert(image.convert("L")).getbbox() or (0, 0, *image.size)
    width, height = image.size
    return image.crop(
        (max(0, left - MARGIN), max(0, top - MARGIN), min(width, right + MARGIN), min(height, bottom + MARGIN))
    )


def few_colours(image: Image.Image) -> Image.Image:
    """Return an image with a palette of SHADES colours; white stays white."""
    reduced = image.quantize(SHADES, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    palette = np.array(reduced.getpalette())
    palette[palette >= 253] = 255
    reduced.putpalette(palette.tolist())
    return reduced


@lru_cache(maxsize=KEPT)
def outline(text: str, font: FontProperties) -> Path:
    """Return a text's outline in the units of matplotlib's text_to_path."""
    corners, codes = text_to_path.get_text_path(font, text)
    return Path(corners, codes)


@lru_cache(maxsize=KEPT)
def extent(text: str, font: FontProperties) -> tuple[float, float, float]:
    """Return a text's width, height and descent in pixels."""
    width, height, descent = RendererAgg(1, 1, DPI).get_text_width_height_descent(text, font, False)
    return float(width), float(height), float(descent)


class OutlineRenderer(RendererAgg):
    """Draws texts as filled outlines; outlines and extents are kept for all figures of the process."""

    def draw_text(
        self, gc: GraphicsContextBase, x: float, y: float, s: str, prop: FontProperties, angle: float,
        ismath: bool | str = False, mtext: Text | None = None,
    ) -> None:  # fmt: skip
        """Draw a text that begins at (x, y), in pixels from the upper left corner, turned by `angle` degrees."""
        size = self.points_to_pixels(prop.get_size_in_points()) / text_to_path.FONT_SCALE
        place = Affine2D().scale(size).rotate_deg(angle).translate(x, self.height - y)
        gc.set_linewidth(0)
        self.draw_path(gc, outline(s, prop), place, gc.get_rgb())

    def get_text_width_height_descent(
        self, s: str, prop: FontProperties, ismath: bool | str
    ) -> tuple[float, float, float]:
        """Return a text's width, height and descent in pixels."""
        return extent(s, prop)
