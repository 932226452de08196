"""Which images an epoch draws: fair where it should be, repeatable always."""

from time import perf_counter

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from kenyan13.config.settings import Sampling
from kenyan13.data.sampling import Draw, EpochSampler, across_classes, balanced_order, epoch_order, generator

# From shared/spec/experiments.md, section Data: rows per class, and those of them in the training part.
ROWS = np.array([632, 862, 479, 494, 173, 620, 438, 483, 212, 784, 329, 402, 628])
TRAINING = np.array([506, 690, 383, 395, 138, 496, 350, 386, 170, 627, 263, 322, 502])
TARGETS: NDArray[np.int64] = np.random.default_rng(0).permutation(np.repeat(np.arange(13), TRAINING))

every_sampling = pytest.mark.parametrize("sampling", list(Sampling))


def spread(numbers: NDArray[np.int64]) -> int:
    return int(numbers.max() - numbers.min())


def image_spread(times: NDArray[np.int64], targets: NDArray[np.int64]) -> int:
    """Return the largest difference between the numbers of draws of two images of one class."""
    return max(spread(times[targets == target]) for target in np.unique(targets))


@every_sampling
def test_an_epoch_is_a_function_of_seed_and_epoch(sampling: Sampling) -> None:
    in_sequence = [epoch_order(sampling, TARGETS, ROWS, 42)(epoch) for epoch in range(8)]
    order = epoch_order(sampling, TARGETS, ROWS, 42)
    for epoch in (7, 0, 7, 3):
        assert order(epoch).tolist() == in_sequence[epoch].tolist()
    assert all(len(rows) == 5228 and rows.dtype == np.int64 for rows in in_sequence)
    assert len({rows.tobytes() for rows in in_sequence}) == 8
    assert order(7).tolist() != epoch_order(sampling, TARGETS, ROWS, 43)(7).tolist()


def test_shuffled_epochs_are_permutations() -> None:
    order = epoch_order(Sampling.shuffled, TARGETS, ROWS, 42)
    first = np.array([order(epoch)[0] for epoch in range(200)])
    for epoch in range(5):
        assert np.array_equal(np.sort(order(epoch)), np.arange(5228))
    assert stats.kstest(first / 5228, "uniform").pvalue > 1e-3


def test_weighted_draws_have_every_class_equally_often() -> None:
    order = epoch_order(Sampling.weighted, TARGETS, ROWS, 42)
    draws = np.concatenate([order(epoch) for epoch in range(40)])
    counts = np.bincount(TARGETS[draws], minlength=13)
    error = np.sqrt(1 / 13 * 12 / 13 / len(draws))
    assert np.abs(counts / len(draws) - 1 / 13).max() < 3 * error
    # Exactly, the study's counts weigh a class by its share of training rows: within a thousandth of 1/13.
    expected = TRAINING / ROWS / (TRAINING / ROWS).sum()
    assert stats.chisquare(counts, expected * len(draws)).pvalue > 1e-3


def test_weighted_draws_are_with_replacement_and_uniform_within_a_class() -> None:
    order = epoch_order(Sampling.weighted, TARGETS, ROWS, 42)
    times = np.bincount(np.concatenate([order(epoch) for epoch in range(40)]), minlength=5228)
    for target in (4, 1):
        assert stats.chisquare(times[target == TARGETS]).pvalue > 1e-3
    assert np.bincount(order(0)).max() > 5  # an image of the smallest class is drawn three times on average


def test_balanced_draws_are_equal_to_one_after_each_of_fifty_epochs() -> None:
    started = perf_counter()
    epochs = [balanced_order(TARGETS, 42, epoch) for epoch in range(50)]
    assert perf_counter() - started < 10
    times = np.zeros(5228, dtype=np.int64)
    for draws in epochs:
        times += np.bincount(draws, minlength=5228)
        assert spread(np.bincount(TARGETS, weights=times).astype(np.int64)) <= 1
        assert image_spread(times, TARGETS) <= 1
        assert spread(np.bincount(TARGETS[draws], minlength=13)) <= 2  # an epoch may begin and end within a round
    assert times.sum() == 50 * 5228


