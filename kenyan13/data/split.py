"""The stratified split of labelled images into training and validation, as the study makes it."""

import warnings
from math import ceil
from typing import Any

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
    `settings.subset` there are so many training images, and the same share of validation images, rounded up: both
    stratified samples (study, subset mode). Raises UserError where classes are too small.
    """
    train, validation, subset = source.labelled, source.validation, settings.subset
    if validation is None:
        rows = split_rows(train, settings)
        train, validation = train.take(rows[0]), train.take(rows[1])
    elif settings.fold is not None:
        raise UserError(
            f"data.fold={settings.fold} makes its own validation images, but {settings.root} has a folder of them.",
            "leave data.fold out, or put all images into the class folders of train/",
        )
    if subset is not None:
        share = ceil(len(validation) * subset / len(train))
        train = train.take(stratified(train, settings, f"data.subset={subset}", train_size=subset)[0])
        if len(validation) - share >= len(validation.classes):  # scikit-learn wants an image a class left over
            kept = stratified(validation, settings, f"data.subset={subset} for validation", train_size=share)[0]
            validation = validation.take(kept)
    return train, validation


def split_rows(labelled: Catalogue, settings: DataSettings) -> tuple[Rows, Rows]:
    """Return the row numbers of training (shuffled) and validation images (shuffled; in file order for folds).

    The fraction is scikit-learn's train_test_split over rows in file order (study, Data); with seed 42 on
    KenyanFood13's train.csv it gives the study's 5,228 and 1,308 rows.
    """
    if settings.fold is None:
        fraction = settings.validation_fraction
        return stratified(labelled, settings, f"data.validation_fraction={fraction:g}", test_size=fraction)
    folds = StratifiedKFold(settings.folds, shuffle=True, random_state=settings.split_seed)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # given where a class has fewer images than there are folds
            train, validation = list(folds.split(labelled.targets, labelled.targets))[settings.fold]
    except (ValueError, UserWarning) as error:
        raise too_few(labelled, f"data.folds={settings.folds}", error) from None
    return train, validation


def stratified(images: Catalogue, settings: DataSettings, purpose: str, **sizes: Any) -> tuple[Rows, Rows]:
    """Return the row numbers of two parts of scikit-learn's `sizes`, both shuffled."""
    try:
        one, other = train_test_split(
            np.arange(len(images)), stratify=images.targets, shuffle=True, random_state=settings.split_seed, **sizes
        )
    except ValueError as error:
        raise too_few(images, purpose, error) from None
    return one, other


def too_few(images: Catalogue, purpose: str, error: Exception) -> UserError:
    """Return what scikit-learn objects to, with the number of images of each class."""
    counts = zip(images.classes, np.bincount(images.targets, minlength=len(images.classes)), strict=True)
    smallest = sorted(counts, key=lambda pair: int(pair[1]))
    return UserError(
        f"{purpose} cannot divide {len(images):,} images: {error}",
        f"images of each class: {shorten([f'{name} {count}' for name, count in smallest], 13)}",
        "choose another size, add images to small classes, or take these classes out",
    )
