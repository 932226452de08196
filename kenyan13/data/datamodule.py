"""The LightningDataModule: from a data set's settings to batches of normalised images on the device."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from pytorch_lightning import LightningDataModule
from rich.console import Console
from torch.utils.data import DataLoader

from kenyan13.config.settings import AugmentSettings, OnBad, Settings
from kenyan13.data.augmentation import erase_and_add_noise, normalise
from kenyan13.data.batches import Batch, ImageDataset, Images, RawBatch
from kenyan13.data.catalogue import Catalogue, Source, read
from kenyan13.data.features import FeatureDataset, Features
from kenyan13.data.images import list_unreadable, resize_length
from kenyan13.data.sampling import Draw, EpochSampler, Order, epoch_order
from kenyan13.data.split import split
from kenyan13.data.stages import stage_classes, stage_view
from kenyan13.data.store import open_store
from kenyan13.errors import UserError, shorten
from kenyan13.machine import available_cores


class ImageDataModule(LightningDataModule):
    """Training, validation and test images of one run.

    Of one stage of a two-stage classifier, training images are those of its classes. Validation images are those
    of all classes, as the stages are put together by them; those of no class of the stage have the target -1 and count
    in no metric, `validation_images` is the number of the others. The split is made before the stages are taken
    (study, E. Two stages).

    Reading, splitting and decoding happen at once: after construction it is known that every image can be read.
    Raises UserError for data that cannot be used.
    """

    def __init__(self, settings: Settings, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.settings = settings
        self.crop = settings.model.crop
        self.mean, self.std = torch.tensor(mean), torch.tensor(std)
        self.source: Source = read(settings.data)
        train, validation = split(self.source, settings.data)
        self.classes = stage_classes(train.classes, settings.data.groups, settings.data.stage)
        test = self.source.test if settings.data.test else None
        if settings.data.test and test is None:
            raise UserError(f"The data in {settings.data.root} has no test images.", "leave out data.test=true")
        opened = self.open([train, validation] if test is None else [train, validation, test])
        self.train, self.validation = opened[0].of_classes(), opened[1]
        self.test = None if test is None else opened[2]
        labels = np.concatenate([self.train.catalogue.labels(), self.validation.catalogue.labels()])
        self.features: Features | None = None  # what batches hold instead of images, where they are given
        self.class_counts = np.bincount(labels[labels >= 0], minlength=len(self.classes))
        self.validation_images = int((self.validation.catalogue.labels() >= 0).sum())
        empty = [name for name, count in zip(self.classes, self.class_counts, strict=True) if count == 0]
        if empty:
            raise UserError(f"No image is left of {shorten(empty)}.", "repair them, or take these classes out")
        if len(self.train.catalogue) < 2:
            raise UserError("There are fewer than two training images.", "add images to the data")
        if not self.validation_images:
            raise UserError("There are no validation images that can be read.", "repair them, or add others")

    def open(self, catalogues: Sequence[Catalogue]) -> list[Images]:
        """Open one store for all catalogues; images that cannot be read stop the run, or are left out.

        The stage that the settings name is taken last: all stages open the same images, and so share a store.
        """
        paths = sorted({path for catalogue in catalogues for path in catalogue.paths})
        row_of = {path: row for row, path in enumerate(paths)}
        chosen = self.settings.data
        store = open_store(paths, resize_length(self.crop), Path(chosen.cache).expanduser(), chosen.store)
        bad = {paths[row]: reason for row, reason in store.bad.items()}
        if bad:
            self.report_bad(catalogues, bad)
        opened = []
        for catalogue in catalogues:
            kept = catalogue.take([row for row, path in enumerate(catalogue.paths) if path not in bad])
            view = stage_view(kept, self.settings.data.groups, self.settings.data.stage)
            opened.append(Images(view, store, np.array([row_of[path] for path in kept.paths], dtype=np.int64)))
        return opened

    def report_bad(self, catalogues: Sequence[Catalogue], bad: dict[Path, str]) -> None:
        """Name the images that cannot be read; raises UserError unless data.on_bad=skip."""
        ids = {path: id_ for catalogue in catalogues for id_, path in zip(catalogue.ids, catalogue.paths, strict=True)}
        lines = [f"{ids[path]}: {reason} ({path})" for path, reason in sorted(bad.items())]
        message = list_unreadable(lines, len(ids))
        if self.settings.data.on_bad is OnBad.stop:
            raise UserError(message, "repair or remove these files and rows", "or leave them out: data.on_bad=skip")
        Console(stderr=True, markup=False, highlight=False).print(
            f"Left out (data.on_bad=skip): {message}", soft_wrap=True
        )

    def train_dataloader(self) -> DataLoader[Any]:
        """Batches of augmented training images in the order that conf/balance chose.

        A last batch of a single image is left out: batch norm cannot train on it.
        """
        targets = self.train.catalogue.labels()
        sampler = self.sampler(self.train_order(), len(targets))
        size = self.settings.model.batch_size
        drop_last = len(sampler) % size == 1 and size > 1
        loader = self.loader(self.dataset(self.train, self.settings.augment), sampler, drop_last)
        if not len(loader):
            raise UserError(
                f"A batch of {size} leaves nothing to train on: {len(sampler)} image for this process.",
                "fewer trainer.devices, or more images",
            )
        return loader

    def dataset(self, images: Images, augment: AugmentSettings | None = None) -> ImageDataset | FeatureDataset:
        """Return the training or validation images as a data set: of their features, where these are given."""
        if self.features is not None:
            features = self.features.train if images is self.train else self.features.validation
            return FeatureDataset(features, images.catalogue.labels(), self.settings.seed)
        return ImageDataset(images, self.crop, self.settings.seed, augment)

    def train_order(self) -> Order:
        """Return the order in which epochs draw the training images."""
        targets, chosen = self.train.catalogue.labels(), self.settings.balance.sampling
        return epoch_order(chosen, targets, self.class_counts, self.settings.seed)

    def val_dataloader(self) -> DataLoader[Any]:
        """Batches of validation images, centre-cropped, in catalogue order, each of them once."""
        rows = np.arange(len(self.validation.catalogue))
        return self.loader(self.dataset(self.validation), self.sampler(lambda epoch: rows, len(rows)))

    def sampler(self, order: Order, length: int) -> EpochSampler:
        """Return the sampler of this process."""
        trainer = self.trainer
        if trainer is None:
            return EpochSampler(order, length)
        sampler = EpochSampler(order, length, trainer.global_rank, trainer.world_size)
        # Lightning tells a resumed run's sampler its epoch only when loader processes have asked it for first batches.
        progress = trainer.fit_loop.epoch_progress.current
        sampler.set_epoch(progress.processed)  # type: ignore[attr-defined]
        return sampler

    def loader(
        self, dataset: ImageDataset | FeatureDataset, sampler: Iterable[Draw], drop_last: bool = False
    ) -> DataLoader[Any]:
        """Return a loader with the number of workers that the settings or the machine give; none for features."""
        workers = self.settings.data.workers
        if isinstance(dataset, FeatureDataset):
            workers = 0
        elif workers is None:
            workers = default_workers(len(dataset))
        return DataLoader[Any](
            dataset,
            batch_size=self.settings.model.batch_size,
            sampler=sampler,
            drop_last=drop_last,
            num_workers=workers,
            persistent_workers=workers > 0,
            pin_memory=torch.cuda.is_available(),
            worker_init_fn=use_one_thread,
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
        if batch.erased is not None or batch.noise is not None:
            erase_and_add_noise(images, batch.erased, batch.noise, batch.seed, augment)
        if not self.settings.model.channels_last:
            images = images.contiguous()
        return Batch(images, batch.targets, batch.rows)


def default_workers(images: int) -> int:
    """Return the number of loader processes: all cores but one, at most eight; none for tiny data."""
    return 0 if images < 64 else max(1, min(8, available_cores() - 1))


def whole(batch: Any) -> Any:
    """Return a batch that its data set has made whole."""
    return batch


def use_one_thread(worker: int) -> None:
    """Keep OpenCV in a loader process from starting threads of its own: the processes share the cores already."""
    cv2.setNumThreads(0)
