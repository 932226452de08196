"""trainer.precision=auto on a CPU with AMX, of which this test knows only stand-ins: its flag, and measured times."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor, nn

from kenyan13 import machine
from kenyan13.config.settings import Settings
from kenyan13.model.backbones import build
from kenyan13.runs.directory import CONFIG, LAST
from kenyan13.runs.locate import run_directory
from kenyan13.runs.result import read_result
from kenyan13.training import trainer
from kenyan13.training.inference import open_run
from kenyan13.training.run import train
from kenyan13.training.trainer import FLOAT, MIXED, run_precision, seconds_a_step

Compose = Callable[..., Settings]


class Stand:
    """A machine with AMX, or without, on which steps take given seconds; counts the measurements."""

    amx, name, measured = True, "Xeon", 0

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {FLOAT: 2.6, MIXED: 2.0}

    def processor(self) -> tuple[str, set[str]]:
        return self.name, {"avx512f", "amx_bf16"} if self.amx else {"avx512f"}

    def measure(self, network: nn.Module, images: Tensor, name: str) -> float:
        self.measured += 1
        network.train()(images)
        return self.seconds[name]


@pytest.fixture
def stand(monkeypatch: pytest.MonkeyPatch) -> Stand:
    stand = Stand()
    monkeypatch.setattr(machine, "processor", stand.processor)
    monkeypatch.setattr(trainer, "seconds_a_step", stand.measure)
    return stand


@pytest.fixture
def settings(compose: Compose, tmp_path: Path) -> Callable[..., Settings]:
    """Settings with a cache of their own, in which nothing has been measured."""
    return lambda *overrides: compose(f"data.cache={tmp_path}/cache/images", *overrides)


def chosen(settings: Settings, folder: Path) -> str:
    return run_precision(settings, folder, build(settings.model, 13, pretrained=False))


@pytest.mark.parametrize(("ratio", "expected"), [(1.3, MIXED), (1.29, FLOAT), (0.5, FLOAT), (4, MIXED)])
def test_bfloat16_must_be_clearly_faster(
    stand: Stand, settings: Compose, tmp_path: Path, ratio: float, expected: str
) -> None:
    stand.seconds = {FLOAT: ratio, MIXED: 1.0}
    assert chosen(settings(), tmp_path / "run") == expected
    assert stand.measured == 2


@pytest.mark.parametrize(
    ("overrides", "amx", "expected"),
    [
        ([], False, FLOAT), (["experiment=CBC"], True, FLOAT), (["trainer.devices=2"], True, FLOAT),
        (["trainer.precision=64-true"], True, "64-true"),
    ],
)  # fmt: skip
def test_nothing_is_measured_where_nothing_is_to_be_chosen(
    stand: Stand, settings: Compose, tmp_path: Path, overrides: list[str], amx: bool, expected: str
) -> None:
    stand.amx = amx
    made = settings(*(word for word in overrides if not word.startswith("experiment=")))
    made.experiment = "CBC" if "experiment=CBC" in overrides else None
    assert chosen(made, tmp_path / "run") == expected
    assert stand.measured == 0


def test_times_are_remembered_by_machine_and_shape(stand: Stand, settings: Compose, tmp_path: Path) -> None:
    for _ in range(2):
        assert chosen(settings("model.pretrained=false"), tmp_path / "run") == MIXED
    assert stand.measured == 2
    assert chosen(settings("model.batch_size=8"), tmp_path / "run") == MIXED
    stand.name, stand.seconds = "Other", {FLOAT: 1, MIXED: 1}
    assert chosen(settings(), tmp_path / "run") == FLOAT
    assert stand.measured == 6
    files = list((tmp_path / "cache" / "arithmetic").glob("*.npz"))
    assert len(files) == 3
    for file in files:
        file.write_text("{")
    assert chosen(settings(), tmp_path / "run") == FLOAT
    assert stand.measured == 8, "a damaged file counts for nothing"


def test_measuring_leaves_network_and_random_numbers_alone(stand: Stand, settings: Compose, tmp_path: Path) -> None:
    made = settings()
    network = build(made.model, 13, pretrained=False).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    run_precision(made, tmp_path / "run", network)
    assert torch.equal(torch.rand(3), expected)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(value.grad is None for value in network.parameters())


def test_a_step_is_timed(settings: Compose) -> None:
    network = build(settings().model, 13, pretrained=False)
    for name in (FLOAT, MIXED):
        assert 0 < seconds_a_step(network, torch.zeros(2, 3, 32, 32), name) < 5


def test_a_run_keeps_its_arithmetic(stand: Stand, settings: Compose) -> None:
    made = settings()
    folder = run_directory(made)
    train(made)
    result = read_result(folder)
    assert result is not None
    assert result.precision == MIXED
    config = yaml.safe_load((folder / CONFIG).read_text())
    assert (config["precision"], config["settings"]["trainer"]["precision"]) == (MIXED, "auto")
    assert run_directory(settings("trainer.precision=bf16-mixed")) != folder
    stand.amx = False  # moved to another machine
    metrics = open_run(folder).evaluate().metrics
    assert metrics["loss"] == pytest.approx(result.min_val_loss, abs=1e-6), "computed as in training"
    for file in ("result.json", "checkpoints/last.ckpt"):  # and begun again there
        (folder / file).unlink()
    train(made)
    again = read_result(folder)
    assert again is not None
    assert (again.precision, again.min_val_loss) == (MIXED, result.min_val_loss)


@pytest.mark.parametrize("recorded", [None, "fast", ["bf16-mixed"], "64-true"])
def test_a_run_of_an_earlier_version_goes_on_in_float32(
    stand: Stand, settings: Compose, recorded: Any, tmp_path: Path
) -> None:
    made = settings("trainer.max_epochs=1")
    stand.amx = False
    train(made)
    folder, stand.amx = run_directory(made), True
    config = yaml.safe_load((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(yaml.safe_dump({**config, "precision": recorded}))
    assert (folder / LAST).exists()
    assert chosen(made, folder) == FLOAT
    assert stand.measured == 0
