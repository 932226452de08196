"""The LightningDataModule: from a data set's settings to batches of normalised images on the device."""

import hashlib
import signal
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import torch
from pytorch_lightning import LightningDataModule
from torch.utils.data import DataLoader

from kenyan13.config.settings import AugmentSettings, OnBad, Settings, StoreKind
from kenyan13.data.augmentation import erase_and_add_noise, normalise
from kenyan13.data.batches import Batch, FeatureDataset, Features, ImageDataset, Images, RawBatch
from kenyan13.data.catalogue import Catalogue, read, stage_classes, stage_view
from kenyan13.data.check import NO_HASH, Finding, duplicates, of_classes, perceptual_hash, table_of
from kenyan13.data.images import list_unreadable, resize_length
from kenyan13.data.sampling import Draw, EpochSampler, Order, epoch_order
from kenyan13.data.source import describe_source
from kenyan13.data.split import split
from kenyan13.data.store import Store
from kenyan13.errors import UserError, shorten
from kenyan13.machine import available_cores
from kenyan13.terminal import note_once, print_note


class ImageDataModule(LightningDataModule):
    """Training, validation and test images of one run. Raises UserError for data that cannot be used.

    Of one stage of a two-stage classifier (study, E), training images are those of its classes, validation images those
    of all; those of no class of the stage have the target -1 and count in no metric nor in `validation_images`.
    """

    def __init__(self, settings: Settings, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.settings = settings
        self.crop = settings.model.crop
        self.mean, self.std = torch.tensor(mean), torch.tensor(std)
        source = read(settings.data)
        train, validation = split(source, settings.data)
        note_once("\n".join(describe_source(source, train, validation)))  # the runs of a sweep have the same data
        self.classes = stage_classes(train.classes, settings.data.groups, settings.data.stage)
        test = [source.test] if settings.data.test and source.test else []
        if settings.data.test and not test:
            raise UserError(f"The data in {settings.data.root} has no test images.", "leave out data.test=true")
        self.catalogues = [train, validation, *test]
        self.features: Features | None = None  # what batches hold instead of images, where they are given

    def decode(self) -> None:
        """Decode all images that the run needs, or find them decoded."""
        opened = self.open(self.catalogues)
        of_classes = np.flatnonzero(opened[0].catalogue.targets >= 0)
        self.train = Images(opened[0].catalogue.take(of_classes), opened[0].store, opened[0].store_rows[of_classes])
        self.validation = opened[1]
        self.test = opened[2] if opened[2:] else None
        labels = [part.catalogue.targets[part.catalogue.targets >= 0] for part in (self.train, self.validation)]
        self.class_counts = np.bincount(np.concatenate(labels), minlength=len(self.classes))
        self.validation_images = len(labels[1])
        empty = [name for name, count in zip(self.classes, self.class_counts, strict=True) if count == 0]
        if empty or len(labels[0]) < 2 or not self.validation_images:
            missing = f"of {shorten(empty)}" if empty else "to train on, or to validate by"
            raise UserError(f"There are too few images {missing}.", "repair them, add others, or take classes out")

    def describe(self) -> dict[str, Any]:
        """Return the data as config.yaml records it: classes, sizes, digests of ids, labels and the files' contents."""

        def digest(images: Images) -> str:
            contents = images.store.digests[images.store_rows]
            rows = zip(images.catalogue.ids, images.catalogue.targets, contents, strict=True)
            text = "\n".join(f"{id_},{target},{content}" for id_, target, content in rows)
            return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()

        parts = {"train": self.train, "validation": self.validation}
        described = {name: {"images": len(part.catalogue), "digest": digest(part)} for name, part in parts.items()}
        return {"classes": list(self.classes), **described}

    def findings(self) -> list[Finding]:
        """Return what `kenyan13 data check` would find, as far as the decoded images show it in a moment."""
        parts = {"train": self.train, "validation": self.validation} | ({"test": self.test} if self.test else {})
        keeps = self.settings.data.store is not StoreKind.off  # or all would be decoded once more
        looks = [
            (part.store.digests[row], perceptual_hash(part.store[row]) if keeps else NO_HASH)
            for part in parts.values() for row in part.store_rows
        ]  # fmt: skip
        catalogues = {name: part.catalogue for name, part in parts.items()}
        table = table_of(catalogues, pd.DataFrame(looks, columns=["digest", "hash"]))
        return [*of_classes(table), *duplicates(table)]

    def open(self, catalogues: Sequence[Catalogue]) -> list[Images]:
        """Open one store for all catalogues, whatever the stage; unreadable images stop the run, or are left out."""
        ids = {path: id_ for catalogue in catalogues for id_, path in zip(catalogue.ids, catalogue.paths, strict=True)}
        paths = sorted(ids)
        row_of = {path: row for row, path in enumerate(paths)}
        chosen = self.settings.data
        cache = Path(chosen.cache).expanduser()
        store = Store(paths, resize_length(self.crop), cache, chosen.store, chosen.max_pixels)
        if store.bad:
            lines = [f"{ids[paths[row]]}: {reason} ({paths[row]})" for row, reason in sorted(store.bad.items())]
            message = list_unreadable(lines, len(ids))
            if chosen.on_bad is OnBad.stop:
                raise UserError(message, "repair or remove these files and rows", "or leave them out: data.on_bad=skip")
            print_note(f"Left out (data.on_bad=skip): {message}")
        opened = []
        for catalogue in catalogues:
            rows = np.array([row_of[path] for path in catalogue.paths], dtype=np.int64)
            kept = np.flatnonzero(~np.isin(rows, list(store.bad)))
            view = stage_view(catalogue.take(kept), chosen.groups, chosen.stage)
            opened.append(Images(view, store, rows[kept]))
        return opened

    def train_dataloader(self) -> DataLoader[Any]:
        """Batches of augmented training images in the order of conf/balance, without a last one of a single image."""
        size, sampler = self.settings.model.batch_size, self.sampler(self.train_order(), len(self.train.catalogue))
        drop_last = len(sampler) % size == 1 and size > 1
        loader = self.loader(self.dataset(self.train, self.settings.augment), sampler, drop_last)
        if not len(loader):
            problem = f"A batch of {size} leaves nothing to train on: {len(sampler)} image for this process."
            raise UserError(problem, "fewer trainer.devices, or more images")
        return loader

    def dataset(self, images: Images, augment: AugmentSettings | None = None) -> ImageDataset | FeatureDataset:
        """Return the training or validation images as a data set: of their features, where these are given."""
        if self.features is not None:
            features = self.features.train if images is self.train else self.features.validation
            return FeatureDataset(features, images.catalogue.targets, self.settings.seed)
        return ImageDataset(images, self.crop, self.settings.seed, augment, self.settings.predict.views)

    def train_order(self) -> Order:
        """Return the order in which epochs draw the training images."""
        targets, chosen = self.train.catalogue.targets, self.settings.balance.sampling
        return epoch_order(chosen, targets, self.class_counts, self.settings.seed)

    def val_dataloader(self) -> DataLoader[Any]:
        """Batches of validation images, centre-cropped, in catalogue order, each of them once."""
        return self.in_order(self.validation)

    def test_dataloader(self) -> DataLoader[Any]:
        """Batches of test images, likewise. Raises UserError where data.test did not ask for them."""
        if self.test is None:
            raise UserError("These data are without test images.", "data.test=true")
        return self.in_order(self.test)

    predict_dataloader = test_dataloader

    def in_order(self, images: Images) -> DataLoader[Any]:
        """Return batches of images, centre-cropped, in catalogue order, each of them once."""
        rows = np.arange(len(images.catalogue))
        return self.loader(self.dataset(images), self.sampler(lambda epoch: rows, len(rows)))

    def sampler(self, order: Order, length: int) -> EpochSampler:
        """Return the sampler of this process."""
        trainer = self.trainer
        if trainer is None:
            return EpochSampler(order, length)
        # Lightning tells a resumed run's sampler its epoch only when loader processes have asked it for first batches.
        epoch = trainer.fit_loop.epoch_progress.current.processed  # type: ignore[attr-defined]
        return EpochSampler(order, length, trainer.global_rank, trainer.world_size, epoch)

    def loader(
        self, dataset: ImageDataset | FeatureDataset, sampler: Iterable[Draw], drop_last: bool = False
    ) -> DataLoader[Any]:
        """Return a loader with the number of workers that the settings or the machine give; none for features."""
        workers = self.settings.data.workers
        if workers is None:  # all cores but one, at most eight; none for tiny data
            workers = 0 if len(dataset) < 64 else max(1, min(8, available_cores() - 1))
        if isinstance(dataset, FeatureDataset):
            workers = 0
        return DataLoader[Any](
            dataset,
            batch_size=self.settings.model.batch_size,
            sampler=sampler,
            drop_last=drop_last,
            num_workers=workers,
            persistent_workers=workers > 0,
            pin_memory=torch.cuda.is_available(),
            worker_init_fn=set_up_worker,
            generator=torch.Generator(),  # or each start would take a number from the one that dropout draws with
            collate_fn=whole,
        )

    def on_after_batch_transfer(self, batch: RawBatch | Batch, dataloader_idx: int) -> Batch:
        """Normalise on the device; erase and add noise where the views say so. Features stay as they are."""
        return batch if isinstance(batch, Batch) else self.normalised(batch, self.settings.augment)

    def normalised(self, batch: RawBatch, augment: AugmentSettings) -> Batch:
        """Return a batch of views that were drawn by `augment` as the network gets it, on the device where it is."""
        device = batch.images.device
        images = normalise(batch.images, self.mean.to(device), self.std.to(device))
        erase_and_add_noise(images, batch.erased, batch.noise, batch.seed, augment)
        if not self.settings.model.channels_last:
            images = images.contiguous()
        return Batch(images, batch.targets, batch.rows)


def whole(batch: Any) -> Any:
    """Return a batch that its data set has made whole."""
    return batch


def set_up_worker(worker: int) -> None:
    """Keep OpenCV from starting threads, and leave the signals of Slurm to the main process."""
    cv2.setNumThreads(0)
    for name in ("SIGUSR1", "SIGUSR2", "SIGTERM", "SIGCONT"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
