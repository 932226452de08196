"""`kenyan13 lr-find` as a user types it, and that layers keep their shares of a rate that rises."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from test_commands import TINY, Command, assert_one_screen

from kenyan13.config.compose import compose_settings
from kenyan13.training import rates
from kenyan13.training.rates import HIGHEST, LOWEST, RangeTest, find_rate


@pytest.fixture
def places(demo_root: Path, cache: Path) -> list[str]:
    return [f"data.root={demo_root}", f"data.cache={cache}", "balance=none"]


def test_a_rate_is_suggested_and_nothing_else_is_left(
    kenyan13: Command, places: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    made = []
    for folder in ("one", "two"):
        done = kenyan13("lr-find", *TINY, *places, "optim.lr=0.5", "--steps", "60", "-o", folder)
        assert done.returncode == 0, done.stderr
        made.append({file.suffix: file for file in (tmp_path / folder).iterdir()})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"], "no run directory, no checkpoint"
    assert set(made[0]) == {".csv", ".png", ".svg"}
    assert made[0][".csv"].read_bytes() == made[1][".csv"].read_bytes(), "decided by the seed"
    table = pd.read_csv(made[0][".csv"])
    assert list(table.columns) == ["rate", "loss", "smoothed"]
    ratio = (HIGHEST / LOWEST) ** (1 / 60)
    assert 40 <= len(table) <= 60, "until the loss has risen fourfold"
    assert table["rate"].to_numpy() == pytest.approx(LOWEST * ratio ** np.r_[0, 2 : len(table) + 1], rel=1e-6)
    suggested = float(re.findall(r"Suggested: optim\.lr=(\S+)", done.stdout)[0])
    assert LOWEST <= suggested <= HIGHEST / 10
    assert f"optim.lr={suggested:.1e}" in done.stdout.splitlines()[-1]
    assert "optim.lr=0.5" not in done.stdout
    assert max(len(line) for line in done.stdout.splitlines() if str(tmp_path) not in line) <= 80


def test_layers_keep_their_shares(places: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[list[float]] = []

    class Watched(RangeTest):
        def configure_optimizers(self) -> torch.optim.Optimizer:
            optimizer = super().configure_optimizers()
            optimizer.register_step_pre_hook(lambda *_: taken.append([one["lr"] for one in optimizer.param_groups]))
            return optimizer

    monkeypatch.setattr(rates, "RangeTest", Watched)
    chosen = ["model.backbone=test_vit", "model.pretrained=false", "optim=timm", "optim.layer_decay=0.5"]
    table, _ = find_rate(compose_settings([*TINY, *places, *chosen, "head=linear"]), 20)
    shares = np.array(taken) / table["rate"].to_numpy()[:, None]
    assert shares == pytest.approx(np.broadcast_to(shares[0], shares.shape), rel=1e-6)
    assert set(np.round(np.log2(shares[0]), 6)) == {-7.0, -6.0, -5.0, -4.0, -3.0, -2.0, -1.0, 0.0}


def test_mistakes_are_said_on_one_screen(
    kenyan13: Command, places: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert_one_screen(kenyan13("lr-find", "modl=resnet18"), "There is no setting 'modl'")
    monkeypatch.setattr(rates, "LOWEST", 1e3)
    monkeypatch.setattr(rates, "HIGHEST", 1e6)
    done = kenyan13("lr-find", *TINY, *places, "optim=sgd", "--steps", "20")
    assert_one_screen(done, "The loss ")
    assert list(tmp_path.iterdir()) == []
