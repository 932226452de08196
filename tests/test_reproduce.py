"""make reproduce-group-X: smoke runs of whole groups, through kills and restarts; every id trains a batch."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from zipfile import ZipFile

import pandas as pd
import pytest
import torch
from pytorch_lightning import Trainer

from kenyan13.cli.app import DRY_RUN
from kenyan13.cli.train import main
from kenyan13.config.compose import compose_settings
from kenyan13.config.targets import build
from kenyan13.model.backbones import create
from kenyan13.model.classifier import Classifier
from kenyan13.model.freezing import parameter_levels
from kenyan13.runs.directory import VALIDATION
from kenyan13.study.definitions import TRAINING, experiments
from kenyan13.training.inference import open_data

ROOT = Path(__file__).parent.parent


def command(group: str, root: Path, cache: Path, runs: Path, *others: str) -> list[str]:
    """`make reproduce-group-X SMOKE=1` with this interpreter, on given drawings; what is set up is taken as it is."""
    settings = f"'data.root={root}' 'data.cache={cache}'"
    folders = [f"DATA={root}", f"RUNS={runs}", f"REPORT={runs}/report"]
    variables = [f"BIN={Path(sys.executable).parent}", "SMOKE=1", f"ARGS={settings}"]
    return ["make", "--old-file=.venv/.complete", f"reproduce-group-{group}", *folders, *variables, *others]


def environment() -> dict[str, str]:
    return os.environ | {"OMP_NUM_THREADS": "1"}


def reproduce(group: str, root: Path, cache: Path, runs: Path, *others: str) -> str:
    """Run a group to its end; returns what it printed."""
    done = subprocess.run(
        command(group, root, cache, runs, *others), cwd=ROOT, env=environment(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


@pytest.mark.parametrize(
    ("variables", "parts"),
    [
        ([], ["-m 'experiment=C*' 'data.root=data/kenyan13'", "study table C", "report 'runs' --output 'report'"]),
        (["SMOKE=1", "RUNS=d"], ["debug=smoke 'runs=d/smoke'", "kenyan13 report 'd/smoke' --output 'report-smoke'"]),
        (["DATA=some where"], ["'data.root=some where'"]),
        (["LEVEL=evaluate", "RUNS=d", "SMOKE=1"], ["for run in d/smoke/C*_*/", "kenyan13 evaluate"]),
        (
            ["MODELS=tf_efficientnet_lite0,resnet18", "SMOKE=1", "WEIGHTS=w"],
            ["in tf_efficientnet_lite0 resnet18"],
        ),
        (["SMOKE=1", "LAUNCHER=joblib", "ARGS=trainer=gpu"], ["debug=smoke", "trainer=gpu hydra/launcher=joblib"]),
    ],
)
def test_make_reproduce_says_what_it_would_run(variables: list[str], parts: list[str]) -> None:
    make = ["make", "--dry-run", "--old-file=.venv/.complete", "reproduce-group-C", *variables]
    done = subprocess.run(make, cwd=ROOT, capture_output=True, text=True, check=True)
    for part in parts:
        assert part in done.stdout


def test_without_images_a_group_stops_at_once_and_says_what_to_do(tmp_path: Path) -> None:
    make = ["make", "--old-file=.venv/.complete", "reproduce-group-C", f"DATA={tmp_path}/none"]
    done = subprocess.run(make, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert "make data gets them" in done.stdout
    assert "SMOKE=1" in done.stdout


def test_a_dry_run_tells_the_costs_and_starts_nothing(
    demo_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of group C on one network three runs are left; 104 images to train on, 35 epochs each."""
    for name in (DRY_RUN, "KENYAN13_FULL_ERROR", "HYDRA_FULL_ERROR"):
        monkeypatch.setenv(name, "")  # and put back at the end
    given = ["experiment=C*", "model=resnet18", f"data.root={demo_root}", f"runs={tmp_path}/runs", "--dry-run"]
    monkeypatch.setattr(sys, "argv", [str(ROOT / "train.py"), *given])
    main()
    printed = capsys.readouterr().out
    assert "3 runs: 3 to do" in printed
    assert f"at most {3 * 35 * 104:,} images" in printed
    assert "not known for 3" in printed
    # 11.2 million parameters, four times four bytes, three runs; 130 images of some 4 x 256² bytes
    assert "about 0.6 GB, 0.5 of it checkpoints" in printed
    assert not (tmp_path / "runs").exists()
    assert max(map(len, printed.splitlines())) <= 80


