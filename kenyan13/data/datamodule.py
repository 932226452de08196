"""The LightningDataModule: from a data set's settings to batches of normalised pictures on the device."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, cast

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from pytorch_lightning import LightningDataModule
from rich.console import Console
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from kenyan13.data.augmentation import apply_view, centre_crop, draw_view, erase_and_add_noise, normalise
from kenyan13.data.catalogue import Catalogue, Source, read
from kenyan13.data.pictures import resize_length
from kenyan13.data.sampling import AUGMENTATION, Draw, EpochSampler, Order, epoch_order, generator
from kenyan13.data.split import split
from kenyan13.data.stages import stage_classes, stage_view
from kenyan13.data.store import Store, open_store
from kenyan13.errors import UserError, shorten
from kenyan13.machine import available_cores
from kenyan13.settings import AugmentSettings, OnBad, Settings


class Sample(NamedTuple):
    """One view of a picture, with what is left to do to it on the device."""

    picture: NDArray[np.uint8]  # [crop, crop, 3]
    target: int
    row: int
    erased: tuple[int, int, int, int]
    noise: bool
    seed: int


class RawBatch(NamedTuple):
    """Samples as the loader hands them on; plain values are known without asking the device."""

    pictures: Tensor  # uint8 [n, crop, crop, 3]
    targets: Tensor  # int64 [n]
    rows: Tensor  # int64 [n]
    erased: NDArray[np.int64] | None  # [n, 4], None where no picture has a rectangle; stays on the host
    noise: NDArray[np.bool_] | None  # [n], None where no picture gets noise; stays on the host
    seed: int


class Batch(NamedTuple):
    """Pictures on the device, ready for the network."""

    pictures: Tensor  # float32 [n, 3, crop, crop], normalised
    targets: Tensor  # int64 [n]; -1 without label
    rows: Tensor  # int64 [n], rows of the catalogue


@dataclass(frozen=True)
class Pictures:
    """A catalogue with its pixels; store_rows: int64 [n], where each picture lies in the store."""

    catalogue: Catalogue
    store: Store
    store_rows: NDArray[np.int64]

    def of_classes(self) -> "Pictures":
        """Return the pictures that are of one of the catalogue's classes."""
        rows = np.flatnonzero(self.catalogue.labels() >= 0)
        return Pictures(self.catalogue.take(rows), self.store, self.store_rows[rows])


class PictureDataset(Dataset[Sample]):
    """Views of pictures: the centre crop, or with `augment` a random view decided by (seed, epoch, position)."""

    def __init__(self, pictures: Pictures, crop: int, seed: int, augment: AugmentSettings | None = None) -> None:
        self.store, self.store_rows = pictures.store, pictures.store_rows
        targets = pictures.catalogue.targets
        self.targets = np.full(len(self.store_rows), -1, dtype=np.int64) if targets is None else targets
        self.crop, self.seed, self.augment = crop, seed, augment

    def __len__(self) -> int:
        return len(self.store_rows)

    def __getitem__(self, draw: Draw) -> Sample:
        picture = self.store[self.store_rows[draw.row]]
        target = int(self.targets[draw.row])
        if self.augment is None:
            return Sample(centre_crop(picture, self.crop), target, draw.row, (0, 0, 0, 0), False, 0)
        random = generator(AUGMENTATION, self.seed, draw.epoch, draw.position)
        view = draw_view(self.augment, self.crop, random)
        pixels = apply_view(picture, view, self.crop)
        return Sample(pixels, target, draw.row, view.erased, view.noise, int(random.integers(2**62)))


def collate(samples: Sequence[Sample]) -> RawBatch:
    """Stack samples; the first one's seed stands for the batch."""
    erased = np.array([sample.erased for sample in samples])
    noise = np.array([sample.noise for sample in samples])
    return RawBatch(
        torch.from_numpy(np.stack([sample.picture for sample in samples])),
        torch.tensor([sample.target for sample in samples]),
        torch.tensor([sample.row for sample in samples]),
        erased if erased.any() else None,
        noise if noise.any() else None,
        samples[0].seed,
    )


