"""Random views of a picture: changed colours; flips, rotation, translation, scale, shear and crop in one warp.

The distributions are those of torchvision's ColorJitter, RandomAffine and RandomErasing (study, Input transforms).
Random numbers are drawn apart from their use, so that a view can be repeated and checked.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import cos, exp, log, radians, sin, sqrt, tan

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kenyan13.data.pictures import Pixels
from kenyan13.settings import AugmentSettings, ErasingSettings, Fill

GREY = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601 luma, as Pillow and torchvision weigh red, green and blue


@dataclass(frozen=True)
class View:
    """The drawn parameters of one view of a picture."""

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

    @property
    def moves(self) -> bool:
        """Whether flips or the affine map move any pixel."""
        geometry = (self.vertical_flip, self.horizontal_flip, self.rotation, self.translation, self.scale, self.shear)
        return geometry != (False, False, 0.0, (0.0, 0.0), 1.0, 0.0)


def draw_view(settings: AugmentSettings, crop: int, random: np.random.Generator) -> View:
    """Draw a view's parameters. The same generator state gives the same view."""
    return View(
        brightness=between(settings.brightness, random),
        contrast=between(settings.contrast, random),
        saturation=between(settings.saturation, random),
        hue=random.uniform(-settings.hue, settings.hue),
        colour_order=tuple(random.permutation(4).tolist()),
        vertical_flip=random.random() < settings.vertical_flip,
        horizontal_flip=random.random() < settings.horizontal_flip,
        rotation=random.uniform(-settings.rotation, settings.rotation),
        translation=(
            random.uniform(-settings.translation, settings.translation),
            random.uniform(-settings.translation, settings.translation),
        ),
        scale=between(settings.scale, random),
        shear=random.uniform(-settings.shear, settings.shear),
        erased=draw_rectangle(settings.erasing, crop, random),
        noise=random.random() < settings.noise.probability,
    )


def between(pair: Sequence[float], random: np.random.Generator) -> float:
    """Draw a number between the lowest and the highest value of a pair."""
    return random.uniform(pair[0], pair[1])


def draw_rectangle(settings: ErasingSettings, crop: int, random: np.random.Generator) -> tuple[int, int, int, int]:
    """Draw the rectangle that is erased: top, left, height, width in pixels; all zero for none.

    As torchvision's RandomErasing: up to ten tries for one that is smaller than the crop.
    """
    if random.random() >= settings.probability:
        return (0, 0, 0, 0)
    low, high = log(settings.ratio[0]), log(settings.ratio[1])
    for _ in range(10):
        area, ratio = crop * crop * between(settings.area, random), exp(random.uniform(low, high))
        height, width = round(sqrt(area * ratio)), round(sqrt(area / ratio))
        if height < crop and width < crop:
            return (int(random.integers(crop - height + 1)), int(random.integers(crop - width + 1)), height, width)
    return (0, 0, 0, 0)


def apply_view(picture: Pixels, view: View, crop: int) -> Pixels:
    """Return the view's colours, geometry and centre crop: uint8 [crop, crop, 3]. Erasing and noise come later."""
    return warp(recolour(picture, view), view, crop)


def centre_crop(picture: Pixels, crop: int) -> Pixels:
    """Return the middle uint8 [crop, crop, 3], as torchvision's CenterCrop takes it."""
    top, left = (round((side - crop) / 2) for side in picture.shape[:2])
    return picture[top : top + crop, left : left + crop]


def recolour(picture: Pixels, view: View) -> Pixels:
    """Apply brightness, contrast, saturation and hue in the view's order, each clipped to 0..255 as in torchvision."""
    steps = (brighten, add_contrast, saturate, turn_hue)
    factors = (view.brightness, view.contrast, view.saturation, view.hue)
    neutral = (1.0, 1.0, 1.0, 0.0)
    for step in view.colour_order:
        if factors[step] != neutral[step]:
            picture = steps[step](picture, factors[step])
    return picture


def brighten(picture: Pixels, factor: float) -> Pixels:
    """Return factor * x."""
    return cv2.convertScaleAbs(picture, alpha=factor)  # type: ignore[return-value]


