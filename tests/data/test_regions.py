"""Random resized crops (augment.crop_area) beside torchvision's, the reference."""

import numpy as np
import pytest
import torch
from scipy import stats
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import RandomResizedCrop, functional

from kenyan13.config.settings import AugmentSettings
from kenyan13.data.augmentation import View, draw_region, draw_view, place_region, source_matrix, warp

HEIGHT, WIDTH, CROP = 256, 341, 224
AUGMENT = AugmentSettings(crop_area=[0.1, 0.5], crop_ratio=[3 / 4, 4 / 3])


def test_regions_are_drawn_as_torchvision_draws_them() -> None:
    """Up to half of the area, every region fits, so that torchvision never draws again and nothing is cut."""
    random, image = np.random.default_rng(0), torch.empty(3, HEIGHT, WIDTH)
    torch.manual_seed(0)
    regions = [draw_region(AUGMENT, random) for _ in range(2000)]
    ours = np.array([place_region(region, HEIGHT, WIDTH) for region in regions if region])
    theirs = np.array(
        [RandomResizedCrop.make_params(RandomResizedCrop(CROP, (0.1, 0.5)), [image]) for _ in range(2000)]
    )
    top, left, height, width = (np.array([one[key] for one in theirs]) for key in ("top", "left", "height", "width"))
    for one, other in zip(ours.T, (width, height, left + width / 2, top + height / 2), strict=True):
        assert stats.ks_2samp(one, other).pvalue > 1e-3


def test_a_region_is_cut_out_and_resized_as_torchvision_does() -> None:
    """A smooth image, for what lies between pixels: bilinear there as here."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    image = np.stack([x / WIDTH * 255, y / HEIGHT * 255, 127 + 100 * np.sin(x / 40)], axis=2).astype(np.uint8)
    area, ratio = 200 * 150 / (HEIGHT * WIDTH), 200 / 150
    view = View(region=(area, ratio, 30 / (WIDTH - 200), 40 / (HEIGHT - 150)))
    ours = warp(image, view, CROP)
    tensor = torch.from_numpy(image).permute(2, 0, 1)
    theirs = functional.resized_crop(
        tensor, 40, 30, 150, 200, [CROP, CROP], InterpolationMode.BILINEAR, antialias=False
    )
    gap = np.abs(ours.astype(int) - theirs.permute(1, 2, 0).numpy())
    assert gap[2:-2, 2:-2].max() <= 2


def test_a_mirrored_region_is_the_mirror_image_of_the_region() -> None:
    image = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    region = (0.3, 1.1, 0.2, 0.8)
    plain, mirrored = (
        warp(image, View(region=region), CROP),
        warp(image, View(region=region, horizontal_flip=True), CROP),
    )
    assert np.abs(plain.astype(int) - mirrored[:, ::-1]).max() <= 1


def test_no_region_is_larger_than_the_image() -> None:
    short = 300 * (3 / 4) ** 0.5
    found = place_region((1.0, 4 / 3, 0.7, 0.2), 300, 300)
    assert list(found) == pytest.approx([300, short, 150, short / 2 + (300 - short) * 0.2])
    corners = source_matrix(View(region=(1.0, 1.0, 0.5, 0.5)), 200, 200, CROP) @ [[-0.5, 223.5], [-0.5, 223.5], [1, 1]]
    assert corners == pytest.approx(np.array([[-0.5, 199.5], [-0.5, 199.5]]))


def test_without_a_region_nothing_more_is_drawn() -> None:
    """Or the views of runs made before there were regions would be others."""
    one, other = np.random.default_rng(3), np.random.default_rng(3)
    plain, with_region = draw_view(AugmentSettings(), CROP, one), draw_view(AUGMENT, CROP, other)
    assert plain.region is None
    assert with_region.region is not None
    assert plain == View(**{**vars(with_region), "region": None})
    assert one.random() != other.random()
