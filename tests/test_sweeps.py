"""Sweeps: what ranges and patterns stand for, and that one failed run does not stop the others."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from test_commands import TINY, assert_one_screen, call

from kenyan13.configuration import CONF, compose_settings
from kenyan13.errors import UserError
from kenyan13.overrides import teach_hydra
from kenyan13.ranges import expand


def values(override: str) -> list[Any]:
    """What Hydra makes of an override: a list of values for a sweep, else one value in a list."""
    parsed = OverridesParser.create().parse_override(override)
    return list(parsed.sweep_iterator()) if parsed.is_sweep_override() else [parsed.value()]


def test_the_studys_seventeen_rates() -> None:
    rates = expand("optim.lr", "1e-6..1e-2")
    assert len(rates) == 17
    np.testing.assert_allclose(rates, np.logspace(-6, -2, 17), rtol=1e-5)
    assert [str(rate) for rate in rates[:5]] == ["1e-06", "1.77828e-06", "3.16228e-06", "5.62341e-06", "1e-05"]
    assert rates[-1] == 0.01


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1e-6..1e-2/8", np.logspace(-6, -2, 33)),
        ("0.1..10/1", [0.1, 1, 10]),
        ("1e-4..5e-4", np.geomspace(1e-4, 5e-4, 4)),  # 0.7 decades: three steps are nearest to four a decade
        ("1e-3..1.1e-3", [1e-3, 1.1e-3]),
    ],
)
def test_other_ranges_have_both_ends_and_even_steps(text: str, expected: list[float]) -> None:
    np.testing.assert_allclose(expand("optim.lr", text), expected, rtol=1e-5)


def test_whole_numbers_come_once_each() -> None:
    assert expand("trainer.max_epochs", "1..100/2") == [1, 3, 10, 32, 100]
    assert expand("model.batch_size", "1..4/8") == [1, 2, 3, 4]


def test_ranges_stand_in_lists_and_only_where_a_number_is_expected() -> None:
    assert values("optim.lr=1e-4..1e-3/1,3e-2") == [1e-4, 1e-3, 3e-2]
    assert values("optim.lr=choice(7e-5,1e-4..1e-3/1)") == [7e-5, 1e-4, 1e-3]
    assert values("data.root=../pictures..old") == ["../pictures..old"]
    assert values("name=a..b") == ["a..b"]
    assert values("seed=range(1,4)") == [1, 2, 3]
    assert values("optim.lr=3e-4") == [3e-4]


def test_teaching_hydra_twice_changes_nothing() -> None:
    before = OverridesParser.parse_rule
    teach_hydra(CONF)
    assert OverridesParser.parse_rule is before


@pytest.mark.parametrize("text", ["1e-2..1e-6", "0..1", "a..b", "1e-6..1e-2/0", "-1..1", "1..1", "1..", "1..inf"])
def test_what_is_no_range_is_said(text: str) -> None:
    with pytest.raises(UserError, match=r"is not a range of numbers") as caught:
        compose_settings([f"optim.lr={text}"])
    assert f"optim.lr={text}" in str(caught.value)
    assert "optim.lr=1e-6..1e-2" in str(caught.value)


def test_a_range_of_too_many_values_is_refused() -> None:
    with pytest.raises(UserError, match=r"stands for 3,201 values"):
        compose_settings(["optim.lr=1e-6..1e-2/800"])


@pytest.mark.parametrize("override", ["optim.lr=1e-6..1e-2", "model=vgg*", "freeze=pt0,pt2"])
def test_one_run_is_not_given_several_values(override: str) -> None:
    with pytest.raises(UserError) as caught:
        compose_settings([override])
    assert f"add -m to train one run a value: python train.py -m {override}" in str(caught.value)


@pytest.mark.parametrize(
    ("override", "part"),
    [
        ("optim.lr=1e-2..1e-6", "optim.lr=1e-2..1e-6 is not a range of numbers"),
        ("model=x*,vgg*", "No model= is called 'x*'"),
    ],
)
def test_mistakes_in_sweeps_end_with_code_2_before_anything_runs(tmp_path: Path, override: str, part: str) -> None:
    assert_one_screen(call("-m", override, "freeze=pt0,pt5", f"runs={tmp_path}/runs", cwd=tmp_path), part)
    assert not list(tmp_path.iterdir())


def test_a_sweep_goes_on_after_failures_and_lists_them(demo_root: Path, cache: Path, tmp_path: Path) -> None:
    """A range, a pattern and a list; no device at all fails each time."""
    common = [*TINY, f"data.root={demo_root}", f"data.cache={cache}", f"runs={tmp_path}/runs", "trainer.max_epochs=1"]
    done = call("-m", *common, "trainer.devices=0,1", "optim.lr=1e-4..1e-3/1", "augment=enh*", cwd=tmp_path)
    assert_one_screen(done, "2 of 4 runs failed")
    for rate in ("0.0001", "0.001"):
        assert f"trainer.devices=0 optim.lr={rate}: trainer.devices=0 leaves nothing to train on." in done.stderr
    finished = sorted(file.parent for file in (tmp_path / "runs").glob("*/result.json"))
    rates = [pd.read_csv(folder / "metrics.csv")["lr"][0] for folder in finished]
    assert len(rates) == 2
    assert max(rates) == pytest.approx(10 * min(rates))
    assert not (tmp_path / "runs" / "multirun.yaml").exists()
