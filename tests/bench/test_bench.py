"""kenyan13 bench: every stage and every road is measured, and what is said of them follows from the times."""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from kenyan13 import cli
from kenyan13.bench import epochs, peers, report, stages
from kenyan13.bench.images import large_images, stored
from kenyan13.bench.timing import CPU, WALL, Effort, Figure, measure, one_core
from kenyan13.config.settings import Settings

ROADS = [peers.STUDY, peers.TORCHVISION, peers.TIMM, peers.OURS, peers.STUDY_DECODE, peers.BUILD]


@pytest.fixture
def bench(
    demo_root: Path,
    cache: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., tuple[str, dict[str, object]]]:
    """Run `kenyan13 bench --quick` on the demo's images; returns what it prints and what it writes."""

    def run(*arguments: str) -> tuple[str, dict[str, object]]:
        file = tmp_path / "figures" / "bench.json"
        places = [f"data.root={demo_root}", f"data.cache={cache}", "--output", str(file)]
        monkeypatch.setattr(sys, "argv", ["kenyan13", "bench", "--quick", "--images", "4", *arguments, *places])
        monkeypatch.setattr("kenyan13.machine.keep_freed_memory", lambda: None)  # it would last for all tests
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert not ended.value.code
        return capsys.readouterr().out, json.loads(file.read_text())

    return run


def figure(name: str, detail: str, seconds: float) -> Figure:
    return Figure(name, detail, seconds, CPU)


def test_peers_are_compared_at_every_crop(bench: Callable[..., tuple[str, dict[str, object]]]) -> None:
    printed, written = bench("--peers", "--crop", "32", "--crop", "48")
    assert [(row["name"], row["detail"]) for row in written["figures"]] == [  # type: ignore[attr-defined]
        (road, crop) for crop in ("32", "48") for road in ROADS
    ]
    seconds = {(row["name"], row["detail"]): row["seconds"] for row in written["figures"]}  # type: ignore[attr-defined]
    assert min(seconds.values()) > 0
    assert {row["clock"] for row in written["figures"]} == {CPU}  # type: ignore[attr-defined]
    for crop in ("32", "48"):
        found = written["ratios"][crop]  # type: ignore[index]
        for road in (peers.STUDY, peers.TORCHVISION, peers.TIMM):
            assert found[road] == pytest.approx(seconds[road, crop] / seconds[peers.OURS, crop])
            assert f"{found[road]:.1f} x" in printed
        assert found[peers.BUILD] == pytest.approx(seconds[peers.BUILD, crop] / seconds[peers.STUDY_DECODE, crop])
    assert (written["images"], written["rounds"]) == (4, 1)
    assert written["versions"]["timm"] in printed  # type: ignore[index]
    assert report.machine() in printed


def test_every_stage_is_measured(bench: Callable[..., tuple[str, dict[str, object]]]) -> None:
    printed, written = bench("--crop", "32", "model=small_cnn", "model.crop=32", "model.batch_size=16", "trainer=cpu")
    rows = [(row["name"], row["detail"], row["clock"]) for row in written["figures"]]  # type: ignore[attr-defined]
    assert rows[:9] == [
        (stages.DECODE, "36 px", CPU), (stages.BUILD, "36 px", CPU),
        *((stages.SAMPLER, f"{times} x the ids, crop 32", CPU) for times in (1, 10, 100)),
        *((stages.AUGMENTATION, f"{preset}, crop 32", CPU) for preset in ("none", "default", "enhanced", "untuned")),
    ]  # fmt: skip
    assert rows[9:11] == [(stages.LOADER, "0 workers", WALL), (stages.LOADER, "1 workers", WALL)]
    assert rows[11] == (stages.STEP, "small_cnn, crop 32, cpu", WALL)
    assert rows[12][0] == stages.EPOCH
    for row in written["figures"]:  # type: ignore[attr-defined]
        assert row["images_per_second"] == pytest.approx(1 / row["seconds"])
    assert str(written["verdict"]) in printed


@pytest.mark.parametrize(("loader", "limit"), [(0.001, "The model limits"), (0.1, "The input limits")])
def test_the_slower_of_input_and_model_is_named(loader: float, limit: str) -> None:
    figures = [
        figure(stages.LOADER, "0 workers", 2 * loader), figure(stages.LOADER, "1 workers", loader),
        figure(stages.STEP, "", 0.01), figure(stages.EPOCH, "", 0.0125),
    ]  # fmt: skip
    said = stages.verdict(figures)
    assert said.startswith(limit)
    assert "80% of the model's rate" in said
    assert ("10.0 x as many" in said) == (loader < 0.01)


