"""The stratified split of labelled images into training and validation, as the study makes it."""

from math import ceil

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedKFold, train_test_split

from kenyan13.config.settings import DataSettings
from kenyan13.data.catalogue import Catalogue, Source
from kenyan13.errors import UserError, shorten

Rows = NDArray[np.int64]


def split(source: Source, settings: DataSettings) -> tuple[Catalogue, Catalogue]:
    """Return training and validation images.

    Given validation images are taken as they are; else a stratified fraction, or the fold `settings.fold`. With
    `settings.subset` both are then cut down to stratified samples. Raises UserError where classes are too small.
    """
    if source.validation is not None and settings.fold is not None:
        raise UserError(
            f"data.fold={settings.fold} makes its own validation images, but {settings.root} has a folder of them.",
            "leave data.fold out, or put all images into the class folders of train/",
        )
    if source.validation is not None:
        train, validation = source.labelled, source.validation
    else:
        rows = split_rows(source.labelled, settings)
        train, validation = source.labelled.take(rows[0]), source.labelled.take(rows[1])
    if settings.subset is None:
        return train, validation
    return take_subset(train, validation, settings.subset, settings.split_seed)


def split_rows(labelled: Catalogue, settings: DataSettings) -> tuple[Rows, Rows]:
    """Return the row numbers of training (shuffled) and validation images (shuffled; in file order for folds).

    The fraction is scikit-learn's train_test_split over rows in file order (study, Data); with seed 42 on
    KenyanFood13's train.csv it gives the study's 5,228 and 1,308 rows.
    """
    targets, seed = labelled.labels(), settings.split_seed
    rows = np.arange(len(labelled))
    if settings.fold is not None:
        require_images(labelled, settings.folds, f"{settings.folds} folds")
        folds = StratifiedKFold(settings.folds, shuffle=True, random_state=seed)
        train, validation = list(folds.split(rows, targets))[settings.fold]
        return train, validation
    require_images(labelled, 2, "a stratified split")
    size = ceil(len(labelled) * settings.validation_fraction)
    if min(size, len(labelled) - size) < len(labelled.classes):
        raise UserError(
            f"{len(labelled)} images of {len(labelled.classes)} classes cannot be split: "
            f"data.validation_fraction={settings.validation_fraction:g} leaves one side fewer images than classes.",
            "choose a fraction nearer to one half, or add images",
        )
    train, validation = train_test_split(
        rows, test_size=settings.validation_fraction, stratify=targets, shuffle=True, random_state=seed
    )
    return train, validation


def require_images(labelled: Catalogue, least: int, purpose: str) -> None:
    """Raise UserError naming the classes with fewer than `least` images."""
    counts = np.bincount(labelled.labels(), minlength=len(labelled.classes))
    small = [f"{name} ({count})" for name, count in zip(labelled.classes, counts, strict=True) if count < least]
    if small:
        raise UserError(
            f"Too few images for {purpose}: {shorten(small)}. Each class needs {least}.",
            "add images to these classes, or take the classes out",
        )


def take_subset(train: Catalogue, validation: Catalogue, size: int, seed: int) -> tuple[Catalogue, Catalogue]:
    """Return a stratified sample of `size` training images, and the same share of validation images, rounded up.

    Source: study, subset mode. Raises UserError when a sample is smaller than the number of classes, or a class
    too small to be divided.
    """
    if size > len(train) - len(train.classes):
        raise UserError(
            f"data.subset={size} is too near to all {len(train):,} training images to be a stratified sample.",
            f"at most data.subset={len(train) - len(train.classes)}, or data.subset=null for all",
        )
    share = ceil(len(validation) * size / len(train))
    if min(size, share) < len(train.classes):
        raise UserError(
            f"data.subset={size} leaves {share} validation images for {len(train.classes)} classes.",
            f"choose at least data.subset={ceil(len(train.classes) * len(train) / len(validation)):d}",
        )
    return sample(train, size, seed, "training"), sample(validation, share, seed, "validation")


def sample(images: Catalogue, size: int, seed: int, part: str) -> Catalogue:
    """Return a stratified sample of `size` images of a part of the data."""
    if len(images) - size < len(images.classes):  # scikit-learn wants an image a class left over
        return images
    require_images(images, 2, f"a stratified subset of the {part} images")
    rows, _ = train_test_split(
        np.arange(len(images)), train_size=size, stratify=images.labels(), shuffle=True, random_state=seed
    )
    return images.take(rows)