@pytest.mark.slow
def test_group_c_killed_in_the_middle_ends_the_same(demo_root: Path, cache: Path, tmp_path: Path) -> None:
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    printed = reproduce("C", demo_root, cache, undisturbed)
    assert "12 runs: 12 to do" in printed
    assert re.search(r"11 to do: about .*, by the mean time of 1 finished", printed)
    assert "C3  all layers (PT5)  (synthetic drawings" in printed
    process = subprocess.Popen(
        command("C", demo_root, cache, killed),
        cwd=ROOT, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    while not list(killed.glob("smoke/CBA*/checkpoints/last.ckpt")):
        assert process.poll() is None, "it ended before it could be killed"
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    again = reproduce("C", demo_root, cache, killed)
    assert re.search(r"12 runs: 3 finished before, 1 (goes on where it stopped|finished before)", again)
    for folder in sorted((undisturbed / "smoke").iterdir()):
        if folder.name.startswith("."):
            continue
        other = killed / "smoke" / folder.name
        assert (folder / VALIDATION).read_bytes() == (other / VALIDATION).read_bytes()
        one, two = (pd.read_csv(place / "metrics.csv").drop(columns="seconds") for place in (folder, other))
        pd.testing.assert_frame_equal(one, two, check_exact=True)
    assert table(again, "C1") == table(printed, "C1")


def table(printed: str, name: str) -> list[str]:
    """The lines of a table in what was printed."""
    lines = printed.splitlines()
    start = next(place for place, line in enumerate(lines) if line.startswith(f"{name}  "))
    return lines[start : start + 6]


@pytest.mark.slow
def test_group_e_ends_with_the_two_stage_result(demo_root: Path, cache: Path, tmp_path: Path) -> None:
    printed = reproduce("E", demo_root, cache, tmp_path)
    rows = [line.split() for line in printed.splitlines() if line.startswith("EAE  TwoStage")]
    assert [row[2] for row in rows] == ["hard", "soft"]
    (folder,) = tmp_path.glob("smoke/EAE_EfficientNetB4_TwoStage-*")
    composed = pd.read_csv(folder / VALIDATION, dtype={"id": str})
    accuracy = 100 * (composed["target"] == composed["predicted"]).mean()
    assert float(rows[0][6]) == pytest.approx(accuracy, abs=0.005)
    assert len(composed) == 26
    plots = {file.stem for file in (tmp_path / "report/plots/group-E").iterdir()}
    assert plots == {"accuracy_E1", *(f"confusion_{k}" for k in range(6))}
    assert (tmp_path / "report/tables/E1.csv").is_file()


@pytest.mark.slow
def test_group_h_ends_with_the_ensemble_table(demo_root: Path, cache: Path, tmp_path: Path) -> None:
    printed = reproduce("H", demo_root, cache, tmp_path)
    lines = printed.splitlines()
    start = next(place for place, line in enumerate(lines) if line.startswith("H2  "))
    rows = {line.split()[0]: line.split()[1:] for line in lines[start + 2 : start + 5]}
    assert sorted(rows) == ["AP", "MP", "V2"]
    assert all(0 <= float(cell) <= 100 for row in rows.values() for cell in row)
    tests = list(tmp_path.glob("smoke/HA?_*/predictions_test.csv"))
    assert len(tests) == 15
    assert all(len(pd.read_csv(file)) == 26 for file in tests)
    assert {"accuracy_H3", "votes_test"} <= {file.stem for file in (tmp_path / "report/plots/group-H").iterdir()}


TRAINED = [id_ for id_, one in experiments().items() if one.kind == TRAINING]


@pytest.mark.slow
@pytest.mark.parametrize("id_", TRAINED)
def test_every_experiment_trains_a_batch(id_: str, demo_root: Path, cache: Path, tmp_path: Path) -> None:
    """The study's own network and settings, from scratch, on the demo's images at a tiny crop."""
    places = ["data=demo", f"data.root={demo_root}", f"data.cache={cache}", f"runs={tmp_path}", "data.workers=0"]
    size = ["model.crop=32", "model.batch_size=4", "model.pretrained=false", "data.subset=null", "trainer=cpu"]
    settings = compose_settings([f"experiment={id_}", *places, *size])
    data = open_data(settings)
    network = create(settings.model, data.classes)
    before = {name: value.detach().clone() for name, value in network.named_parameters()}
    trainer = Trainer(
        max_epochs=1, limit_train_batches=1, num_sanity_val_steps=0, accelerator="cpu",
        callbacks=[build("freeze", settings.freeze)], logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(Classifier(network, data.classes, optim=settings.optim, schedule=settings.schedule), datamodule=data)
    assert torch.isfinite(torch.tensor(float(trainer.callback_metrics["val_loss"])))
    for name, value in network.named_parameters():
        assert value.requires_grad or torch.equal(value, before[name]), f"{name} is frozen"
    levels = parameter_levels(network)
    moved = {levels[name] for name, value in network.named_parameters() if not torch.equal(value, before[name])}
    assert moved == set(range(settings.freeze["level"] + 1))


def csv_tables(runs: Path) -> dict[str, str]:
    """The tables of group C in the report that `reproduce` writes, by name."""
    return {file.stem: file.read_text() for file in (runs / "report/tables").glob("C*.csv")}


@pytest.mark.slow
def test_each_level_ends_with_the_same_tables(
    demo_root: Path, cache: Path, tmp_path: Path, kenyan13: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    """LEVEL=train trains, evaluate computes again from checkpoints, tables reads an archive without networks."""
    trained, unpacked = tmp_path / "trained", tmp_path / "unpacked"
    printed = reproduce("C", demo_root, cache, trained, "MODELS=test_resnet")
    tables = csv_tables(trained)
    assert [pd.read_csv(StringIO(tables[name]))["accuracy"].count() for name in ("C1", "C2", "C3")] == [1, 1, 1]
    again = reproduce("C", demo_root, cache, trained, "MODELS=test_resnet", "LEVEL=evaluate")
    assert again.count("Both agree.") == 3
    assert csv_tables(trained) == tables
    settings = ["debug=smoke", f"data.root={demo_root}", f"data.cache={cache}", f"runs={trained}/smoke"]
    network = ["model=efficientnet_lite0", "model.backbone=test_resnet"]
    kenyan13("study", "pack", "C", *settings, *network, "-o", str(tmp_path / "C.zip"))
    with ZipFile(tmp_path / "C.zip") as archive:
        assert {Path(name).suffix for name in archive.namelist()} == {".yaml", ".csv", ".json"}
        archive.extractall(unpacked / "smoke")
    read = reproduce("C", demo_root, cache, unpacked, "MODELS=test_resnet", "LEVEL=tables")
    assert csv_tables(unpacked) == tables
    for name in ("C1", "C2", "C3"):
        assert table(printed, name)[:3] == table(again, name)[:3] == table(read, name)[:3]


def test_a_level_that_there_is_not_is_named() -> None:
    done = subprocess.run(["make", "reproduce-group-C", "LEVEL=eval"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert "LEVEL=eval is no level: train, evaluate or tables" in done.stderr
