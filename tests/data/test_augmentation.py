"""Random views: torchvision's distributions and torchvision's images, by another road."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import permutations
from math import log
from typing import TypeVar

import cv2
import numpy as np
import pytest
import torch
import torchvision.transforms as T
import torchvision.transforms.functional as F
from numpy.typing import NDArray
from PIL import Image
from scipy import stats
from torchvision.transforms import InterpolationMode

from kenyan13.config.settings import AugmentSettings, ErasingSettings, Fill, NoiseSettings, Settings
from kenyan13.data.augmentation import View, draw_rectangle, draw_view, recolour, warp
from kenyan13.data.images import Pixels, centre_crop, resize_short_side
from kenyan13.data.synthetic import draw

# From shared/spec/experiments.md, the table under Input transforms.
ERASING = ErasingSettings(0.5, [0.02, 0.33], [0.3, 3.3], Fill.zero)
DEFAULT = AugmentSettings(
    brightness=[0.85, 1.15], contrast=[0.5, 1.5], saturation=[0.5, 2.0], hue=0.03, vertical_flip=0.5,
    horizontal_flip=0.5, rotation=45, translation=0.1, scale=[0.9, 1.1], shear=0, erasing=ERASING,
    noise=NoiseSettings(probability=0.0),
)  # fmt: skip
PRESETS = {
    "none": AugmentSettings(),
    "default": DEFAULT,
    "enhanced": replace(DEFAULT, shear=20, erasing=replace(ERASING, fill=Fill.random), noise=NoiseSettings(0.5, 0.1)),
    "untuned": replace(
        DEFAULT, brightness=[0.75, 1.25], contrast=[0.75, 1.25], saturation=[0.75, 1.25], hue=0.25, translation=0.2,
        scale=[0.8, 1.2],
    ),
}  # fmt: skip
ENHANCED = PRESETS["enhanced"]
HEIGHT, WIDTH, CROP = 256, 341, 224
DRAWS = 3000
MEAN, STD = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])


@pytest.fixture(scope="module")
def photos() -> list[Pixels]:
    """Drawn images with a short side of 256 pixels: portrait, landscape and square."""
    names = ("bhaji", "chapati", "githeri", "kachumbari")
    drawn = [draw(name, np.random.default_rng(k)) for k, name in enumerate(names)]
    return [np.asarray(resize_short_side(image, HEIGHT)) for image in drawn]


@pytest.fixture(scope="module")
def views() -> list[View]:
    random = np.random.default_rng(1)
    return [draw_view(ENHANCED, CROP, random) for _ in range(DRAWS)]


def difference(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> NDArray[np.float64]:
    return np.abs(one.astype(np.float64) - other)


def same_distribution(ours: list[float], theirs: list[float]) -> bool:
    return bool(stats.ks_2samp(ours, theirs).pvalue > 1e-3)


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_are_the_study_s(compose: Callable[..., Settings], preset: str) -> None:
    assert compose(f"augment={preset}").augment == PRESETS[preset]


def test_every_order_of_the_colour_steps_is_drawn_equally_often(views: list[View]) -> None:
    counts = Counter(view.colour_order for view in views)
    assert set(counts) == set(permutations(range(4)))
    assert stats.chisquare(list(counts.values())).pvalue > 1e-3


@pytest.mark.parametrize("preset", ["default", "untuned"])
def test_colours_are_distributed_as_in_torchvision(preset: str) -> None:
    settings, random = PRESETS[preset], np.random.default_rng(2)
    torch.manual_seed(2)
    jitter = T.ColorJitter(
        (settings.brightness[0], settings.brightness[1]), (settings.contrast[0], settings.contrast[1]),
        (settings.saturation[0], settings.saturation[1]), settings.hue,
    )  # fmt: skip
    theirs = [
        T.ColorJitter.get_params(jitter.brightness, jitter.contrast, jitter.saturation, jitter.hue)[1:]
        for _ in range(DRAWS)
    ]
    ours = [draw_view(settings, CROP, random) for _ in range(DRAWS)]
    for place, name in enumerate(("brightness", "contrast", "saturation", "hue")):
        assert same_distribution([getattr(view, name) for view in ours], [row[place] for row in theirs]), name


def test_geometry_is_distributed_as_in_torchvision(views: list[View]) -> None:
    torch.manual_seed(3)
    affine = T.RandomAffine(45, (0.1, 0.1), (0.9, 1.1), 20)
    theirs = [
        T.RandomAffine.get_params(affine.degrees, affine.translate, affine.scale, affine.shear, [WIDTH, HEIGHT])
        for _ in range(DRAWS)
    ]
    assert same_distribution([view.rotation for view in views], [row[0] for row in theirs])
    assert same_distribution([round(view.translation[0] * WIDTH) for view in views], [row[1][0] for row in theirs])
    assert same_distribution([round(view.translation[1] * HEIGHT) for view in views], [row[1][1] for row in theirs])
    assert same_distribution([view.scale for view in views], [row[2] for row in theirs])
    assert same_distribution([view.shear for view in views], [row[3][0] for row in theirs])


def test_rectangles_are_distributed_as_in_torchvision() -> None:
    torch.manual_seed(4)
    image, random = torch.zeros(3, CROP, CROP), np.random.default_rng(4)
    always = replace(ERASING, probability=1.0)
    theirs = [T.RandomErasing.get_params(image, (0.02, 0.33), (0.3, 3.3), [0.0])[:4] for _ in range(DRAWS)]
    ours = [draw_rectangle(always, CROP, random) for _ in range(DRAWS)]
    for place in range(4):
        assert same_distribution([row[place] for row in ours], [row[place] for row in theirs])
    measures: list[Callable[[tuple[int, int, int, int]], float]] = [
        lambda row: row[2] * row[3], lambda row: log(row[2] / row[3]), lambda row: row[0] + row[2],
    ]  # fmt: skip
    for measure in measures:
        assert same_distribution([measure(row) for row in ours], [measure(row) for row in theirs])
    top, left, height, width = np.array(ours).T
    assert (top.min(), left.min()) == (0, 0)
    assert ((top + height).max(), (left + width).max()) == (CROP, CROP)
    assert min(height.min(), width.min()) > 0


def test_yes_or_no_draws_have_their_probabilities(views: list[View]) -> None:
    erased = [view.erased != (0, 0, 0, 0) for view in views]
    flags = [[view.vertical_flip, view.horizontal_flip, view.noise] for view in views]
    for column in (erased, *zip(*flags, strict=True)):
        assert stats.binomtest(sum(column), DRAWS, 0.5).pvalue > 1e-3
    pairs = np.array([[*row, out] for row, out in zip(flags, erased, strict=True)], dtype=float)
    assert np.abs(np.corrcoef(pairs.T) - np.eye(4)).max() < 4 / DRAWS**0.5  # drawn independently


Reference = TypeVar("Reference", torch.Tensor, Image.Image)


def torchvision_colours(image: Reference, view: View) -> Reference:
    steps = (F.adjust_brightness, F.adjust_contrast, F.adjust_saturation, F.adjust_hue)
    factors = (view.brightness, view.contrast, view.saturation, view.hue)
    for step in view.colour_order:
        image = steps[step](image, factors[step])
    return image


def colours_of_tensors(photo: Pixels, view: View) -> NDArray[np.float64]:
    """Torchvision's colours of a float tensor, 0..255: nothing is cut off between the steps."""
    tensor: torch.Tensor = F.to_tensor(Image.fromarray(photo))
    return np.asarray(255 * torchvision_colours(tensor, view).permute(1, 2, 0), dtype=np.float64)


