"""Batches: the right images with the right labels in the right order, the same ones again for the same seed."""

import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
import torch
import torchvision.transforms as T
from pytorch_lightning import Trainer
from torch.utils.data import DataLoader

from kenyan13.config.settings import Sampling, Settings
from kenyan13.data import datamodule
from kenyan13.data.augmentation import draw_view, erase_and_add_noise, normalise, recolour, warp
from kenyan13.data.batches import Batch, ImageDataset, RawBatch
from kenyan13.data.catalogue import read
from kenyan13.data.datamodule import ImageDataModule
from kenyan13.data.images import decode
from kenyan13.data.sampling import AUGMENTATION, Draw, EpochSampler, epoch_order, generator
from kenyan13.data.split import split
from kenyan13.errors import UserError

Compose = Callable[..., Settings]
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def data(settings: Settings) -> ImageDataModule:
    made = ImageDataModule(settings, MEAN, STD)
    made.decode()
    return made


def batches(images: ImageDataModule, loader: DataLoader[RawBatch], epoch: int = 0) -> list[Batch]:
    """Return a loader's batches as the network gets them."""
    cast(EpochSampler, loader.sampler).set_epoch(epoch)
    return [images.on_after_batch_transfer(batch, 0) for batch in loader]


def joined(parts: list[Batch]) -> Batch:
    return Batch(*(torch.cat(values) for values in zip(*parts, strict=True)))


def same(one: list[Batch], other: list[Batch]) -> bool:
    """Return whether two lists of batches are equal, bit by bit."""
    return len(one) == len(other) and all(
        torch.equal(a, b) for left, right in zip(one, other, strict=True) for a, b in zip(left, right, strict=True)
    )


def reference(path: Path) -> torch.Tensor:
    """Return a validation image as torchvision makes it, for a crop of 32 pixels."""
    transform = T.Compose([T.Resize(36), T.CenterCrop(32), T.ToTensor(), T.Normalize(MEAN, STD)])
    return cast(torch.Tensor, transform(decode(path)))


@pytest.fixture
def copied(demo_root: Path, tmp_path: Path) -> Path:
    """A copy of the synthetic data set, to be damaged."""
    return Path(shutil.copytree(demo_root, tmp_path / "copied"))


def damage(root: Path, *ids: str) -> None:
    for id_ in ids:
        (root / "images" / "images" / f"{id_}.jpg").write_text("no image")


# Values and order


def test_the_images_are_those_of_the_split(compose: Compose) -> None:
    settings = compose()
    images = data(settings)
    train, validation = split(read(settings.data), settings.data)
    assert images.train.catalogue.ids == train.ids
    assert images.validation.catalogue.ids == validation.ids
    assert (len(train), len(validation)) == (104, 26)
    assert images.classes == train.classes
    assert images.train.store is images.validation.store


def test_validation_batches_are_torchvision_s_in_catalogue_order(compose: Compose) -> None:
    images = data(compose())
    parts = batches(images, images.val_dataloader())
    assert [len(part.rows) for part in parts] == [16, 10]
    whole, catalogue = joined(parts), images.validation.catalogue
    assert whole.rows.tolist() == list(range(26))
    assert whole.targets.tolist() == catalogue.targets.tolist()
    assert whole.images.shape == (26, 3, 32, 32)
    assert [values.dtype for values in whole] == [torch.float32, torch.int64, torch.int64]
    for image, path in zip(whole.images, catalogue.paths, strict=True):
        torch.testing.assert_close(image, reference(path), rtol=0, atol=1e-5)
    assert same(parts, batches(images, images.val_dataloader(), epoch=3))


@pytest.mark.parametrize(("value", "layout"), [("true", torch.channels_last), ("false", torch.contiguous_format)])
def test_memory_layout_is_a_setting(compose: Compose, value: str, layout: torch.memory_format) -> None:
    images = data(compose(f"model.channels_last={value}"))
    for loader in (images.train_dataloader(), images.val_dataloader()):
        assert batches(images, loader)[0].images.is_contiguous(memory_format=layout)