def test_ratios_are_quotients_of_the_times() -> None:
    figures = [figure(road, "224", seconds) for road, seconds in zip(ROADS, (40, 20, 30, 2, 10, 11), strict=True)]
    assert peers.ratios(figures) == {
        "224": {peers.STUDY: 20, peers.TORCHVISION: 10, peers.TIMM: 15, peers.BUILD: 1.1},
    }


def test_the_median_of_rounds_counts_and_the_first_one_does_not() -> None:
    pauses = iter([0.2, 0.02, 0.2, 0.03])

    def job() -> int:
        time.sleep(next(pauses))
        return 2

    [found] = measure({("job", "here"): job}, Effort(3, 0), WALL)
    assert found == Figure("job", "here", pytest.approx(0.015, abs=0.01), WALL)  # type: ignore[arg-type]


def test_jobs_take_turns() -> None:
    turns: list[str] = []

    def job(name: str) -> int:
        turns.append(name)
        return 1

    measure({("a", ""): lambda: job("a"), ("b", ""): lambda: job("b")}, Effort(2, 0), CPU)
    assert turns == ["a", "b"] * 3


def test_a_short_job_is_repeated() -> None:
    done: list[float] = []

    def job() -> int:
        time.sleep(0.01)
        done.append(time.perf_counter())
        return 1

    [found] = measure({("job", ""): job}, Effort(1, 0.1), WALL)
    assert len(done) >= 4
    assert done[-1] - done[0] > 0.1
    assert 0.01 <= found.seconds < 0.1


def test_threads_are_one_only_while_measuring() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    with one_core():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 2
    torch.set_num_threads(before)


def test_large_images_are_1080_pixels_and_removed(tmp_path: Path) -> None:
    Image.new("RGB", (60, 90), "red").save(tmp_path / "a.png")
    with large_images([tmp_path / "a.png"]) as [file], Image.open(file) as opened:
        assert (opened.format, opened.size) == ("JPEG", (1080, 1620))
    assert not file.parent.exists()


def test_every_road_makes_normalised_batches(compose: Callable[..., Settings], tmp_path: Path) -> None:
    """Without augmentation, all but timm's random crops show the same images."""
    files = [tmp_path / "a.png", tmp_path / "b.png"]
    for file, colour in zip(files, ("red", "navy"), strict=True):
        Image.radial_gradient("L").resize((50, 40)).convert("RGB").save(file)
        Image.blend(Image.open(file), Image.new("RGB", (50, 40), colour), 0.5).save(file)
    augment = compose("augment=none").augment
    images = stored(files, 32, tmp_path / "cache")
    roads = [
        peers.ours(images, 32, augment), peers.study(files, 32, augment),
        peers.torchvision_v2(images, 32, augment), peers.timm(files, 32, augment),
    ]  # fmt: skip
    first, *others = (list(road()) for road in roads)
    for made in (first, *others):
        assert [(batch.shape, batch.dtype) for batch in made] == [((2, 3, 32, 32), torch.float32)]
    for made in others[:2]:
        torch.testing.assert_close(made[0], first[0], rtol=0, atol=1e-4)
    lowest, highest = float(others[2][0].amin()), float(others[2][0].amax())
    assert -2.2 < lowest < highest < 2.7  # black and white, normalised
    assert highest - lowest > 0.5
    assert [job() for job in (peers.decode_all(files, 32), peers.build_store(files, 32))] == [2, 2]


def test_columns_are_aligned_and_numbers_to_the_right() -> None:
    assert report.table(["stage", "rate"], [["a", "5"], ["longer", "1,000"]]) == (
        "stage    rate\na           5\nlonger  1,000"
    )


@pytest.mark.slow
def test_whole_epochs_are_compared_with_a_plain_loops(bench: Callable[..., tuple[str, dict[str, object]]]) -> None:
    small = ["model=small_cnn", "model.crop=32", "model.batch_size=8", "trainer=cpu"]
    printed, written = bench("--epochs", *small)
    names = [row["name"] for row in written["figures"]]  # type: ignore[attr-defined]
    assert names == [epochs.PLAIN, epochs.OURS]
    seconds = [row["seconds"] for row in written["figures"]]  # type: ignore[attr-defined]
    assert written["ratio"] == pytest.approx(seconds[0] / seconds[1])
    assert f"ratio: {written['ratio']:.2f} x" in printed
