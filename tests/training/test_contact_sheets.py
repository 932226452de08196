"""Contact sheets of a tiny data set."""

import json
from collections.abc import Callable

import numpy as np
import pytest
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from kenyan13.config.settings import Settings, Task
from kenyan13.data.augmentation import centre_crop
from kenyan13.data.batches import ImageDataset, Images, collate
from kenyan13.data.datamodule import ImageDataModule
from kenyan13.errors import UserError
from kenyan13.model.backbones import normalisation
from kenyan13.plots.grids import preset_plot
from kenyan13.runs.directory import PRESETS, SHEETS, State, read_settings, read_state, write_config
from kenyan13.runs.locate import run_directory
from kenyan13.training import contact_sheets
from kenyan13.training.contact_sheets import PRESETS as PRESET_NAMES
from kenyan13.training.contact_sheets import class_draws, preset_sheet, write_contact_sheets
from kenyan13.training.sheets import first_draws


def test_sheets_show_the_stored_images_and_their_augmented_views(compose: Callable[..., Settings]) -> None:
    settings = compose("task=contact_sheets", "name=sheets")
    folder = write_contact_sheets(settings)
    listed = json.loads((run_directory(settings) / SHEETS).read_text())
    assert len(listed) == 13
    assert listed["ugali"] == ["sheets/original/ugali.png", "sheets/augmented/ugali.png"]
    assert read_state(run_directory(settings)) is State.finished
    colours = normalisation(settings.model)
    data = ImageDataModule(settings, colours.mean, colours.std)
    draws = class_draws(data, 12)
    first = draws[0].row
    assert data.train.catalogue.labels()[first] == 12
    shown = np.asarray(Image.open(folder / "original" / "ugali.png"))[:32, :32]
    assert np.array_equal(shown, centre_crop(data.train.store[data.train.store_rows[first]], 32))
    shown = np.asarray(Image.open(folder / "augmented" / "ugali.png"))[:32, :32].astype(int)
    sample = ImageDataset(data.train, 32, settings.seed, settings.augment)[draws[0]]
    batch = data.on_after_batch_transfer(collate([sample]), 0)
    seen = ((batch.images[0].permute(1, 2, 0) * data.std + data.mean) * 255).numpy()
    assert abs(shown - seen).max() <= 1
    board = EventAccumulator(str(run_directory(settings)), size_guidance={"images": 0})
    board.Reload()
    assert sorted(board.Tags()["images"]) == sorted(
        ["presets", *(f"{kind}/{name}" for kind in ("original", "augmented") for name in data.classes)]
    )


def test_another_runs_folder_is_refused(compose: Callable[..., Settings]) -> None:
    trained = compose("name=mine")
    folder = run_directory(trained)
    folder.mkdir(parents=True)
    write_config(folder, trained, {"classes": []})
    with pytest.raises(UserError, match=r"holds a run with other settings \(task=train there, contact_sheets now\)"):
        write_contact_sheets(compose("task=contact_sheets", "name=mine"))
    assert read_settings(folder).task is Task.train
    write_contact_sheets(compose("task=contact_sheets", "name=sheets"))
    again = run_directory(compose("task=contact_sheets", "name=sheets"))
    write_contact_sheets(compose("task=contact_sheets", "name=sheets"))
    assert len(EventAccumulator(str(again)).Reload().Images("presets")) == 1


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> dict[str, NDArray[np.uint8]]:
    """The blocks of images that the presets' plot is given."""
    blocks: dict[str, NDArray[np.uint8]] = {}

    def keep(given: dict[str, NDArray[np.uint8]], title: str = "") -> Figure:
        blocks.update(given)
        return preset_plot(given, title)

    monkeypatch.setattr(contact_sheets, "preset_plot", keep)
    return blocks


def test_presets_show_the_same_nine_images(
    compose: Callable[..., Settings], shown: dict[str, NDArray[np.uint8]]
) -> None:
    # what the run's own augmentation is does not matter
    settings = compose("task=contact_sheets", "name=sheets", "augment=untuned", "augment.erasing.fill=random")
    folder = run_directory(settings)
    write_contact_sheets(settings)
    assert list(shown) == list(PRESET_NAMES)
    assert {block.shape for block in shown.values()} == {(9, 32, 32, 3)}
    colours = normalisation(settings.model)
    data = ImageDataModule(settings, colours.mean, colours.std)
    draws = first_draws(data, 9)
    assert len({data.train.catalogue.labels()[draw.row] for draw in draws}) == 9
    for place, draw in enumerate(draws):
        stored = data.train.store[data.train.store_rows[draw.row]]
        assert np.array_equal(shown["none"][place], centre_crop(stored, 32))
    plain = ImageDataset(data.train, 32, settings.seed, compose("augment=default").augment)
    whole = [place for place, draw in enumerate(draws) if not any(plain[draw].erased)]
    assert 0 < len(whole) < 9
    for place in range(9):
        same = np.array_equal(shown["default"][place], plain[draws[place]].image)
        assert same == (place in whole)
        assert not np.array_equal(shown["enhanced"][place], shown["default"][place])  # sheared, at the least
    file = folder / PRESETS
    assert Image.open(file).format == "PNG"
    event = EventAccumulator(str(folder)).Reload().Images("presets")[0]
    assert event.encoded_image_string == file.read_bytes()


def test_fewer_than_nine_images_leave_white_places(
    compose: Callable[..., Settings], shown: dict[str, NDArray[np.uint8]]
) -> None:
    settings = compose("task=contact_sheets", "name=sheets")
    colours = normalisation(settings.model)
    data = ImageDataModule(settings, colours.mean, colours.std)
    few = np.arange(5)
    data.train = Images(data.train.catalogue.take(few), data.train.store, data.train.store_rows[few])
    preset_sheet(data)
    rows = [draw.row for draw in first_draws(data, 9)]
    # the weighted sampler draws some of the five more than once, and others not
    assert 1 < len(set(rows)) == len(rows) <= 5
    for block in shown.values():
        assert block.shape == (9, 32, 32, 3)
        white = (block == 255).all(axis=(1, 2, 3))
        assert white.tolist() == [False] * len(rows) + [True] * (9 - len(rows))