@pytest.mark.parametrize("preset", ["default", "untuned"])
def test_colours_are_torchvision_s(photos: list[Pixels], preset: str) -> None:
    random = np.random.default_rng(5)
    of_tensors, of_pillow = [], []
    for k in range(40):
        photo, view = photos[k % 4], draw_view(PRESETS[preset], CROP, random)
        ours = recolour(photo, view)
        of_tensors.append(np.abs(ours - colours_of_tensors(photo, view)).mean())
        of_pillow.append(difference(ours, np.asarray(torchvision_colours(Image.fromarray(photo), view))).mean())
    assert np.mean(of_tensors) < 0.9
    assert max(of_tensors) < 2
    assert np.mean(of_pillow) < 1.7
    assert max(of_pillow) < 2.5  # Pillow cuts off the fraction after each of the four steps: up to 2 levels in all


@pytest.mark.parametrize("hue", [-0.25, -0.03, 0.003, 0.03, 0.25, 0.5])
def test_hue_is_pillow_s(photos: list[Pixels], hue: float) -> None:
    for photo in photos:
        expected = np.asarray(F.adjust_hue(Image.fromarray(photo), hue))
        assert difference(recolour(photo, View(hue=hue)), expected).mean() < 1


def test_what_is_clipped_between_steps_stays_clipped() -> None:
    bright = np.full((32, 32, 3), 200, dtype=np.uint8)
    assert (recolour(bright, View(brightness=1.5, saturation=0.5)) == 255).all()
    view = View(brightness=0.5, contrast=2.0, saturation=0.5, colour_order=(1, 0, 2, 3))
    halves = np.repeat(np.array([0, 255], dtype=np.uint8), 512).reshape(32, 32)[..., None].repeat(3, axis=2)
    assert np.unique(recolour(halves, view)).tolist() == [0, 128]  # contrast clips before brightness halves


