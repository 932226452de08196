"""The stratified split of labelled images into training and validation, as the study makes it; labels corrected."""

import warnings
from dataclasses import replace
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedKFold, train_test_split

from kenyan13.config.settings import ColumnSettings, DataSettings
from kenyan13.data.catalogue import Catalogue, Source
from kenyan13.data.check import groups_of_same, look_at
from kenyan13.data.tables import read_rows
from kenyan13.errors import UserError, did_you_mean, shorten
from kenyan13.terminal import print_note

Rows = NDArray[np.int64]
DROP = "drop"  # what data.corrections has instead of a label


def split(source: Source, settings: DataSettings) -> tuple[Catalogue, Catalogue]:
    """Return training and validation images, after data.corrections.

    Given validation images are taken as they are; else a stratified fraction, or the fold `settings.fold`; of both, a
    stratified part for `settings.subset` (study, subset mode). Raises UserError where classes are too small.
    """
    if settings.corrections:
        source = correct(source, Path(settings.corrections).expanduser())
    train, validation, subset = source.labelled, source.validation, settings.subset
    if validation is None:
        rows = split_rows(train, settings)
        if settings.group_duplicates:
            rows = keep_together(rows, train, settings)
        train, validation = train.take(rows[0]), train.take(rows[1])
    elif settings.fold is not None or settings.group_duplicates:
        chosen = "data.group_duplicates=true" if settings.fold is None else f"data.fold={settings.fold}"
        step = f"leave {chosen.partition('=')[0]} out, or put all images into the class folders of train/"
        raise UserError(f"{chosen} makes its own validation images, but {settings.root} has a folder of them.", step)
    if subset is not None:
        share = ceil(len(validation) * subset / len(train))
        train = train.take(stratified(train, settings, f"data.subset={subset}", train_size=subset)[0])
        if len(validation) - share >= len(validation.classes):  # scikit-learn wants an image a class left over
            kept = stratified(validation, settings, f"data.subset={subset} for validation", train_size=share)[0]
            validation = validation.take(kept)
    return train, validation


def correct(source: Source, file: Path) -> Source:
    """Return the data with the labels of a CSV (id, label: a class or drop). Raises UserError for what fits nothing."""
    if not file.is_file():
        raise UserError(f"There is no file {file}.", "data.corrections=FILE names a CSV with the columns id,label")
    table = read_rows(file, ColumnSettings(), [])
    labels = dict(zip(table["id"], table["label"], strict=True))
    parts = [source.labelled, *([source.validation] if source.validation else [])]
    known, classes = {id_ for part in parts for id_ in part.ids}, source.labelled.classes
    for problem, wrong, there in (
        ("ids that no labelled image has", [id_ for id_ in labels if id_ not in known], known),
        ("labels that are no class", [name for name in labels.values() if name not in (*classes, DROP)], classes),
    ):
        if wrong:
            close = did_you_mean(wrong[0], sorted(there)[:5000])
            raise UserError(f"{file} has {problem}: {shorten(wrong, 3)}.{close}", f"or {DROP}: leaves the image out")
    target_of = {name: target for target, name in enumerate(classes)}

    def corrected(part: Catalogue) -> Catalogue:
        kept = part.take([row for row, id_ in enumerate(part.ids) if labels.get(id_) != DROP])
        targets = [target_of.get(labels.get(id_, ""), old) for id_, old in zip(kept.ids, kept.targets, strict=True)]
        return replace(kept, targets=np.array(targets, dtype=np.int64))

    return replace(source, labelled=corrected(parts[0]), validation=corrected(parts[1]) if parts[1:] else None)


def split_rows(labelled: Catalogue, settings: DataSettings) -> tuple[Rows, Rows]:
    """Return the row numbers of training (shuffled) and validation images (shuffled; in file order for folds).

    The fraction is the study's: seed 42 gives its 5,228 and 1,308 rows of KenyanFood13's train.csv.
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


def keep_together(rows: tuple[Rows, Rows], labelled: Catalogue, settings: DataSettings) -> tuple[Rows, Rows]:
    """Return the rows of a split with each group of equal or nearly equal images where most of it is; these last.

    Of folds, each group validates in one, so that each image still validates once; of two, in training or the first.
    """
    looks = look_at(labelled.paths, settings)
    same = groups_of_same(looks["digest"].to_numpy(str), looks["hash"].to_numpy(np.uint64))
    side = np.zeros(len(labelled), dtype=np.int64)  # the fold in which an image validates; of a fraction 1, or 0
    folds = [1] if settings.fold is None else range(settings.folds)
    for fold in folds:
        part = rows if settings.fold in (None, fold) else split_rows(labelled, replace(settings, fold=fold))
        side[part[1]] = fold
    side = pd.Series(side).groupby(same).transform(lambda one: one.mode()[0]).to_numpy()
    validates = side == (1 if settings.fold is None else settings.fold)
    train, validation = rows
    out, back = train[validates[train]], validation[~validates[validation]]
    print_note(f"data.group_duplicates=true: {len(out) + len(back):,} images go to the other side")
    return np.append(train[~validates[train]], back), np.append(validation[validates[validation]], out)


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
    smallest = shorten([f"{name} {count}" for name, count in sorted(counts, key=lambda pair: int(pair[1]))], 13)
    steps = f"images of each class: {smallest}", "choose another size, add images, or take small classes out"
    return UserError(f"{purpose} cannot divide {len(images):,} images: {error}", *steps)
