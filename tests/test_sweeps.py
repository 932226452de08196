"""Sweeps: what ranges and patterns stand for, and that one failed run does not stop the others."""

import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from filelock import FileLock
from hand_made import hand_made
from hydra.core.override_parser.overrides_parser import OverridesParser
from test_commands import TINY, assert_one_screen, call

from kenyan13.cli.sweep import make_plan, print_outcome, run_labels
from kenyan13.config.arguments import expand, translate
from kenyan13.config.compose import compose_settings
from kenyan13.config.settings import Settings
from kenyan13.errors import UserError
from kenyan13.runs.config_file import read_settings, write_config
from kenyan13.runs.locate import changed_settings, run_directory
from kenyan13.runs.result import Result, read_result, write_result
from kenyan13.study.definitions import experiments
from kenyan13.study.tables import list_groups


def values(override: str) -> list[Any]:
    """What Hydra makes of an override: a list of values for a sweep, else one value in a list."""
    parsed = OverridesParser.create().parse_override(translate([override], sweep=True)[0])
    return list(parsed.sweep_iterator()) if parsed.is_sweep_override() else [parsed.value()]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1e-6..1e-2", np.logspace(-6, -2, 17)),  # the study's
        ("1e-6..1e-2/8", np.logspace(-6, -2, 33)),
        ("0.1..10/1", [0.1, 1, 10]),
        ("1e-4..5e-4", np.geomspace(1e-4, 5e-4, 4)),  # 0.7 decades: three steps are nearest to four a decade
        ("1e-3..1.1e-3", [1e-3, 1.1e-3]),
        ("1..100/2", [1, 3, 10, 32, 100]),  # whole numbers, each once
        ("1..4/8", [1, 2, 3, 4]),
        ("1..12", range(1, 13)),  # without a number a decade: every whole number
        ("0..4", range(5)),
        ("1e0..1e2", [1, 10**0.25, 10**0.5, 10**0.75, 10, 10**1.25, 10**1.5, 10**1.75, 100]),
    ],
)
def test_ranges_have_both_ends_and_even_steps(text: str, expected: Sequence[float]) -> None:
    np.testing.assert_allclose(expand("optim.lr", text), expected, rtol=1e-5)
    assert isinstance(expand("optim.lr", text)[0], int) == text.startswith(("0..", "1.."))


def test_ranges_stand_in_lists_and_only_where_a_number_is_expected() -> None:
    assert values("optim.lr=1e-4..1e-3/1,3e-2") == [1e-4, 1e-3, 3e-2]
    assert values("optim.lr=choice(7e-5,1e-4..1e-3/1)") == [7e-5, 1e-4, 1e-3]
    assert values("data.root=../images..old") == ["../images..old"]
    assert values("name=a..b") == ["a..b"]
    assert values("seed=range(1,4)") == [1, 2, 3]
    assert values("optim.lr=3e-4") == [3e-4]
    assert values("data.fold=0..4") == [0, 1, 2, 3, 4]
    assert values("seed=1..3,42") == [1, 2, 3, 42]


NO_RANGES = ["1e-2..1e-6", "0..1/4", "1e-6..1e-2/0", "-1..1", "1..1", "4..0", "1..2e", "1e-6..1e-2/800", "0..3200"]


@pytest.mark.parametrize("text", NO_RANGES)
def test_what_is_no_range_is_said(text: str) -> None:
    with pytest.raises(UserError, match=f"optim.lr={text} (is not a range of numbers|stands for 3,201 values)"):
        compose_settings([f"optim.lr={text}"])


@pytest.mark.parametrize("override", ["optim.lr=1e-6..1e-2", "model=vgg*", "freeze=pt0,pt2"])
def test_one_run_is_not_given_several_values(override: str) -> None:
    with pytest.raises(UserError) as caught:
        compose_settings([override])
    assert f"add -m to train one run a value: python train.py -m {shlex.quote(override)}" in str(caught.value)


