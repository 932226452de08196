"""kenyan13 bench: every stage is measured, and what is said of them follows from the times."""

import json
import sys
from pathlib import Path

import pytest
import torch

from kenyan13 import cli
from kenyan13.training import bench
from kenyan13.training.bench import CPU, WALL, Rate, measure, one_core, verdict


def test_every_stage_is_measured(
    demo_root: Path, cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "new" / "bench.json"
    overrides = ["model=small_cnn", "model.crop=32", "trainer=cpu", f"data.root={demo_root}", f"data.cache={cache}"]
    monkeypatch.setattr(sys, "argv", ["kenyan13", "bench", "--quick", "--images", "4", *overrides, "-o", str(file)])
    monkeypatch.setattr("kenyan13.machine.keep_freed_memory", lambda: None)  # it would last for all tests
    with pytest.raises(SystemExit, match=r"^0$"):
        cli.main()
    printed, written = capsys.readouterr().out, json.loads(file.read_text())
    *rows, epoch = [(row["name"], row["detail"], row["clock"]) for row in written["rates"]]
    assert rows == [
        (bench.DECODE, "36 px", CPU), (bench.AUGMENTATION, "crop 32", CPU),
        (bench.LOADER, "0 workers", WALL), (bench.LOADER, "1 workers", WALL),
        (bench.STEP, "small_cnn, crop 32, cpu", WALL),
    ]  # fmt: skip
    assert epoch[0] == bench.EPOCH
    for row in written["rates"]:
        assert row["images_per_second"] == pytest.approx(1 / row["seconds"])
    assert (written["images"], written["rounds"], written["overrides"]) == (4, 1, overrides)
    assert written["versions"]["torch"] == torch.__version__.partition("+")[0]
    assert written["verdict"] in printed
    assert written["machine"] in printed
    assert max(len(line) for line in printed.splitlines()) <= 80


@pytest.mark.parametrize(("loader", "limit"), [(0.001, "The model limits"), (0.1, "The input limits")])
def test_the_slower_of_input_and_model_is_named(loader: float, limit: str) -> None:
    seconds = [(bench.LOADER, 2 * loader), (bench.LOADER, loader), (bench.STEP, 0.01), (bench.EPOCH, 0.0125)]
    told = verdict([Rate(name, "", each, WALL, 1 / each) for name, each in seconds])
    assert told.startswith(limit)
    assert "80% of the model's rate" in told
    assert ("10.0 x as many" in told) == (loader < 0.01)


def test_the_median_of_rounds_counts_and_the_first_one_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setitem(bench.CLOCKS, WALL, lambda: clock[0])
    steps = iter([9.0, 2.0, 9.0, 3.0])

    def job() -> int:
        clock[0] += next(steps)
        return 2

    assert measure({("job", "here"): job}, 3, 0, WALL) == [Rate("job", "here", 1.5, WALL, 1 / 1.5)]


def test_jobs_take_turns_and_a_short_one_is_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, turns = [0.0], []
    monkeypatch.setitem(bench.CLOCKS, CPU, lambda: clock[0])

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
