"""scripts/benchmark.py stages: every stage is measured, and the verdict follows from the rates."""

from pathlib import Path

import benchmark
import pytest
from bench import stages
from bench.stages import Rate, verdict


def test_every_stage_is_measured(
    demo_root: Path, cache: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(benchmark, "keep_freed_memory", lambda: None)  # it would last for all tests
    overrides = ["model=small_cnn", "model.crop=32", "trainer=cpu", f"data.root={demo_root}", f"data.cache={cache}"]
    benchmark.stages(["model.batch_size=16", "data.workers=0", *overrides], seconds=0.01)
    lines = capsys.readouterr().out.splitlines()
    names = (stages.DECODE, stages.AUGMENTATION, stages.LOADER, stages.STEP, stages.EPOCH)
    assert [line.startswith(name) for line, name in zip(lines[1:], names, strict=False)] == [True] * 5
    assert lines[6].startswith(("The model limits", "The input limits"))
    assert max(len(line) for line in lines) <= 80


@pytest.mark.parametrize(("loader", "limit"), [(1000, "The model limits"), (10, "The input limits")])
def test_the_slower_of_input_and_model_is_named(loader: float, limit: str) -> None:
    text = verdict([Rate(stages.LOADER, "", loader), Rate(stages.STEP, "", 100), Rate(stages.EPOCH, "", 80)])
    assert text.startswith(limit)
    assert "80% of the model's rate" in text
    assert ("10.0 x as many" in text) == (loader > 100)