def test_mistakes_in_sweeps_end_with_code_2_before_anything_runs(tmp_path: Path) -> None:
    done = call("-m", "model=x*,vgg*", "freeze=pt0,pt5", f"runs={tmp_path}/runs", cwd=tmp_path)
    assert_one_screen(done, "No model= is called 'x*'")
    assert not list(tmp_path.iterdir())


def test_a_sweep_goes_on_after_failures_and_lists_them(demo_root: Path, cache: Path, tmp_path: Path) -> None:
    """A range, a pattern and a list; a crop that the network cannot take fails when it comes to it."""
    common = [*TINY, f"data.root={demo_root}", f"data.cache={cache}", f"runs={tmp_path}/runs", "trainer.max_epochs=1"]
    sweep = ["-m", *common, "model.crop=8,32", "optim.lr=1e-4..1e-3/1", "augment=enh*"]
    done = call(*sweep, cwd=tmp_path)
    assert_one_screen(done, "2 of 4 runs failed")
    assert done.stdout.startswith("4 runs: 4 to do")
    for rate in ("0.0001", "0.001"):
        assert f"model.crop=8 optim.lr={rate}: small_cnn cannot take images of model.crop=8" in done.stderr
        assert "\n     its own size is model.crop=224\n" in done.stderr
    assert "1 to do: about" in done.stdout, "failed ones are done"
    finished = sorted(file.parent for file in (tmp_path / "runs").glob("*/result.json"))
    rates = [pd.read_csv(folder / "metrics.csv")["lr"][0] for folder in finished]
    assert len(rates) == 2
    assert max(rates) == pytest.approx(10 * min(rates))
    assert not (tmp_path / "runs" / "multirun.yaml").exists()
    table = done.stdout[done.stdout.rindex("  run  ") :].splitlines()[1:5]
    assert sorted(line[3:].partition("  ")[0] for line in table) == [
        f"model.crop={crop} optim.lr={rate}" for crop in (32, 8) for rate in ("0.0001", "0.001")
    ]
    assert sum(line.endswith("  failed") for line in table) == 2
    best = min(finished, key=lambda folder: read_result(folder).min_val_loss)  # type: ignore[union-attr]
    rate = read_settings(best).optim["lr"]
    assert [line.split()[2] for line in table if line.startswith("*")] == [f"optim.lr={rate}"]
    printed = [line for line in done.stdout.partition("Next:")[0].splitlines() if str(tmp_path.parent) not in line]
    assert max(map(len, printed)) <= 80


def plan(root: Path, *overrides: str) -> dict[str, str]:
    """Name -> intent of sweeps over these single overrides, in the folder of runs `root`."""
    jobs = [([word], compose_settings([word, f"runs={root}"]), None) for word in overrides]
    return {one.folder.name: one.intent for one in make_plan(jobs)}


def test_a_plan_says_what_is_done_already(tmp_path: Path) -> None:
    words = [f"experiment=CA{letter}" for letter in "ABC"]
    for id_, done in (("CAA", True), ("CAB", False)):
        settings = compose_settings([f"experiment={id_}", f"runs={tmp_path}"])
        run_directory(settings).mkdir()
        write_config(run_directory(settings), settings, {"classes": ["a", "b"]})
        if done:
            write_result(run_directory(settings), Result(min_val_loss=1.0, accuracy=0.5, validation_images=2))
    intents = list(plan(tmp_path, *words).values())
    assert intents == ["finished before", "goes on where it stopped", "to do"]
    folder = run_directory(compose_settings([words[1], f"runs={tmp_path}"]))
    (folder / "failed.txt").write_text("no memory")
    assert plan(tmp_path, words[1])[folder.name] == "failed before: tried again"
    with FileLock(folder / ".lock"):
        assert plan(tmp_path, words[1])[folder.name] == "running elsewhere"


def test_one_name_for_several_runs_is_refused(tmp_path: Path) -> None:
    jobs: list[tuple[list[str], Settings, None]] = [
        ([], compose_settings([f"runs={tmp_path}", "name=mine", f"optim.lr={rate}"]), None) for rate in (1, 2)
    ]
    with pytest.raises(UserError, match="Several runs of this sweep would be called mine"):
        make_plan(jobs)