def add_contrast(picture: Pixels, factor: float) -> Pixels:
    """Return factor * x + (1 - factor) * the picture's mean grey."""
    mean_grey = float(GREY @ np.array(cv2.mean(picture)[:3]))
    return cv2.addWeighted(picture, factor, picture, 0.0, (1 - factor) * mean_grey)  # type: ignore[return-value]


def saturate(picture: Pixels, factor: float) -> Pixels:
    """Return factor * x + (1 - factor) * x's own grey."""
    return cv2.transform(picture, factor * np.eye(3) + (1 - factor) * GREY)  # type: ignore[return-value]


def turn_hue(picture: Pixels, share: float) -> Pixels:
    """Turn the hue by a share, -0.5..0.5, of the colour circle."""
    coded = cv2.cvtColor(picture, cv2.COLOR_RGB2HSV_FULL)
    coded[..., 0] += np.uint8(int(share * 255) % 256)  # wraps around the circle
    return cv2.cvtColor(coded, cv2.COLOR_HSV2RGB_FULL)  # type: ignore[return-value]


def warp(picture: Pixels, view: View, crop: int) -> Pixels:
    """Apply flips, affine map and centre crop in one bilinear warp; what lies outside the picture is black."""
    if not view.moves:
        return centre_crop(picture, crop)
    matrix = source_matrix(view, picture.shape[0], picture.shape[1], crop)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(picture, matrix, (crop, crop), flags=flags)  # type: ignore[return-value]


def source_matrix(view: View, height: int, width: int, crop: int) -> NDArray[np.float64]:
    """Return the 2x3 matrix from pixel indices (x, y) of the crop to pixel indices of the picture.

    Forward, relative to the picture's centre: flips, then scale * rotation * shear along x, then translation by whole
    pixels (torchvision's RandomAffine), then the centre crop. Pixel centres lie at index + 1/2.
    """
    angle, slant = radians(view.rotation), tan(radians(view.shear))
    forward = view.scale * np.array(
        [[cos(angle), -cos(angle) * slant - sin(angle)], [sin(angle), -sin(angle) * slant + cos(angle)]]
    )
    flips = np.diag([-1.0 if view.horizontal_flip else 1.0, -1.0 if view.vertical_flip else 1.0])
    inverse = flips @ np.linalg.inv(forward)
    centre = np.array([width / 2, height / 2])
    shift = np.round(np.array(view.translation) * (width, height))
    corner = np.array([round((width - crop) / 2), round((height - crop) / 2)])
    offset = inverse @ (corner + 0.5 - centre - shift) + centre - 0.5
    return np.column_stack([inverse, offset])


def normalise(pictures: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Return uint8 [n, height, width, 3] as float32 [n, 3, height, width]: (x / 255 - mean) / std, per channel.

    The memory layout stays channels last.
    """
    return ((pictures.float() - 255 * mean) / (255 * std)).permute(0, 3, 1, 2)


def erase_and_add_noise(
    pictures: Tensor, erased: Tensor | None, noise: Tensor | None, seed: int, settings: AugmentSettings
) -> Tensor:
    """Apply random erasing, then Gaussian noise, to normalised pictures, float [n, 3, height, width].

    erased: int [n, 4] rectangles; noise: bool [n]; seed: decides the random values, drawn on the pictures' device.
    """
    random = torch.Generator(pictures.device).manual_seed(seed)
    if erased is not None:
        top, left, height, width = (side.view(-1, 1, 1, 1) for side in erased.unbind(1))
        y = torch.arange(pictures.shape[2], device=pictures.device).view(1, 1, -1, 1)
        x = torch.arange(pictures.shape[3], device=pictures.device).view(1, 1, 1, -1)
        inside = (y >= top) & (y < top + height) & (x >= left) & (x < left + width)
        if settings.erasing.fill is Fill.random:
            pictures = torch.where(inside, standard_normal_like(pictures, random), pictures)
        else:
            pictures = torch.where(inside, 0.0, pictures)  # masked_fill would lose the channels-last layout
    if noise is not None:
        strength = settings.noise.std * noise.to(pictures.dtype).view(-1, 1, 1, 1)
        pictures = pictures + strength * standard_normal_like(pictures, random)
    return pictures


def standard_normal_like(pictures: Tensor, random: torch.Generator) -> Tensor:
    """Return standard normal values in the pictures' shape, type, device and memory layout."""
    return torch.empty_like(pictures).normal_(generator=random)