@pytest.mark.parametrize(
    ("balance", "sampling"),
    [
        ("none", Sampling.shuffled), ("weighted_loss", Sampling.shuffled), ("weighted_sampler", Sampling.weighted),
        ("balanced_sampler", Sampling.balanced),
    ],
)  # fmt: skip
def test_training_draws_follow_the_balance(compose: Compose, balance: str, sampling: Sampling) -> None:
    images = data(compose(f"balance={balance}", "augment=none"))
    order = epoch_order(sampling, images.train.catalogue.targets, images.class_counts, 42)
    loader = images.train_dataloader()
    for epoch in (0, 2):
        assert joined(batches(images, loader, epoch)).rows.tolist() == order(epoch).tolist()


def test_views_are_decided_by_seed_epoch_and_position(compose: Compose) -> None:
    """Make a batch by hand from its parts: view, normalising, erasing, noise."""
    settings = compose("augment=enhanced", "balance=weighted_sampler", "seed=7")
    images = data(settings)
    part = batches(images, images.train_dataloader(), epoch=4)[1]
    views, made, seeds = [], [], []
    for place, row in enumerate(part.rows.tolist()):
        random = generator(AUGMENTATION, 7, 4, 16 + place)
        views.append(draw_view(settings.augment, 32, random))
        made.append(warp(recolour(images.train.store[images.train.store_rows[row]], views[-1]), views[-1], 32))
        seeds.append(int(random.integers(2**62)))
    tensor = normalise(torch.from_numpy(np.stack(made)), torch.tensor(MEAN), torch.tensor(STD))
    erased, noise = np.array([view.erased for view in views]), np.array([view.noise for view in views])
    assert 0 < int(noise.sum()) < 16
    assert 0 < int(erased.any(axis=1).sum()) < 16
    erase_and_add_noise(tensor, erased, noise, seeds[0], settings.augment)
    assert torch.equal(part.images, tensor)


# The same again


def test_batches_do_not_depend_on_the_number_of_workers(compose: Compose) -> None:
    parts = []
    for workers in (0, 2):
        images = data(compose("augment=enhanced", f"data.workers={workers}"))
        train, validation = images.train_dataloader(), images.val_dataloader()
        assert train.num_workers == workers
        parts.append([*(batches(images, train, epoch) for epoch in (0, 1)), batches(images, validation)])
    assert all(same(one, other) for one, other in zip(*parts, strict=True))
    assert not same(parts[0][0], parts[0][1])


def test_the_seed_decides_order_and_views(compose: Compose) -> None:
    def first(*overrides: str) -> list[Batch]:
        images = data(compose("augment=enhanced", "data.split_seed=42", *overrides))
        return batches(images, images.train_dataloader())

    assert same(first(), first())
    assert not same(first(), first("seed=43"))
    assert first()[0].rows.tolist() != first("seed=43")[0].rows.tolist()


# Edges


@pytest.mark.parametrize(("size", "training", "validation"), [(103, [103], [26]), (25, [25] * 4 + [4], [25, 1])])
def test_a_last_batch_of_one_image_is_left_out_of_training_only(
    compose: Compose, size: int, training: list[int], validation: list[int]
) -> None:
    images = data(compose(f"model.batch_size={size}"))
    for loader, sizes in ((images.train_dataloader(), training), (images.val_dataloader(), validation)):
        assert [len(part.rows) for part in batches(images, loader)] == sizes
        assert len(loader) == len(sizes)


def test_test_images_have_no_labels(compose: Compose) -> None:
    test = data(compose("data.test=true")).test
    assert test is not None
    assert test.catalogue.targets.tolist() == [-1] * 26
    raw = ImageDataset(test, 32, 0).__getitems__([Draw(row, 0, row) for row in range(26)])
    whole = data(compose()).on_after_batch_transfer(raw, 0)
    assert (whole.targets.tolist(), whole.rows.tolist()) == ([-1] * 26, list(range(26)))
    for image, path in zip(whole.images[:5], test.catalogue.paths, strict=False):
        torch.testing.assert_close(image, reference(path), rtol=0, atol=1e-5)