def torchvision_geometry(image: Image.Image, view: View, crop: int) -> NDArray[np.uint8]:
    if view.vertical_flip:
        image = F.vflip(image)
    if view.horizontal_flip:
        image = F.hflip(image)
    shift = [round(share * side) for share, side in zip(view.translation, image.size, strict=True)]
    bilinear = InterpolationMode.BILINEAR
    moved = F.affine(image, view.rotation, shift, view.scale, [view.shear, 0.0], bilinear, fill=[0, 0, 0])
    return np.asarray(F.center_crop(moved, [crop, crop]))


def check_geometry(photo: Pixels, view: View) -> None:
    image = Image.fromarray(photo)
    ours, theirs = warp(photo, view, CROP), torchvision_geometry(image, view, CROP)
    assert ours.shape == (CROP, CROP, 3)
    white = torchvision_geometry(Image.new("RGB", image.size, "white"), view, CROP)[..., 0]
    shown = cv2.erode(white, np.ones((5, 5))) == 255  # two pixels or more away from the border
    assert shown.mean() > 0.4
    assert difference(ours, theirs)[shown].mean() < 1
    outside = cv2.dilate(white, np.ones((5, 5))) == 0
    assert not ours[outside].any()


@pytest.mark.parametrize("preset", ["default", "enhanced", "untuned"])
def test_geometry_is_torchvision_s(photos: list[Pixels], preset: str) -> None:
    random = np.random.default_rng(6)
    for k in range(16):
        check_geometry(photos[k % 4], draw_view(PRESETS[preset], CROP, random))


@pytest.mark.parametrize("size", [(256, 341), (256, 256), (257, 300), (301, 257), (224, 231)])
@pytest.mark.parametrize("vertical", [False, True])
@pytest.mark.parametrize("horizontal", [False, True])
@pytest.mark.parametrize("shift", [(0.0, 0.0), (0.1, -0.05)])
def test_flips_and_shifts_move_whole_pixels(
    size: tuple[int, int], vertical: bool, horizontal: bool, shift: tuple[float, float]
) -> None:
    image = np.random.default_rng(7).integers(1, 256, size=(*size, 3), dtype=np.uint8)
    view = View(vertical_flip=vertical, horizontal_flip=horizontal, translation=shift)
    expected = torchvision_geometry(Image.fromarray(image), view, CROP)
    assert np.array_equal(warp(recolour(image, view), view, CROP), expected)


@pytest.mark.parametrize("crop", [8, 9])
@pytest.mark.parametrize("size", [(9, 9), (9, 10), (10, 11), (12, 9), (13, 14), (15, 16), (17, 30)])
def test_the_centre_crop_is_torchvision_s(size: tuple[int, int], crop: int) -> None:
    image = np.random.default_rng(8).integers(256, size=(*size, 3), dtype=np.uint8)
    expected = np.asarray(T.CenterCrop(crop)(Image.fromarray(image)))
    assert np.array_equal(centre_crop(image, crop), expected)
