"""Whatever file of a run directory, store or cache is torn, empty, flipped or foreign: named, and mended if it can be.

One run is trained; each case gets a copy of it. Commands run in this process, and are judged by what they print and by
their exit code.
"""

import errno
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from damages import DAMAGES, Damage, cut, garbage
from hand_made import answering

from kenyan13.config.settings import Settings
from kenyan13.errors import MachineError, UserError
from kenyan13.runs import directory
from kenyan13.runs.directory import State, checkpoint_problem, read_state
from kenyan13.training.inference import open_run
from kenyan13.training.run import train

Command = Callable[..., subprocess.CompletedProcess[str]]


def rows_of(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "metrics.csv").drop(columns="seconds")


def removed(file: Path) -> None:
    file.unlink()


def other_network(file: Path) -> None:
    checkpoint = torch.load(file, weights_only=True)
    checkpoint["state_dict"] = {name: value[:1] for name, value in checkpoint["state_dict"].items() if value.ndim}
    torch.save(checkpoint, file)


def no_checkpoint(file: Path) -> None:
    torch.save({"something": 1}, file)


def weights_alone(file: Path) -> None:
    shutil.copy(file.with_name("best.ckpt"), file)


UNFINISHED = [
    *(pytest.param("checkpoints/last.ckpt", damage, id=f"last-{name}") for name, damage in DAMAGES.items()),
    pytest.param("checkpoints/last.ckpt", other_network, id="last-other-network"),
    pytest.param("checkpoints/last.ckpt", no_checkpoint, id="last-no-checkpoint"),
    pytest.param("checkpoints/last.ckpt", weights_alone, id="last-weights-alone"),
    *(pytest.param("checkpoints/best.ckpt", damage, id=f"best-{name}") for name, damage in DAMAGES.items()),
    pytest.param("checkpoints/best.ckpt", removed, id="best-removed"),
    *(pytest.param("predictions.csv", DAMAGES[name], id=f"predictions-{name}") for name in ("torn", "empty")),
    pytest.param("predictions.csv", removed, id="predictions-removed"),
]


@pytest.mark.parametrize(("file", "damage"), UNFINISHED)
def test_a_run_begins_again_where_it_cannot_go_on(
    run: Callable[[str], Path], trained: dict[str, Path], settings: Callable[..., Settings],
    capsys: pytest.CaptureFixture[str], file: str, damage: Damage,
) -> None:  # fmt: skip
    folder = run("killed")
    damage(folder / file)
    train(settings(f"runs={folder.parent}"))
    told = capsys.readouterr().err
    assert f"{folder / file}" in told
    assert "Training starts again from the first epoch." in told
    pd.testing.assert_frame_equal(rows_of(folder), rows_of(trained["finished"] / "one"), check_exact=True)
    assert not checkpoint_problem(folder / directory.BEST)


@pytest.mark.parametrize("name", ["torn", "empty", "garbage"])
def test_metrics_come_again_from_the_checkpoint(
    run: Callable[[str], Path], trained: dict[str, Path], settings: Callable[..., Settings], name: str
) -> None:
    folder = run("killed")
    DAMAGES[name](folder / "metrics.csv")
    train(settings(f"runs={folder.parent}"))
    pd.testing.assert_frame_equal(rows_of(folder), rows_of(trained["finished"] / "one"), check_exact=True)


@pytest.mark.parametrize("damage", [*DAMAGES.values(), removed], ids=[*DAMAGES, "removed"])
def test_a_lost_network_is_said_at_once(
    run: Callable[[str], Path], settings: Callable[..., Settings], kenyan13: Command,
    capsys: pytest.CaptureFixture[str], damage: Damage,
) -> None:  # fmt: skip
    folder = run("finished")
    damage(folder / directory.BEST)
    train(settings(f"runs={folder.parent}"))
    told = capsys.readouterr()
    assert "This run has finished before" in told.out
    assert f"{folder / directory.BEST} is " in told.err
    assert f"To train it again: remove {folder}" in told.err
    done = kenyan13("evaluate", str(folder))
    assert done.returncode == 2
    assert str(directory.BEST) in done.stderr
    assert "enable_checkpointing" not in done.stderr


def torn_row(file: Path) -> None:
    """Cut the last row behind its third number."""
    *rows, last = file.read_text().splitlines()
    file.write_text("\n".join([*rows, ",".join(last.split(",")[:3])]))


def last_row_lost(file: Path) -> None:
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:-1]))


def cut_inside_a_number(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-2])


def without_classes(file: Path) -> None:
    lines = file.read_text().splitlines(keepends=True)
    start = lines.index("  classes:\n")
    file.write_text("".join([*lines[:start], *(line for line in lines[start + 1 :] if not line.startswith("  - "))]))


