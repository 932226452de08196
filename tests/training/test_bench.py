"""kenyan13 bench: every stage is measured, and the verdict follows from the rates."""

import sys
from pathlib import Path

import pytest

from kenyan13 import cli
from kenyan13.training import bench
from kenyan13.training.bench import Rate, verdict


def test_every_stage_is_measured(
    demo_root: Path, cache: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    overrides = ["model=small_cnn", "model.crop=32", "trainer=cpu", f"data.root={demo_root}", f"data.cache={cache}"]
    monkeypatch.setattr(sys, "argv", ["kenyan13", "bench", "model.batch_size=16", "data.workers=0", *overrides])
    monkeypatch.setattr("kenyan13.machine.keep_freed_memory", lambda: None)  # it would last for all tests
    with pytest.raises(SystemExit, match=r"^0$"):
        cli.main()
    lines = capsys.readouterr().out.splitlines()
    stages = (bench.DECODE, bench.AUGMENTATION, bench.LOADER, bench.STEP, bench.EPOCH)
    assert [line.startswith(stage) for line, stage in zip(lines[1:], stages, strict=False)] == [True] * 5
    assert lines[6].startswith(("The model limits", "The input limits"))
    assert max(len(line) for line in lines) <= 80


@pytest.mark.parametrize(("loader", "limit"), [(1000, "The model limits"), (10, "The input limits")])
def test_the_slower_of_input_and_model_is_named(loader: float, limit: str) -> None:
    text = verdict([Rate(bench.LOADER, "", loader), Rate(bench.STEP, "", 100), Rate(bench.EPOCH, "", 80)])
    assert text.startswith(limit)
    assert "80% of the model's rate" in text
    assert ("10.0 x as many" in text) == (loader > 100)
