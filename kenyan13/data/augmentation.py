"""Random views of an image, drawn, and made: changed colours; flips, rotation, scale, shear and crop in one warp.

As torchvision's ColorJitter, RandomAffine, RandomResizedCrop and RandomErasing (study, Input transforms).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations
from math import cos, exp, log, radians, sin, sqrt, tan

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kenyan13.config.settings import AugmentSettings, ErasingSettings, Fill
from kenyan13.data.images import Pixels

GREY = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601 luma, as Pillow and torchvision weigh red, green and blue
Matrix = NDArray[np.float64]
IDENTITY = np.eye(3, 4)  # of colours: from (red, green, blue, 1) to red, green, blue
CONTRAST, SATURATION, HUE = 1, 2, 3  # their numbers in View.colour_order, where brightness is 0
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
    shift = (-settings.translation, settings.translation)

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
        translation=(between(*shift), between(*shift)),
        scale=between(*settings.scale),
        shear=between(-settings.shear, settings.shear),
        erased=draw_rectangle(settings.erasing, crop, random),
        noise=next(numbers) < settings.noise.probability,
        region=draw_region(settings, random),
    )


def draw_region(settings: AugmentSettings, random: np.random.Generator) -> tuple[float, float, float, float] | None:
    """Draw a region as RandomResizedCrop: share of the area, width / height, place from left and top, or None."""
    if settings.crop_area is None:
        return None
    (low, high), (narrow, wide) = settings.crop_area, settings.crop_ratio
    area, ratio, left, top = random.random(4).tolist()
    return low + (high - low) * area, exp(log(narrow) + (log(wide) - log(narrow)) * ratio), left, top


def draw_rectangle(settings: ErasingSettings, crop: int, random: np.random.Generator) -> tuple[int, int, int, int]:
    """Draw what is erased as RandomErasing does: top, left, height, width in pixels; all zero for none."""
    if random.random() >= settings.probability:
        return (0, 0, 0, 0)
    low, high = log(settings.ratio[0]), log(settings.ratio[1])
    for _ in range(10):
        area, ratio = crop * crop * random.uniform(settings.area[0], settings.area[1]), exp(random.uniform(low, high))
        height, width = round(sqrt(area * ratio)), round(sqrt(area / ratio))
        if height < crop and width < crop:
            return (int(random.integers(crop - height + 1)), int(random.integers(crop - width + 1)), height, width)
    return (0, 0, 0, 0)


def recolour(image: Pixels, view: View) -> Pixels:
    """Apply brightness, contrast, saturation and hue in the view's order, each clipped to 0..255 as in torchvision.

    Steps in a row are one matrix, unless a factor is above 1, or no matrix turns this image's hues well enough.
    """
    factors = (view.brightness, view.contrast, view.saturation)
    hue = int(view.hue * 255)  # in steps of 8-bit hues, as Pillow and torchvision count them
    matrix = IDENTITY  # the steps not applied yet
    for step in view.colour_order:
        if step == HUE and hue:
            turned = hue_matrix(hue, image, matrix)
            if turned is None:
                image, matrix = turn_hue(transform(image, matrix), hue), IDENTITY
            else:
                matrix = turned
        elif step != HUE and factors[step] != 1:
            matrix = blend(step, factors[step], image, matrix)
            if factors[step] > 1:
                image, matrix = transform(image, matrix), IDENTITY
    return transform(image, matrix)


def transform(image: Pixels, matrix: Matrix) -> Pixels:
    """Return matrix @ (red, green, blue, 1) of every pixel, clipped to 0..255."""
    return image if matrix is IDENTITY else cv2.transform(image, matrix)  # type: ignore[return-value]


def blend(step: int, factor: float, image: Pixels, before: Matrix) -> Matrix:
    """Return the 3x4 colour matrix of factor * x + (1 - factor) * y, where x is what `before` makes of the image.

    y: black for brightness, the mean grey of all x for contrast, x's own grey for saturation.
    """
    after = factor * before
    if step == CONTRAST:
        after[:, 3] += (1 - factor) * (GREY @ before @ (*cv2.mean(image)[:3], 1.0))
    elif step == SATURATION:
        after += (1 - factor) * (GREY @ before)
    return after


def hue_matrix(steps: int, image: Pixels, before: Matrix) -> Matrix | None:
    """Return the 3x4 colour matrix nearest to turning the hue of x, by least squares over a grid of pixels.

    None where it is off by more than 0.8 grey levels on average. Through HSV, this would take longer than all the rest.
    """
    stride = max(1, min(image.shape[:2]) // 24)
    grid = np.ascontiguousarray(image[stride // 2 :: stride, stride // 2 :: stride])
    sample = transform(grid, before)
    change = np.subtract(turn_hue(sample, steps), sample, dtype=np.float64).reshape(-1, 3)
    colours = np.ones((len(change), 4))
    colours[:, :3] = sample.reshape(-1, 3)
    # a grey image decides less than twelve numbers: with the ridge, what is undecided changes nothing
    solution = np.linalg.solve(colours.T @ colours + np.eye(4), colours.T @ change)
    if np.abs(colours @ solution - change).mean() > 0.8:
        return None
    turn = IDENTITY + solution.T
    after = turn[:, :3] @ before
    after[:, 3] += turn[:, 3]
    return after


def turn_hue(image: Pixels, steps: int) -> Pixels:
    """Turn the hue by steps of 1/256 of the colour circle."""
    coded = cv2.cvtColor(image, cv2.COLOR_RGB2HSV_FULL)
    turn = np.zeros(coded.shape[1:], dtype=np.uint8)
    turn[:, 0] = steps % 256
    rows = coded.reshape(len(coded), -1)  # for NumPy is slow at every third number
    rows += turn.ravel()  # wraps around the circle
    return cv2.cvtColor(coded, cv2.COLOR_HSV2RGB_FULL)  # type: ignore[return-value]


def warp(image: Pixels, view: View, crop: int) -> Pixels:
    """Apply flips, affine map and centre crop in one bilinear warp; what lies outside the image is black."""
    matrix = source_matrix(view, image.shape[0], image.shape[1], crop)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    # OpenCV warps pixels of four bytes more than twice as fast as those of three.
    padded = cv2.cvtColor(image, cv2.COLOR_RGB2RGBA)
    warped = cv2.warpAffine(padded, matrix, (crop, crop), flags=flags)
    return cv2.cvtColor(warped, cv2.COLOR_RGBA2RGB)  # type: ignore[return-value]


def source_matrix(view: View, height: int, width: int, crop: int) -> Matrix:
    """Return the 2x3 matrix from pixel indices (x, y) of the crop to pixel indices of the image.

    Forward, relative to the image's centre: flips, then scale * rotation * shear along x, then translation by whole
    pixels (torchvision's RandomAffine), then the centre crop. Pixel centres lie at index + 1/2.
    """
    cosine, sine, slant = cos(radians(view.rotation)), sin(radians(view.rotation)), tan(radians(view.shear))
    right = (-1.0 if view.horizontal_flip else 1.0) / view.scale
    down = (-1.0 if view.vertical_flip else 1.0) / view.scale
    # the inverse of scale * [[cosine, -cosine * slant - sine], [sine, -sine * slant + cosine]], then the flips
    a, b = right * (cosine - sine * slant), right * (sine + cosine * slant)
    c, d = -down * sine, down * cosine
    x = round((width - crop) / 2) + 0.5 - width / 2 - round(view.translation[0] * width)
    y = round((height - crop) / 2) + 0.5 - height / 2 - round(view.translation[1] * height)
    middle: Sequence[float] = (width / 2, height / 2)
    if view.region is not None:  # the crop's pixels are spread over the region, about whose middle all else is done
        wide, high, *middle = place_region(view.region, height, width)
        x, y = 0.5 - crop / 2 - view.translation[0] * crop, 0.5 - crop / 2 - view.translation[1] * crop
        a, b, c, d = a * wide / crop, b * high / crop, c * wide / crop, d * high / crop
    return np.array([[a, b, a * x + b * y + middle[0] - 0.5], [c, d, c * x + d * y + middle[1] - 0.5]])


def place_region(region: tuple[float, float, float, float], height: int, width: int) -> tuple[float, ...]:
    """Return a region's width, height, and its middle's x and y, in pixels of an image; no side is longer than its."""
    area, ratio, left, top = region
    wide, high = min(width, sqrt(area * height * width * ratio)), min(height, sqrt(area * height * width / ratio))
    return wide, high, wide / 2 + (width - wide) * left, high / 2 + (height - high) * top


def normalise(images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Return uint8 [n, height, width, 3] as float32 [n, 3, height, width], channels last: (x / 255 - mean) / std."""
    width = images.shape[2]
    rows = images.flatten(2).float()  # whole rows, for torch is slow at broadcasting over three numbers
    torch.addcmul((-mean / std).repeat(width), rows, (1 / (255 * std)).repeat(width), out=rows)
    return rows.view(images.shape).permute(0, 3, 1, 2)


def erase_and_add_noise(
    images: Tensor, erased: NDArray[np.int64], noise: NDArray[np.bool_], seed: int, settings: AugmentSettings
) -> None:
    """Apply random erasing, then Gaussian noise, to normalised images, float [n, 3, height, width], in place.

    erased: [n, 4] rectangles; noise: [n]; seed: decides the random values, drawn on the images' device.
    """
    random = torch.Generator(images.device).manual_seed(seed)
    for row in np.flatnonzero(erased.any(axis=1)).tolist():
        top, left, height, width = erased[row].tolist()
        part = images[row, :, top : top + height, left : left + width]
        part.normal_(generator=random) if settings.erasing.fill is Fill.random else part.zero_()
    for row in np.flatnonzero(noise).tolist():
        images[row] += settings.noise.std * torch.empty_like(images[row]).normal_(generator=random)