class PictureData(LightningDataModule):
    """Training, validation and test pictures of one run.

    Of one stage of a two-stage classifier, training pictures are those of its classes. Validation pictures are those
    of all classes, as the stages are put together by them; those of no class of the stage have the target -1 and count
    in no figure, `validation_pictures` is the number of the others. The split is made before the stages are taken
    (study, E. Two stages).

    Reading, splitting and decoding happen at once: after construction it is known that every picture can be read.
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
            raise UserError(f"The data in {settings.data.root} has no test pictures.", "leave out data.test=true")
        opened = self.open([train, validation] if test is None else [train, validation, test])
        self.train, self.validation = opened[0].of_classes(), opened[1]
        self.test = None if test is None else opened[2]
        labels = np.concatenate([self.train.catalogue.labels(), self.validation.catalogue.labels()])
        self.class_counts = np.bincount(labels[labels >= 0], minlength=len(self.classes))
        self.validation_pictures = int((self.validation.catalogue.labels() >= 0).sum())
        empty = [name for name, count in zip(self.classes, self.class_counts, strict=True) if count == 0]
        if empty:
            raise UserError(f"No picture is left of {shorten(empty)}.", "repair them, or take these classes out")
        if len(self.train.catalogue) < 2:
            raise UserError("There are fewer than two training pictures.", "add pictures to the data")
        if not self.validation_pictures:
            raise UserError("There are no validation pictures that can be read.", "repair them, or add others")

    def open(self, catalogues: Sequence[Catalogue]) -> list[Pictures]:
        """Open one store for all catalogues; pictures that cannot be read stop the run, or are left out.

        The stage that the settings name is taken last: all stages open the same pictures, and so share a store.
        """
        paths = sorted({path for catalogue in catalogues for path in catalogue.paths})
        place = {path: row for row, path in enumerate(paths)}
        store = open_store(paths, resize_length(self.crop), Path(self.settings.data.cache).expanduser())
        bad = {paths[row]: reason for row, reason in store.bad.items()}
        if bad:
            self.report_bad(catalogues, bad)
        opened = []
        for catalogue in catalogues:
            kept = catalogue.take([row for row, path in enumerate(catalogue.paths) if path not in bad])
            view = stage_view(kept, self.settings.data.groups, self.settings.data.stage)
            opened.append(Pictures(view, store, np.array([place[path] for path in kept.paths], dtype=np.int64)))
        return opened

    def report_bad(self, catalogues: Sequence[Catalogue], bad: dict[Path, str]) -> None:
        """Name the pictures that cannot be read; raises UserError unless data.on_bad=skip."""
        ids = {path: id_ for catalogue in catalogues for id_, path in zip(catalogue.ids, catalogue.paths, strict=True)}
        listed = [f"{ids[path]}: {reason} ({path})" for path, reason in sorted(bad.items())]
        message = f"{len(bad):,} of {len(ids):,} pictures cannot be read:\n    " + "\n    ".join(listed[:15])
        if len(listed) > 15:
            message += f"\n    and {len(listed) - 15:,} more"
        if self.settings.data.on_bad is OnBad.stop:
            raise UserError(message, "repair or remove these files and rows", "or leave them out: data.on_bad=skip")
        Console(stderr=True, markup=False, highlight=False).print(
            f"Left out, as data.on_bad=skip says: {message}", soft_wrap=True
        )

    def train_dataloader(self) -> DataLoader[RawBatch]:
        """Batches of augmented training pictures in the order that conf/balance chose.

        A last batch of a single picture is left out: batch norm cannot train on it.
        """
        sampling = self.settings.balance.sampling
        targets = self.train.catalogue.labels()
        order = epoch_order(sampling, targets, self.class_counts, self.settings.seed)
        dataset = PictureDataset(self.train, self.crop, self.settings.seed, self.settings.augment)
        sampler = self.sampler(order, len(targets))
        size = self.settings.model.batch_size
        loader = self.loader(dataset, sampler, drop_last=len(sampler) % size == 1 and size > 1)
        if not len(loader):
            raise UserError(
                f"A batch of {size} leaves nothing to train on: {len(sampler)} picture for this process.",
                "fewer trainer.devices, or more pictures",
            )
        return loader

    def val_dataloader(self) -> DataLoader[RawBatch]:
        """Batches of validation pictures, in catalogue order."""
        return self.evaluation_loader(self.validation)

    def evaluation_loader(self, pictures: Pictures) -> DataLoader[RawBatch]:
        """Batches of centre-cropped pictures, in catalogue order, each of them once."""
        rows = np.arange(len(pictures.catalogue))
        return self.loader(PictureDataset(pictures, self.crop, 0), self.sampler(lambda epoch: rows, len(rows)))

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

    def loader(self, dataset: PictureDataset, sampler: EpochSampler, drop_last: bool = False) -> DataLoader[RawBatch]:
        """Return a loader with the number of workers that the settings or the machine give."""
        workers = self.settings.data.workers
        if workers is None:
            workers = default_workers(len(dataset))
        return DataLoader[RawBatch](
            cast(Dataset[RawBatch], dataset),  # collate makes batches of its samples
            batch_size=self.settings.model.batch_size,
            sampler=sampler,
            drop_last=drop_last,
            num_workers=workers,
            persistent_workers=workers > 0,
            pin_memory=torch.cuda.is_available(),
            worker_init_fn=use_one_thread,
            generator=torch.Generator(),  # or each start would take a number from the one that dropout draws with
            collate_fn=collate,
        )

    def on_after_batch_transfer(self, batch: RawBatch, dataloader_idx: int) -> Batch:
        """Normalise on the device; erase and add noise where the views say so."""
        device = batch.pictures.device
        pictures = normalise(batch.pictures, self.mean.to(device), self.std.to(device))
        if batch.erased is not None or batch.noise is not None:
            erase_and_add_noise(pictures, batch.erased, batch.noise, batch.seed, self.settings.augment)
        if not self.settings.trainer.channels_last:
            pictures = pictures.contiguous()
        return Batch(pictures, batch.targets, batch.rows)


def default_workers(pictures: int) -> int:
    """Return the number of loader processes: all cores but one, at most eight; none for tiny data."""
    return 0 if pictures < 64 else max(1, min(8, available_cores() - 1))


def use_one_thread(worker: int) -> None:
    """Keep OpenCV in a loader process from starting threads of its own: the processes share the cores already."""
    cv2.setNumThreads(0)
