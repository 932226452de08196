"""Contact sheets of a tiny data set."""

import json
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from kenyan13.data.augmentation import centre_crop
from kenyan13.data.datamodule import PictureData
from kenyan13.errors import UserError
from kenyan13.model.backbones import normalisation
from kenyan13.naming import run_directory
from kenyan13.settings import Settings, Task
from kenyan13.training.contact_sheets import class_views, write_contact_sheets
from kenyan13.training.directory import SHEETS, State, read_settings, read_state, write_config
from kenyan13.training.sheets import arrange


def test_pictures_are_laid_out_row_by_row_on_white() -> None:
    pictures = np.stack([np.full((2, 3, 3), value, dtype=np.uint8) for value in (10, 20, 30)])
    sheet = arrange(pictures, columns=2)
    assert sheet.shape == (2 + 4 + 2, 3 + 4 + 3, 3)
    assert (sheet[:2, :3] == 10).all()
    assert (sheet[:2, 7:] == 20).all()
    assert (sheet[6:, :3] == 30).all()
    assert (sheet[2:6] == 255).all()
    assert (sheet[6:, 3:] == 255).all()


def test_sheets_show_the_stored_pictures_and_their_augmented_views(compose: Callable[..., Settings]) -> None:
    settings = compose("task=contact_sheets", "name=sheets")
    folder = write_contact_sheets(settings)
    listed = json.loads((run_directory(settings) / SHEETS).read_text())
    assert len(listed) == 13
    assert listed["ugali"] == ["sheets/original/ugali.png", "sheets/augmented/ugali.png"]
    assert read_state(run_directory(settings)) is State.finished
    colours = normalisation(settings.model)
    data = PictureData(settings, colours.mean, colours.std)
    first = int(class_views(data, 12)["original"].rows[0])
    assert data.train.catalogue.labels()[first] == 12
    shown = np.asarray(Image.open(folder / "original" / "ugali.png"))[:32, :32].astype(int)
    stored = centre_crop(data.train.store[data.train.store_rows[first]], 32).astype(int)
    assert abs(shown - stored).max() <= 1  # normalised and back
    board = EventAccumulator(str(run_directory(settings)), size_guidance={"images": 0})
    board.Reload()
    assert sorted(board.Tags()["images"]) == sorted(
        f"{kind}/{name}" for kind in ("original", "augmented") for name in data.classes
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
    write_contact_sheets(compose("task=contact_sheets", "name=sheets"))  # again