@pytest.mark.slow
def test_two_processes_share_a_sweep(demo_root: Path, cache: Path, tmp_path: Path) -> None:
    """The first run is taken: it is left to the other process, and is no failure."""
    common = [*TINY, f"data.root={demo_root}", f"data.cache={cache}", f"runs={tmp_path}/runs", "trainer.max_epochs=1"]
    taken = run_directory(compose_settings([*common, "seed=1"]))
    taken.mkdir(parents=True)
    with FileLock(taken / ".lock"):
        done = call("-m", *common, "seed=1,2", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [file.parent.name for file in (tmp_path / "runs").glob("*/result.json")] != [taken.name]
    again = call("-m", *common, "seed=1,2", cwd=tmp_path)
    assert "2 runs: 1 to do, 1 finished before" in again.stdout
    assert len(list((tmp_path / "runs").glob("*/result.json"))) == 2


def test_a_finished_run_of_other_groups_is_another_run(tmp_path: Path) -> None:
    """Groups are names of their own choice: one that is gone is a difference too."""
    both, one = (f"data.groups={{greens:[sukumawiki,ugali]{more}}}" for more in (",meats:[pilau,bhaji]", ""))
    before, now = (
        compose_settings([groups, "data.stage=first", "name=first", f"runs={tmp_path}"]) for groups in (both, one)
    )
    folder = run_directory(now)
    folder.mkdir()
    write_config(folder, before, {"classes": ["a", "b"]})
    assert changed_settings(folder, before) == []
    assert changed_settings(folder, now) == ["data.groups.meats=['pilau', 'bhaji'] there, None now"]
    (folder / "result.json").write_text("{}")
    assert [one.intent for one in make_plan([([], now, None)])] == ["to do"]


def test_runs_are_named_by_what_differs_and_the_best_one_is_marked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    jobs = []
    for rate, loss in (("1e-3", 0.9), ("1e-4", 0.5), ("1e-5", 0.7)):
        given = ["name=null", f"runs={tmp_path}/my runs", f"optim.lr={rate}"]
        folder = hand_made(tmp_path / "my runs", [f"optim.lr={rate}"], [1.0], [loss], [0, 1], [[0.9, 0.1], [0.2, 0.8]])
        jobs.append((given, replace(compose_settings(given[2:]), runs=f"{tmp_path}/my runs"), None))
        assert run_directory(jobs[-1][1]) == folder
    planned = make_plan(jobs)
    assert run_labels(planned) == ["optim.lr=1e-3", "optim.lr=1e-4", "optim.lr=1e-5"]
    of_study = make_plan([(["experiment=CBC", "seed=1"], jobs[0][1], experiments()["CBC"])])
    assert run_labels(of_study) == ["CBC_EfficientNetB4_PT5"]
    print_outcome(planned, [])
    printed = capsys.readouterr().out
    (best,) = [line for line in printed.splitlines() if line.startswith("*  ")]
    assert best.split() == ["*", "optim.lr=1e-4", "0.5000", "100.00%", "1.000", "1", "0:02"]
    commands = printed.partition("Next:\n")[2].replace("\\\n", "")
    assert shlex.split(commands.splitlines()[0]) == ["kenyan13", "report", f"{tmp_path}/my runs"]
    assert shlex.split(commands)[3:5] == ["kenyan13", "compare"]


def test_damaged_runs_cost_the_others_nothing(tmp_path: Path) -> None:
    for id_, file in (("CAA", "result.json"), ("CAB", "config.yaml")):
        settings = compose_settings([f"experiment={id_}", f"runs={tmp_path}"])
        folder = run_directory(settings)
        folder.mkdir()
        write_config(folder, settings, {"classes": ["a", "b"]})
        write_result(folder, Result(min_val_loss=1.0, accuracy=0.5, validation_images=2))
        (folder / file).write_text("{")
    assert list(plan(tmp_path, "experiment=CAA", "experiment=CAB", "experiment=CAC").values()) == ["to do"] * 3
    (listed,) = list_groups("CAB", tmp_path)
    assert listed.splitlines()[3].endswith("unreadable")
