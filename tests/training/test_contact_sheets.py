"""Contact sheets of a tiny data set: of each class, of the presets, and of a run's first epoch."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from kenyan13.config.settings import Settings
from kenyan13.data.batches import ImageDataset, Images
from kenyan13.data.images import centre_crop
from kenyan13.data.sampling import SHEETS, Draw, generator
from kenyan13.training.contact_sheets import PRESETS, draw_views, first_draws, preset_sheet, write_contact_sheets
from kenyan13.training.inference import open_data as opened


def test_sheets_show_the_stored_images_and_their_augmented_views(
    compose: Callable[..., Settings], tmp_path: Path
) -> None:
    settings = compose()
    data = opened(settings)
    written = write_contact_sheets(data, tmp_path)
    assert [file.stem for file in written] == [*np.repeat(data.classes, 2), "presets"]
    first = int(generator(SHEETS, settings.seed, 12).permutation(np.flatnonzero(data.train.catalogue.targets == 12))[0])
    shown = np.asarray(Image.open(tmp_path / "original" / "ugali.png"))[4:36, 4:36]
    assert np.array_equal(shown, centre_crop(data.train.store[data.train.store_rows[first]], 32))
    shown = np.asarray(Image.open(tmp_path / "augmented" / "ugali.png"))[4:36, 4:36].astype(int)
    raw = ImageDataset(data.train, 32, settings.seed, settings.augment).__getitems__([Draw(first, 0, 0)])
    batch = data.on_after_batch_transfer(raw, 0)
    seen = ((batch.images[0].permute(1, 2, 0) * data.std + data.mean) * 255).numpy()
    assert abs(shown - seen).max() <= 1


def blocks(sheet: NDArray[np.uint8]) -> dict[str, NDArray[np.uint8]]:
    """Return the images of a sheet of 32 pixels a side, with white between, by preset."""
    rows = {name: sheet[4 + 36 * k : 36 + 36 * k, 4:] for k, name in enumerate(PRESETS)}
    return {name: np.stack([row[:, x : x + 32] for x in range(0, row.shape[1], 36)]) for name, row in rows.items()}


def test_presets_show_the_same_nine_images(compose: Callable[..., Settings]) -> None:
    # what the run's own augmentation is does not matter
    settings = compose("augment=untuned", "augment.erasing.fill=random")
    data = opened(settings)
    shown = blocks(preset_sheet(data))
    assert {block.shape for block in shown.values()} == {(9, 32, 32, 3)}
    draws = first_draws(data, 9)
    assert len({data.train.catalogue.targets[draw.row] for draw in draws}) == 9
    for place, draw in enumerate(draws):
        stored = data.train.store[data.train.store_rows[draw.row]]
        assert np.array_equal(shown["none"][place], centre_crop(stored, 32))
    plain = ImageDataset(data.train, 32, settings.seed, compose("augment=default").augment)
    views = [plain.view(draw) for draw in draws]
    whole = [place for place, (_, view, _) in enumerate(views) if not any(view.erased)]
    assert 0 < len(whole) < 9
    for place in range(9):
        same = np.array_equal(shown["default"][place], views[place][0][0])
        assert same == (place in whole)
        assert not np.array_equal(shown["enhanced"][place], shown["default"][place])  # sheared, at the least


def test_fewer_than_nine_images_are_shown_once_each(compose: Callable[..., Settings]) -> None:
    data = opened(compose())
    few = np.arange(5)
    data.train = Images(data.train.catalogue.take(few), data.train.store, data.train.store_rows[few])
    rows = [draw.row for draw in first_draws(data, 9)]
    # the weighted sampler draws some of the five more than once, and others not
    assert 1 < len(set(rows)) == len(rows) <= 5
    for block in blocks(preset_sheet(data)).values():
        assert block.shape == (len(rows), 32, 32, 3)


@pytest.mark.parametrize("balance", ["none", "weighted_sampler", "balanced_sampler"])
def test_the_views_are_those_of_the_first_epoch(compose: Callable[..., Settings], balance: str) -> None:
    data = opened(compose(f"balance={balance}"))
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