@pytest.mark.parametrize("sizes", [(1, 1), (5, 3, 1), (7, 1, 1, 4), (2, 30), (11,)])
def test_balanced_draws_are_equal_to_one_after_any_draw(sizes: tuple[int, ...]) -> None:
    targets = np.repeat(np.arange(len(sizes)), sizes)
    draws = np.concatenate([balanced_order(targets, 1, epoch) for epoch in range(6)])
    for end in range(1, len(draws) + 1):
        assert spread(np.bincount(targets[draws[:end]], minlength=len(sizes))) <= 1
        assert image_spread(np.bincount(draws[:end], minlength=len(targets)), targets) <= 1


def test_balanced_rounds_are_shuffled_anew() -> None:
    draws = TARGETS[balanced_order(TARGETS, 42, 0)]
    rounds = draws[: 402 * 13].reshape(402, 13)
    assert np.array_equal(np.sort(rounds), np.tile(np.arange(13), (402, 1)))
    assert len({tuple(classes) for classes in rounds.tolist()}) == 402
    assert stats.chisquare(np.bincount(rounds[:, 0], minlength=13)).pvalue > 1e-3


def test_balanced_shuffles_of_a_class_are_made_anew() -> None:
    epochs = np.concatenate([balanced_order(TARGETS, 42, epoch) for epoch in range(3)])
    turns = epochs[TARGETS[epochs] == 4][: 8 * 138].reshape(8, 138)
    members = np.flatnonzero(TARGETS == 4)
    assert np.array_equal(np.sort(turns), np.tile(members, (8, 1)))
    assert len({tuple(turn) for turn in turns.tolist()}) == 8


def test_balanced_sampling_passes_over_classes_without_training_images() -> None:
    targets = np.array([0, 0, 3, 3, 3])
    draws = np.concatenate([balanced_order(targets, 0, epoch) for epoch in range(4)])
    assert np.bincount(targets[draws]).tolist() == [10, 0, 0, 10]


@pytest.mark.parametrize("seed", [0, 42])
def test_rows_are_spread_over_the_classes_as_far_as_they_reach(seed: int) -> None:
    targets = np.random.default_rng(1).permutation(np.repeat([0, 1, 2, 4], [1, 3, 20, 30]))
    rows = across_classes(targets, 12, seed)
    assert len(set(rows.tolist())) == 12
    assert targets[rows].tolist() == sorted(targets[rows])
    assert np.bincount(targets[rows]).tolist() == [1, 3, 4, 0, 4]
    assert np.bincount(targets[across_classes(targets, 3, seed)]).max() == 1
    assert sorted(across_classes(targets, 100, seed).tolist()) == list(range(54))
    assert np.array_equal(rows, across_classes(targets, 12, seed))
    assert not np.array_equal(rows, across_classes(targets, 12, seed + 1))


def sampler(length: int, rank: int = 0, world: int = 1) -> EpochSampler:
    targets = np.arange(length) % 2
    return EpochSampler(epoch_order(Sampling.shuffled, targets, np.bincount(targets), 5), length, rank, world)


def test_the_sampler_yields_the_order_of_its_epoch() -> None:
    whole = sampler(10)
    for epoch in (0, 3):
        whole.set_epoch(epoch)
        expected = generator(0, 5, epoch).permutation(10)
        assert list(whole) == [Draw(int(row), epoch, place) for place, row in enumerate(expected)]
    assert len(whole) == 10


@pytest.mark.parametrize(("length", "world"), [(12, 3), (10, 3), (11, 4), (2, 5), (5, 1)])
def test_processes_share_an_epoch(length: int, world: int) -> None:
    samplers = [sampler(length, rank, world) for rank in range(world)]
    for part in samplers:
        part.set_epoch(2)
    parts = [list(part) for part in samplers]
    each = -(-length // world)
    assert [len(part) for part in parts] == [len(part) for part in samplers] == [each] * world
    together = sorted((draw for part in parts for draw in part), key=lambda draw: draw.position)
    assert [draw.position for draw in together] == list(range(each * world))  # so no two augmentations are the same
    assert [draw.row for draw in together] == np.resize(generator(0, 5, 2).permutation(length), each * world).tolist()
    assert {draw.epoch for draw in together} == {2}
