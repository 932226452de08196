"""The split into training and validation images: the study's, row for row, and its relatives."""

from dataclasses import replace
from math import ceil
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedKFold, train_test_split

from kenyan13.config.settings import DataSettings
from kenyan13.data.catalogue import Catalogue, Source
from kenyan13.data.split import split
from kenyan13.errors import UserError

# From shared/spec/experiments.md, section Data: rows per class of train.csv, and of its two parts.
ROWS = [632, 862, 479, 494, 173, 620, 438, 483, 212, 784, 329, 402, 628]
TRAINING = [506, 690, 383, 395, 138, 496, 350, 386, 170, 627, 263, 322, 502]
VALIDATION = [126, 172, 96, 99, 35, 124, 88, 97, 42, 157, 66, 80, 126]
STUDY = DataSettings(validation_fraction=0.2, folds=5, split_seed=42)


def labelled(targets: NDArray[np.int64], prefix: str = "") -> Catalogue:
    """Return images that exist only as row numbers; their classes are c0, c1, and so on."""
    ids = tuple(f"{prefix}{row}" for row in range(len(targets)))
    classes = tuple(f"c{k}" for k in range(int(targets.max()) + 1))
    return Catalogue(ids, tuple(Path(f"{id_}.jpg") for id_ in ids), targets, classes)


def of_sizes(*sizes: int, prefix: str = "") -> Catalogue:
    """Return so many images of each class, in an order that is mixed but always the same."""
    return labelled(np.random.default_rng(0).permutation(np.repeat(np.arange(len(sizes)), sizes)), prefix)


def rows(images: Catalogue) -> list[int]:
    return [int(id_) for id_ in images.ids]


def counts(images: Catalogue) -> list[int]:
    return [int(number) for number in np.bincount(images.targets, minlength=len(images.classes))]


def study_like(targets: NDArray[np.int64]) -> None:
    """Check the split of labels with the study's class counts against scikit-learn and against the study's numbers."""
    source = labelled(targets)
    train, validation = split(Source(source), STUDY)
    expected = train_test_split(np.arange(6536), test_size=0.2, stratify=targets, shuffle=True, random_state=42)
    assert rows(train) == expected[0].tolist()
    assert rows(validation) == expected[1].tolist()
    for part, numbers in ((train, TRAINING), (validation, VALIDATION)):
        assert counts(part) == numbers
        assert part.targets.tolist() == targets[rows(part)].tolist()
        assert part.paths == tuple(source.paths[row] for row in rows(part))
    assert (len(train), len(validation)) == (5228, 1308)


def test_the_study_s_split_of_the_real_labels(real_labels: Path) -> None:
    names = [line.split(",")[1] for line in (real_labels / "train.csv").read_text().split()[1:]]
    targets = np.unique(names, return_inverse=True)[1]
    assert np.bincount(targets).tolist() == ROWS
    study_like(targets)


def test_the_study_s_split_of_labels_with_its_class_counts() -> None:
    study_like(of_sizes(*ROWS).targets)


@pytest.mark.parametrize(("fraction", "seed"), [(0.2, 7), (0.35, 42), (0.5, 0)])
def test_fraction_and_seed_are_scikit_learn_s(fraction: float, seed: int) -> None:
    source = of_sizes(20, 31, 7)
    train, validation = split(Source(source), replace(STUDY, validation_fraction=fraction, split_seed=seed))
    expected = train_test_split(np.arange(58), test_size=fraction, stratify=source.targets, random_state=seed)
    assert [rows(train), rows(validation)] == [part.tolist() for part in expected]


def test_the_subset_is_a_stratified_sample_of_both_parts() -> None:
    source = Source(of_sizes(*ROWS))
    whole = split(source, STUDY)
    subset = split(source, replace(STUDY, subset=256))
    assert [len(part) for part in subset] == [256, 65]  # 1308 * 256 / 5228 = 64.05
    for part, full in zip(subset, whole, strict=True):
        assert set(part.ids) <= set(full.ids)
        assert len(set(part.ids)) == len(part)
        share = np.array(counts(full)) * len(part) / len(full)
        assert np.abs(np.array(counts(part)) - share).max() < 1
    again = split(source, replace(STUDY, subset=256))
    assert [part.ids for part in again] == [part.ids for part in subset]
    other = split(source, replace(STUDY, subset=256, split_seed=43))
    assert set(other[0].ids) != set(subset[0].ids)


def test_folds_partition_the_rows_and_are_stratified() -> None:
    source = of_sizes(*ROWS)
    expected = StratifiedKFold(5, shuffle=True, random_state=42).split(np.arange(6536), source.targets)
    seen: list[int] = []
    for fold, (_, rows_) in enumerate(expected):
        train, validation = split(Source(source), replace(STUDY, fold=fold))
        assert rows(validation) == rows_.tolist()
        assert sorted(rows(train) + rows(validation)) == list(range(6536))
        assert np.abs(np.array(counts(validation)) - np.array(ROWS) / 5).max() < 1
        seen += rows(validation)
    assert sorted(seen) == list(range(6536))


def test_given_validation_images_are_kept_as_they_are() -> None:
    train, validation = of_sizes(3, 50), of_sizes(1, 2, prefix="v")
    assert split(Source(train, validation), STUDY) == (train, validation)


def test_a_fold_beside_given_validation_images_is_refused() -> None:
    given = Source(of_sizes(10, 10), of_sizes(5, 5, prefix="v"))
    with pytest.raises(UserError, match=r"data\.fold=1 makes its own validation images"):
        split(given, replace(STUDY, fold=1, root="birds"))


def test_a_subset_of_given_validation_images_has_the_same_share() -> None:
    train, validation = split(Source(of_sizes(80, 20), of_sizes(11, 20, prefix="v")), replace(STUDY, subset=50))
    assert counts(train) == [40, 10]
    assert len(validation) == ceil(31 / 2)
    assert set(validation.ids) <= {f"v{row}" for row in range(31)}


@pytest.mark.parametrize(
    ("sizes", "changes", "words"),
    [
        ((9, 1, 30, 1), {}, ["data.validation_fraction=0.2 cannot divide 41 images", "1 member"]),
        ((9, 4, 30, 3), {"fold": 0}, ["data.folds=5 cannot divide 46 images", "only 3 members"]),
        ((9, 9), {"validation_fraction": 0.05}, ["data.validation_fraction=0.05", "the number of classes = 2"]),
        ((9, 9), {"validation_fraction": 0.95}, ["data.validation_fraction=0.95 cannot divide 18 images"]),
        ((50, 50), {"subset": 1}, ["data.subset=1 cannot divide 80 images"]),
        ((30, 30), {"subset": 47}, ["data.subset=47 cannot divide 48 images"]),
        ((30, 30), {"subset": 10**6}, ["data.subset=1000000 cannot divide 48 images"]),
        (tuple(ROWS), {"subset": 40}, ["data.subset=40 for validation", "the number of classes = 13"]),
        ((5, 40), {"subset": 20}, ["data.subset=20 for validation", "only 1 member"]),
    ],
)
def test_what_cannot_be_split_is_refused(sizes: tuple[int, ...], changes: dict[str, float], words: list[str]) -> None:
    with pytest.raises(UserError) as error:
        split(Source(of_sizes(*sizes)), DataSettings(**{**vars(STUDY), **changes}))
    assert error.value.next_steps[0].startswith("images of each class: c")
    for word in words:
        assert word in error.value.problem
