"""Contact sheets of a run: the images and views that its first epoch has."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest
import torch

from kenyan13.config.settings import Settings
from kenyan13.data.augmentation import centre_crop
from kenyan13.data.batches import Features
from kenyan13.data.datamodule import ImageDataModule
from kenyan13.model.backbones import normalisation
from kenyan13.training.sheets import arrange, draw_views, first_draws


def read(settings: Settings) -> ImageDataModule:
    colours = normalisation(settings.model)
    return ImageDataModule(settings, colours.mean, colours.std)


def test_images_are_laid_out_row_by_row_on_white() -> None:
    images = np.stack([np.full((2, 3, 3), value, dtype=np.uint8) for value in (10, 20, 30)])
    sheet = arrange(images, columns=2)
    assert sheet.shape == (2 + 4 + 2, 3 + 4 + 3, 3)
    assert (sheet[:2, :3] == 10).all()
    assert (sheet[:2, 7:] == 20).all()
    assert (sheet[6:, :3] == 30).all()
    assert (sheet[2:6] == 255).all()
    assert (sheet[6:, 3:] == 255).all()


@pytest.mark.parametrize("balance", ["none", "weighted_sampler", "balanced_sampler"])
def test_the_views_are_those_of_the_first_epoch(compose: Callable[..., Settings], balance: str) -> None:
    data = read(compose(f"balance={balance}"))
    batches = [data.on_after_batch_transfer(batch, 0) for batch in data.train_dataloader()]
    rows = torch.cat([batch.rows for batch in batches])
    images = torch.cat([batch.images for batch in batches]).permute(0, 2, 3, 1) * data.std + data.mean
    draws = first_draws(data, 36)
    assert len({draw.row for draw in draws}) == 36
    labels = data.train.catalogue.targets
    assert np.bincount(labels[[draw.row for draw in draws]], minlength=13).min() >= 1
    shown = draw_views(data, draws, data.settings.augment, 32)
    for draw, image in zip(draws, shown, strict=True):
        assert draw.epoch == 0
        assert rows[draw.position] == draw.row
        assert abs(images[draw.position].numpy() * 255 - image).max() <= 1
    original = draw_views(data, draws, None, 32)
    assert np.array_equal(original[3], centre_crop(data.train.store[data.train.store_rows[draws[3].row]], 32))


def test_images_are_shown_no_larger_than_asked_for(compose: Callable[..., Settings]) -> None:
    data = read(compose("model.crop=64"))
    draws = first_draws(data, 4)
    large, small = (draw_views(data, draws, data.settings.augment, side) for side in (64, 16))
    assert (large.shape, small.shape) == ((4, 64, 64, 3), (4, 16, 16, 3))
    for one, other in zip(large, small, strict=True):
        assert abs(cv2.resize(one, (16, 16), interpolation=cv2.INTER_AREA).astype(int) - other).max() <= 1


def test_the_views_of_cached_features_are_those_that_were_computed(compose: Callable[..., Settings]) -> None:
    data = read(compose("balance=none", "freeze=pt0", "freeze.features=cached", "freeze.views=4"))
    views = torch.arange(4.0).expand(len(data.train.catalogue), 4)[..., None]  # each feature is its view's number
    data.features = Features(views, torch.zeros(26, 1, 1))
    seen: dict[int, float] = {}
    for batch in data.train_dataloader():
        seen |= dict(zip(batch.rows.tolist(), batch.images[:, 0].tolist(), strict=True))
    draws = first_draws(data, 36)
    assert len({draw.epoch for draw in draws}) == 4
    for draw in draws:
        assert (draw.epoch, draw.position) == (seen[draw.row], draw.row)