def foreign_json(file: Path) -> None:
    file.write_text(json.dumps({"loss": "low"}))


def deep_json(file: Path) -> None:
    file.write_text("[" * 100_000)


TABLES = [
    *((file, f"{file}-{name}", damage) for file in ("metrics.csv", "predictions.csv") for name, damage in (
        ("torn-row", torn_row), ("row-lost", last_row_lost), ("empty", cut(0)), ("garbage", garbage))),
    ("predictions.csv", "predictions.csv-number-cut", cut_inside_a_number),
    *(("result.json", f"result.json-{name}", damage) for name, damage in (
        ("torn", cut(0.6)), ("empty", cut(0)), ("garbage", garbage), ("foreign", foreign_json), ("deep", deep_json))),
    *(("config.yaml", f"config.yaml-{name}", damage) for name, damage in (
        ("torn", cut(0.02)), ("empty", cut(0)), ("garbage", garbage), ("no-classes", without_classes))),
]  # fmt: skip


@pytest.mark.parametrize(("file", "damage"), [pytest.param(file, damage, id=id_) for file, id_, damage in TABLES])
def test_damaged_tables_are_named_in_every_verb(tmp_path: Path, kenyan13: Command, file: str, damage: Damage) -> None:
    folder, other = (answering(tmp_path / "runs", name) for name in ("one", "two"))
    damage(folder / file)
    named = f"{folder / file} is damaged"
    listed = kenyan13("runs", str(tmp_path / "runs"))
    assert listed.returncode == 0
    assert named in listed.stdout
    compared = kenyan13("compare", str(folder), str(other))
    assert compared.returncode == 2
    assert named in compared.stderr
    assert "  -> " in compared.stderr


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
@pytest.mark.parametrize("file", ["images.bin", "index.npz"])
def test_a_damaged_store_is_made_anew(
    demo_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], file: str, damage: Damage
) -> None:
    from kenyan13.data.store import Store

    paths = sorted(file for file in demo_root.rglob("*") if file.suffix in (".jpg", ".png"))[:5]
    store = Store(paths, 36, tmp_path)
    expected = [store[row].copy() for row in range(len(paths))]
    damage(store.folder / file)
    again = Store(paths, 36, tmp_path)
    assert "Decoded images are damaged, and made anew" in capsys.readouterr().err
    assert all(np.array_equal(again[row], expected[row]) for row in range(len(paths)))


def test_a_store_without_checksum_is_taken_as_it_is(
    demo_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from kenyan13.data.store import Store

    paths = sorted(file for file in demo_root.rglob("*") if file.suffix in (".jpg", ".png"))[:5]
    folder = Store(paths, 36, tmp_path).folder
    with np.load(folder / "index.npz") as index:
        old = {name: index[name] for name in index if name != "checksum"}
    np.savez(folder / "index.npz", **old)
    capsys.readouterr()
    Store(paths, 36, tmp_path)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_damaged_features_are_made_anew(
    settings: Callable[..., Settings], tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: Damage
) -> None:
    from kenyan13.training.features import cached

    chosen, made = settings(f"data.cache={tmp_path}/images"), {"train": torch.randn(40, 1, 8)}
    cached(chosen, "key", lambda: made)
    (file,) = tmp_path.glob("features/*.npz")
    damage(file)
    assert torch.equal(cached(chosen, "key", lambda: made)["train"], made["train"])
    assert f"{file} is damaged, and made anew" in capsys.readouterr().err
    cached(chosen, "key", lambda: pytest.fail("they are there"))


def test_a_full_disk_leaves_no_half_a_checkpoint(
    run: Callable[[str], Path], settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = run("killed")
    before = (folder / directory.LAST).read_bytes()

    def full(self: Any, checkpoint: Any, path: Path, *more: Any, **named: Any) -> None:
        Path(path).write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("pytorch_lightning.strategies.Strategy.save_checkpoint", full)
        with pytest.raises(MachineError, match="No space left"):
            train(settings(f"runs={folder.parent}"))
    assert (folder / directory.LAST).read_bytes() == before
    assert {file.name for file in (folder / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}
    assert read_state(folder) is State.failed
    assert train(settings(f"runs={folder.parent}")).epochs == 2


def test_an_open_run_needs_a_checkpoint_of_its_own_network(run: Callable[[str], Path]) -> None:
    folder = run("finished")
    torch.save({"state_dict": {"network.x": torch.ones(3)}, "classes": ["a", "b"]}, folder / directory.BEST)
    with pytest.raises(UserError, match="holds weights of another network"):
        open_run(folder)
