"""What is left to do on the device: normalising, random erasing and noise."""

from dataclasses import replace

import numpy as np
import torch
import torchvision.transforms.functional as F
from numpy.typing import NDArray
from scipy import stats

from kenyan13.config.compose import compose_settings
from kenyan13.config.settings import AugmentSettings
from kenyan13.data.augmentation import erase_and_add_noise, normalise

DEFAULT, ENHANCED = (compose_settings([f"augment={name}"]).augment for name in ("default", "enhanced"))
MEAN, STD = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])


def batch(count: int = 4, side: int = 40) -> torch.Tensor:
    random = torch.Generator().manual_seed(10)
    images = torch.randint(256, (count, side, side, 3), dtype=torch.uint8, generator=random)
    return normalise(images, MEAN, STD)


def test_normalising_is_torchvision_s() -> None:
    random = torch.Generator().manual_seed(11)
    images = torch.randint(256, (3, 17, 19, 3), dtype=torch.uint8, generator=random)
    ours = normalise(images, MEAN, STD)
    assert ours.dtype == torch.float32
    assert ours.is_contiguous(memory_format=torch.channels_last)
    for one, image in zip(ours, images, strict=True):
        expected = F.normalize(F.to_tensor(image.numpy()), MEAN.tolist(), STD.tolist())
        torch.testing.assert_close(one, expected, rtol=0, atol=1e-5)


RECTANGLES = np.array([[3, 5, 20, 30], [0, 0, 0, 0], [0, 0, 39, 39], [39, 38, 1, 2]])


def finished(
    images: torch.Tensor,
    erased: NDArray[np.int64] | None,
    noise: list[bool] | None,
    seed: int,
    settings: AugmentSettings,
) -> torch.Tensor:
    done = images.clone()
    rectangles = np.zeros((len(images), 4), dtype=np.int64) if erased is None else erased
    erase_and_add_noise(done, rectangles, np.array(noise or [False] * len(images)), seed, settings)
    assert done.is_contiguous(memory_format=torch.channels_last)
    return done


def rectangle_mask() -> torch.Tensor:
    mask = torch.zeros(4, 1, 40, 40, dtype=torch.bool)
    for k, (top, left, height, width) in enumerate(RECTANGLES.tolist()):
        mask[k, :, top : top + height, left : left + width] = True
    return mask.expand(4, 3, 40, 40)


def test_erasing_with_zero_is_exact() -> None:
    images = batch()
    erased = finished(images, RECTANGLES, None, 1, DEFAULT)
    assert erased[rectangle_mask()].count_nonzero() == 0
    assert torch.equal(erased[~rectangle_mask()], images[~rectangle_mask()])
    expected = F.erase(images[0], 3, 5, 20, 30, torch.zeros(1))
    assert torch.equal(erased[0], expected)


def test_erasing_with_random_values_writes_a_standard_normal() -> None:
    images = batch(side=200)
    rectangles = np.array([[10, 20, 150, 170], [0, 0, 0, 0], [5, 5, 190, 100], [0, 0, 0, 0]])
    erased = finished(images, rectangles, None, 1, ENHANCED)
    values = torch.cat([erased[0, :, 10:160, 20:190].flatten(), erased[2, :, 5:195, 5:105].flatten()]).double()
    count = len(values)
    assert abs(values.mean()) < 4 / count**0.5
    assert abs(values.std() - 1) < 4 / (2 * count) ** 0.5
    assert stats.kstest(values.numpy(), "norm").pvalue > 1e-3
    assert torch.equal(erased[[1, 3]], images[[1, 3]])
    changed = (erased != images).any(dim=1)
    assert changed[0].nonzero().amin(dim=0).tolist() == [10, 20]
    assert changed[0].nonzero().amax(dim=0).tolist() == [159, 189]


def test_noise_is_added_to_the_flagged_images_only() -> None:
    images = batch(side=100)
    noisy = finished(images, None, [False, True, False, True], 2, ENHANCED)
    assert torch.equal(noisy[[0, 2]], images[[0, 2]])
    added = (noisy - images)[[1, 3]].flatten().double()
    assert abs(added.mean()) < 4 * 0.1 / len(added) ** 0.5
    assert abs(added.std() - 0.1) < 4 * 0.1 / (2 * len(added)) ** 0.5
    assert abs(np.corrcoef((noisy - images)[1].flatten(), (noisy - images)[3].flatten())[0, 1]) < 0.03


def test_noise_comes_after_erasing() -> None:
    noisy = finished(batch(), RECTANGLES, [True] * 4, 3, replace(ENHANCED, erasing=DEFAULT.erasing))
    values = noisy[rectangle_mask()]
    assert (values != 0).all()
    assert abs(values.std() - 0.1) < 0.01


def test_the_seed_decides_the_random_values() -> None:
    noise = [True, False, True, True]
    one, again, other = (finished(batch(), RECTANGLES, noise, seed, ENHANCED) for seed in (4, 4, 5))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
