"""scripts/benchmark.py: all libraries make the same input, and ratios are quotients of the times."""

import json
from collections.abc import Callable
from pathlib import Path

import benchmark
import pytest
import torch
from bench import epochs, peers
from bench.measure import CLOCKS, CPU, WALL, Rate, measure, one_core
from PIL import Image

from kenyan13.config.settings import Settings

NAMES = [peers.STUDY, peers.TORCHVISION, peers.TIMM, peers.OURS, peers.STUDY_DECODE, peers.BUILD]


def test_input_is_compared_at_every_crop(demo_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "new" / "bench.json"
    benchmark.training_input([f"data.root={demo_root}"], [32, 48], images=4, rounds=1, seconds=0, output=file)
    printed, written = capsys.readouterr().out, json.loads(file.read_text())
    assert [(row["name"], row["detail"]) for row in written["rates"]] == [(n, c) for c in ("32", "48") for n in NAMES]
    seconds = {(row["name"], row["detail"]): row["seconds"] for row in written["rates"]}
    assert min(seconds.values()) > 0
    for crop in ("32", "48"):
        assert written["ratios"][crop][peers.STUDY] == seconds[peers.STUDY, crop] / seconds[peers.OURS, crop]
        assert f"{written['ratios'][crop][peers.TIMM]:.1f} x" in printed
    assert (written["images"], written["rounds"]) == (4, 1)
    assert max(len(line) for line in printed.splitlines()) <= 80


def test_ratios_are_quotients_of_the_times() -> None:
    times = zip(NAMES, (40, 20, 30, 2, 10, 11), strict=True)
    rates = [Rate(name, "224", seconds, CPU, 1 / seconds) for name, seconds in times]
    assert peers.ratios(rates) == {
        "224": {peers.STUDY: 20, peers.TORCHVISION: 10, peers.TIMM: 15, peers.BUILD: 1.1},
    }


def test_large_images_are_1080_pixels_and_removed(demo_root: Path, compose: Callable[..., Settings]) -> None:
    with benchmark.large_images(compose().data, 3) as files:
        for file in files:
            with Image.open(file) as opened:
                assert (opened.format, min(opened.size)) == ("JPEG", 1080)
        assert [file.parent.name for file in files] == ["a", "b", "a"]
    assert not files[0].parents[2].exists()


def test_every_input_is_normalised_batches(compose: Callable[..., Settings], tmp_path: Path) -> None:
    """Without augmentation, all but timm's random crops show the same images."""
    files = [tmp_path / "a.png", tmp_path / "b.png"]
    for file, colour in zip(files, ("red", "navy"), strict=True):
        gradient = Image.radial_gradient("L").resize((50, 40)).convert("RGB")
        Image.blend(gradient, Image.new("RGB", (50, 40), colour), 0.5).save(file)
    augment = compose("augment=none").augment
    images = peers.stored(files, 32, tmp_path / "cache")
    inputs = [
        peers.ours(images, 32, augment), peers.study(files, 32, augment),
        peers.torchvision_v2(images, 32, augment), peers.timm(files, 32, augment),
    ]  # fmt: skip
    first, *others = (list(epoch()) for epoch in inputs)
    for made in (first, *others):
        assert [(batch.shape, batch.dtype) for batch in made] == [((2, 3, 32, 32), torch.float32)]
    for made in others[:2]:
        torch.testing.assert_close(made[0], first[0], rtol=0, atol=1e-4)
    lowest, highest = float(others[2][0].amin()), float(others[2][0].amax())
    assert -2.2 < lowest < highest < 2.7  # black and white, normalised
    assert highest - lowest > 0.5
    assert [job() for job in (peers.decode_all(files, 32), peers.build_store(files, 32))] == [2, 2]


@pytest.mark.slow
def test_whole_epochs_are_compared_with_those_of_a_plain_loop(
    demo_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(benchmark, "keep_freed_memory", lambda: None)  # it would last for all tests
    small = ["model=small_cnn", "model.crop=32", "model.batch_size=2", "trainer=cpu", f"data.root={demo_root}"]
    benchmark.epochs(small, images=6, rounds=1, output=tmp_path / "bench.json")
    written = json.loads((tmp_path / "bench.json").read_text())
    assert [row["name"] for row in written["rates"]] == [epochs.PLAIN, epochs.OURS]
    plain, ours = (row["seconds"] for row in written["rates"])
    assert written["ratio"] == plain / ours
    assert f"ratio: {plain / ours:.2f} x" in capsys.readouterr().out


def test_the_median_of_rounds_counts_and_the_first_one_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setitem(CLOCKS, WALL, lambda: clock[0])
    steps = iter([9.0, 2.0, 9.0, 3.0])

    def job() -> int:
        clock[0] += next(steps)
        return 2

    assert measure({("job", "here"): job}, 3, 0, WALL) == [Rate("job", "here", 1.5, WALL, 1 / 1.5)]


def test_jobs_take_turns_and_a_short_one_is_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, turns = [0.0], []
    monkeypatch.setitem(CLOCKS, CPU, lambda: clock[0])

    def job(name: str, seconds: float) -> int:
        turns.append(name)
        clock[0] += seconds
        return 1

    rates = measure({("a", ""): lambda: job("a", 4), ("b", ""): lambda: job("b", 1)}, 1, 2.5, CPU)
    assert turns == ["a", "b", "b", "b"] * 2
    assert [rate.seconds for rate in rates] == [4, 1]


def test_threads_are_one_only_while_measuring() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    with one_core():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 2
    torch.set_num_threads(before)
