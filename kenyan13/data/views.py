"""Random views of an image, drawn apart from their use; distributed as torchvision's random transforms."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations
from math import exp, log, sqrt

import numpy as np

from kenyan13.config.settings import AugmentSettings, ErasingSettings

COLOUR_ORDERS = tuple(permutations(range(4)))


@dataclass(frozen=True)
class View:
    """The drawn parameters of one view of an image."""

    brightness: float = 1.0
    contrast: float = 1.0
    saturation: float = 1.0
    hue: float = 0.0  # share of the colour circle
    colour_order: tuple[int, ...] = (0, 1, 2, 3)  # of brightness, contrast, saturation, hue
    vertical_flip: bool = False
    horizontal_flip: bool = False
    rotation: float = 0.0  # degrees, clockwise
    translation: tuple[float, float] = (0.0, 0.0)  # shares of width and height
    scale: float = 1.0
    shear: float = 0.0  # degrees
    erased: tuple[int, int, int, int] = (0, 0, 0, 0)  # top, left, height, width in pixels of the crop
    noise: bool = False
    region: tuple[float, float, float, float] | None = None  # area, ratio, left, top: see `place_region`


def draw_view(settings: AugmentSettings, crop: int, random: np.random.Generator) -> View:
    """Draw a view's parameters. The same generator state gives the same view."""
    numbers: Iterator[float] = iter(random.random(13).tolist())  # at once: a call costs more than its numbers

    def between(low: float, high: float) -> float:
        return low + (high - low) * next(numbers)

    return View(
        brightness=between(*settings.brightness),
        contrast=between(*settings.contrast),
        saturation=between(*settings.saturation),
        hue=between(-settings.hue, settings.hue),
        colour_order=COLOUR_ORDERS[int(24 * next(numbers))],
        vertical_flip=next(numbers) < settings.vertical_flip,
        horizontal_flip=next(numbers) < settings.horizontal_flip,
        rotation=between(-settings.rotation, settings.rotation),
        translation=(
            between(-settings.translation, settings.translation),
            between(-settings.translation, settings.translation),
        ),
        scale=between(*settings.scale),
        shear=between(-settings.shear, settings.shear),
        erased=draw_rectangle(settings.erasing, crop, random),
        noise=next(numbers) < settings.noise.probability,
        region=draw_region(settings, random),
    )


def draw_region(settings: AugmentSettings, random: np.random.Generator) -> tuple[float, float, float, float] | None:
    """Draw a region as torchvision's RandomResizedCrop; None for the centre crop.

    Returns its share of the area, its width / height, and its place: 0 at the left and top, 1 at the right and bottom.
    """
    if settings.crop_area is None:
        return None
    (low, high), (narrow, wide) = settings.crop_area, settings.crop_ratio
    area, ratio, left, top = random.random(4).tolist()
    return low + (high - low) * area, exp(log(narrow) + (log(wide) - log(narrow)) * ratio), left, top


def draw_rectangle(settings: ErasingSettings, crop: int, random: np.random.Generator) -> tuple[int, int, int, int]:
    """Draw the rectangle that is erased: top, left, height, width in pixels; all zero for none.

    As torchvision's RandomErasing: up to ten tries for one that is smaller than the crop.
    """
    if random.random() >= settings.probability:
        return (0, 0, 0, 0)
    low, high = log(settings.ratio[0]), log(settings.ratio[1])
    for _ in range(10):
        area, ratio = crop * crop * random.uniform(settings.area[0], settings.area[1]), exp(random.uniform(low, high))
        height, width = round(sqrt(area * ratio)), round(sqrt(area / ratio))
        if height < crop and width < crop:
            return (int(random.integers(crop - height + 1)), int(random.integers(crop - width + 1)), height, width)
    return (0, 0, 0, 0)
