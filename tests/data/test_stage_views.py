"""The stages of a two-stage classifier: relabelled by hand, and as a run's training and validation images."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from kenyan13.config.settings import Settings
from kenyan13.data.catalogue import Catalogue, read, stage_classes, stage_view
from kenyan13.data.datamodule import ImageDataModule
from kenyan13.data.split import split
from kenyan13.errors import UserError

Compose = Callable[..., Settings]
DATA = ("apple", "beet", "cress", "dill", "egg")
GROUPS = {"reds": ["egg", "beet"], "greens": ["cress", "dill"]}
SETTING = "data.groups={group1:[bhaji,chapati],group2:[kachumbari,kukuchoma,nyamachoma],group3:[sukumawiki,ugali]}"
FIRST = (
    "githeri", "mandazi", "masalachips", "matoke", "mukimo", "pilau", "group1", "group2", "group3",
)  # fmt: skip
GROUP2 = ("kachumbari", "kukuchoma", "nyamachoma")


@pytest.fixture
def catalogue() -> Catalogue:
    """Two images of apple, then one each of beet, egg, dill, cress, and one without label."""
    ids = tuple("tuvwxyz")
    return Catalogue(ids, tuple(Path(id_) for id_ in ids), np.array([0, 0, 1, 4, 3, 2, -1]), DATA)


@pytest.mark.parametrize(
    ("stage", "classes", "targets"),
    [
        (None, DATA, [0, 0, 1, 4, 3, 2, -1]),
        ("first", ("apple", "reds", "greens"), [0, 0, 1, 1, 2, 2, -1]),
        ("reds", ("beet", "egg"), [-1, -1, 0, 1, -1, -1, -1]),
        ("greens", ("cress", "dill"), [-1, -1, -1, -1, 1, 0, -1]),
    ],
)
def test_views_by_hand(catalogue: Catalogue, stage: str | None, classes: tuple[str, ...], targets: list[int]) -> None:
    view = stage_view(catalogue, GROUPS, stage)
    assert view.classes == classes
    assert view.targets.tolist() == targets
    assert view.targets.dtype == np.int64
    assert (view.ids, view.paths) == (catalogue.ids, catalogue.paths)


@pytest.mark.parametrize(
    ("groups", "stage", "message"),
    [
        (GROUPS, "red", r"There is no data\.stage=red\. Did you mean 'reds'\?\n  -> stages: first, reds, greens"),
        ({}, "first", r"There is no data\.stage=first\.\n  -> it needs groups"),
        ({"reds": ["egg", "beat"]}, "reds", r"has members that are no classes: beat\. Did you mean 'beet'\?"),
        ({"reds": ["egg", "beet"], "g": ["egg", "dill"]}, "g", "names egg more than once"),
        ({"reds": ["egg", "beet", "egg"]}, "reds", "names egg more than once"),
        ({"reds": ["egg", "egg"]}, "reds", "reds has fewer than two classes"),
        ({"reds": []}, None, "reds has fewer than two classes"),
        ({"egg": ["beet", "dill"]}, "first", "A group cannot be named 'egg'"),
        ({"first": ["beet", "dill"]}, "first", "A group cannot be named 'first'"),
        ({"target": ["beet", "dill"]}, "first", "A group cannot be named 'target'"),
        ({"hard": ["beet", "dill"]}, "first", "A group cannot be named 'hard'"),
        ({"a/b": ["beet", "dill"]}, "first", "A group cannot be named 'a/b'"),
        ({"all": [*DATA]}, "first", "All classes are in all"),
    ],
)
def test_groups_that_cannot_be_are_refused(groups: dict[str, list[str]], stage: str | None, message: str) -> None:
    with pytest.raises(UserError, match=message):
        stage_classes(DATA, groups, stage)


def data(settings: Settings) -> ImageDataModule:
    made = ImageDataModule(settings, (0.5,) * 3, (0.5,) * 3)
    made.decode()
    return made


def names(catalogue: Catalogue) -> dict[str, str]:
    """Class name by id; "" for none."""
    return {
        id_: "" if target < 0 else catalogue.classes[target]
        for id_, target in zip(catalogue.ids, catalogue.targets, strict=True)
    }


@pytest.mark.parametrize("division", ["data.fold=null", "data.fold=1", "data.subset=60"])
def test_the_split_is_made_before_the_stage_is_taken(compose: Compose, division: str) -> None:
    plain = compose(division, "data.folds=3").data
    train, validation = split(read(plain), plain)
    first, second = (
        data(compose(division, "data.folds=3", SETTING, f"data.stage={stage}")) for stage in ("first", "group2")
    )
    assert first.classes == FIRST
    assert first.train.catalogue.ids == train.ids
    assert first.validation.catalogue.ids == second.validation.catalogue.ids == validation.ids
    assert first.validation_images == len(validation)
    kept, judged = names(train), names(validation)
    assert second.classes == GROUP2
    assert names(second.train.catalogue) == {id_: name for id_, name in kept.items() if name in GROUP2}
    assert list(second.train.catalogue.ids) == [id_ for id_ in train.ids if kept[id_] in GROUP2]
    assert names(second.validation.catalogue) == {id_: name if name in GROUP2 else "" for id_, name in judged.items()}
    everything = [*kept.values(), *judged.values()]
    assert second.class_counts.tolist() == [everything.count(name) for name in GROUP2]
    assert second.validation_images == sum(name in GROUP2 for name in judged.values()) > 0
    assert first.class_counts.sum() == len(everything)
    assert first.class_counts[FIRST.index("group2")] == second.class_counts.sum()


def test_folders_with_validation_images_of_their_own(compose: Compose, demo_root: Path, tmp_path: Path) -> None:
    images = sorted((demo_root / "images" / "images").iterdir())[:24]
    for k, image in enumerate(images):
        folder = tmp_path / "birds" / ("train" if k < 16 else "val") / ("crow", "finch", "raven", "wren")[k % 4]
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(image, folder)
    place = ["data=folder", f"data.root={tmp_path}/birds", "data.groups={black:[crow,raven]}"]
    second = data(compose(*place, "data.stage=black"))
    assert (second.classes, second.class_counts.tolist()) == (("crow", "raven"), [6, 6])
    assert (len(second.train.catalogue), len(second.validation.catalogue), second.validation_images) == (8, 8, 4)
    first = data(compose(*place, "data.stage=first"))
    assert (first.classes, first.class_counts.tolist()) == (("finch", "wren", "black"), [6, 6, 12])


def test_a_wrong_stage_is_said_before_images_are_decoded(compose: Compose, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="Did you mean 'group2'"):
        data(compose(SETTING, "data.stage=grup2", f"data.cache={tmp_path}/cache"))
    assert not (tmp_path / "cache").exists()