@pytest.mark.parametrize("loader", ["train_dataloader", "val_dataloader"])
def test_processes_share_the_draws(compose: Compose, loader: str) -> None:
    whole, rows = data(compose("balance=none", "augment=none")), []
    for rank in range(3):
        images = data(compose("balance=none", "augment=none"))
        progress = SimpleNamespace(epoch_progress=SimpleNamespace(current=SimpleNamespace(processed=0)))
        images.trainer = cast(Trainer, SimpleNamespace(global_rank=rank, world_size=3, fit_loop=progress))
        rows.append(joined(batches(images, getattr(images, loader)())).rows.tolist())
    everything = joined(batches(whole, getattr(whole, loader)())).rows.tolist()
    together = [row for step in zip(*rows, strict=True) for row in step]
    assert together[: len(everything)] == everything


def test_the_machine_chooses_the_workers(compose: Compose, monkeypatch: pytest.MonkeyPatch) -> None:
    for cores, workers in ((1, 1), (2, 1), (6, 5), (64, 8)):
        monkeypatch.setattr(datamodule, "available_cores", lambda cores=cores: cores)
        images = data(compose("data.workers=null"))
        assert (images.train_dataloader().num_workers, images.val_dataloader().num_workers) == (workers, 0)


# Images that cannot be read


def test_unreadable_images_stop_the_run_and_are_listed(compose: Compose, copied: Path) -> None:
    bad = data(compose()).train.catalogue.ids[:40]
    damage(copied, *bad)
    with pytest.raises(UserError) as error:
        data(compose(f"data.root={copied}", f"data.cache={copied}/cache"))
    lines = error.value.problem.splitlines()
    assert lines[0] == "40 of 130 images cannot be read:"
    first = min(bad)
    path = copied / "images" / "images" / f"{first}.jpg"
    assert lines[1].strip() == f"{first}: cannot identify the image file ({path})"
    assert (len(lines), lines[-1].strip()) == (17, "and 25 more")
    assert "data.on_bad=skip" in "".join(error.value.next_steps)


def test_skipped_images_are_in_neither_part(compose: Compose, copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sound = data(compose())
    bad = (*sound.train.catalogue.ids[3:6], sound.validation.catalogue.ids[0])
    damage(copied, *bad)
    images = data(compose(f"data.root={copied}", f"data.cache={copied}/cache", "data.on_bad=skip", "augment=none"))
    for part, complete in ((images.train, sound.train), (images.validation, sound.validation)):
        assert part.catalogue.ids == tuple(id_ for id_ in complete.catalogue.ids if id_ not in bad)
    labels = [part.catalogue.targets for part in (images.train, images.validation)]
    assert images.class_counts.tolist() == np.bincount(np.concatenate(labels)).tolist()
    assert images.class_counts.sum() == 126
    messages = capsys.readouterr().err
    assert "Left out (data.on_bad=skip): 4 of 130 images" in messages
    assert all(id_ in messages for id_ in bad)
    whole = joined(batches(images, images.val_dataloader()))
    assert whole.rows.tolist() == list(range(25))
    for image, path in zip(whole.images, images.validation.catalogue.paths, strict=True):
        torch.testing.assert_close(image, reference(path), rtol=0, atol=1e-5)


def test_a_class_without_readable_images_is_named(compose: Compose, copied: Path) -> None:
    sound = data(compose())
    for part in (sound.train.catalogue, sound.validation.catalogue):
        damage(copied, *part.take(np.flatnonzero(part.targets == 4)).ids)
    with pytest.raises(UserError, match="too few images of kukuchoma"):
        data(compose(f"data.root={copied}", f"data.cache={copied}/cache", "data.on_bad=skip"))
