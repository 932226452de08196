"""The commands as a user types them: exit codes, messages, and what they print."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from kenyan13 import cli
from kenyan13.config.compose import compose_settings
from kenyan13.runs import directory
from kenyan13.runs.config_file import write_config
from kenyan13.runs.directory import TEST, VALIDATION
from kenyan13.runs.predictions import write_predictions, write_test_predictions
from kenyan13.runs.result import Result, write_result
from kenyan13.training.run import train

ROOT = Path(__file__).parent.parent
TINY = [
    "model=small_cnn",
    "model.crop=32",
    "model.batch_size=16",
    "trainer=cpu",
    "callbacks.tensorboard.graph=false",
    "data.workers=0",
]


class Done(NamedTuple):
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


def call(*arguments: str, cwd: Path = ROOT, **environment: str) -> Done:
    """Run `python train.py ARGUMENTS` in a process of its own."""
    env = os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "200"} | environment
    command = [sys.executable, str(ROOT / "train.py"), *arguments]
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True)
    return Done(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def kenyan13(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Done]:
    """Run `kenyan13 ARGUMENTS` in this process, which has torch loaded already."""

    def command(*arguments: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["kenyan13", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        printed = capsys.readouterr()
        return Done(int(ended.value.code or 0), printed.out, printed.err)

    return command


@pytest.fixture(scope="module")
def run(demo_root: Path, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained run."""
    runs = tmp_path_factory.mktemp("runs")
    places = [f"data.root={demo_root}", f"data.cache={cache}", f"runs={runs}", "name=first", "trainer.max_epochs=1"]
    train(compose_settings([*TINY, *places]))
    return runs / "first"


Command = Callable[..., Done]


def assert_one_screen(done: Done, *parts: str) -> None:
    """A user's mistake: exit code 2, one screen, no traceback, and what is expected to be said."""
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert "Error executing job" not in done.stderr
    assert len(done.stderr.splitlines()) <= 24, done.stderr
    for part in parts:
        assert part in done.stderr


@pytest.mark.parametrize(
    ("overrides", "parts"),
    [
        (["model=efficientnetb4"], ["Did you mean 'efficientnet_b4'?"]),
        (["model.backbone=resnet81"], ["timm has no architecture 'resnet81'", "Did you mean 'resnet18'?"]),
        (["optim.lrr=1"], ["Did you mean 'optim.lr'?"]),
        (["data.root=/nowhere/at/all"], ["The data folder /nowhere/at/all does not exist", "make data", "data=demo"]),
        (["-m", "freeze=pt0,pt9"], ["There is no freeze=pt9"]),
        (["name=../up"], ["is no name of a folder"]),
        (["--max_epochs", "3"], ["There is no flag --max_epochs", "Did you mean 'trainer.max_epochs'?"]),
        (["just words"], ["is not an override that Hydra can read"]),
    ],
)
def test_mistakes_end_with_code_2_on_one_screen(tmp_path: Path, overrides: list[str], parts: list[str]) -> None:
    assert_one_screen(call(*overrides, f"runs={tmp_path}/runs", cwd=tmp_path), *parts)
    assert not list(tmp_path.glob("runs/*/")), "nothing is written half"


def test_hydra_full_error_brings_the_traceback(tmp_path: Path) -> None:
    done = call("data.root=/nowhere", cwd=tmp_path, HYDRA_FULL_ERROR="1")
    assert done.returncode == 1
    assert "Traceback" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [(["--cfg", "job"], "backbone: resnet18.tv_in1k"), (["--help"], "python train.py -m freeze=pt0,pt2,pt5")],
)
def test_cfg_and_help_need_no_torch(tmp_path: Path, arguments: list[str], expected: str) -> None:
    code = f"import atexit, sys; sys.argv[1:] = {arguments}; from kenyan13.cli.train import main\n"
    code += "atexit.register(lambda: print('torch' in sys.modules, file=sys.stderr)); main()"
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, env=env)
    assert done.returncode == 0
    assert expected in done.stdout
    assert done.stderr == "False\n"


def test_evaluate_agrees_with_result_json(kenyan13: Command, run: Path) -> None:
    done = kenyan13("evaluate", str(run))
    assert done.returncode == 0, done.stderr
    assert "Both agree." in done.stdout
    result = json.loads((run / directory.RESULT).read_text())
    assert f"{result['min_val_loss']:.6f}  {result['min_val_loss']:.6f}" in done.stdout


def test_evaluate_notices_a_changed_checkpoint(kenyan13: Command, run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "run")
    file = tmp_path / "run" / directory.BEST
    checkpoint = torch.load(file, weights_only=True)
    checkpoint["state_dict"]["network.head.bias"] += torch.arange(13.0)
    torch.save(checkpoint, file)
    done = kenyan13("evaluate", str(tmp_path / "run"))
    assert done.returncode == 1
    assert "They differ" in done.stdout


def test_predict_test_writes_the_submission(kenyan13: Command, run: Path, demo_root: Path, tmp_path: Path) -> None:
    done = kenyan13("predict", str(run), "--test", "-o", str(tmp_path / "mine.csv"))
    assert done.returncode == 0, done.stderr
    submission = pd.read_csv(tmp_path / "mine.csv", dtype=str)
    test = pd.read_csv(demo_root / "test.csv", dtype=str)
    assert list(submission.columns) == ["id", "class"]
    assert submission["id"].tolist() == test["id"].tolist()
    assert set(submission["class"]) <= set(pd.read_csv(demo_root / "train.csv")["class"])
    saved = pd.read_csv(tmp_path / TEST, dtype={"id": str})
    assert saved["id"].tolist() == test["id"].tolist()
    assert saved["predicted"].tolist() == submission["class"].tolist()
    assert saved[saved.columns[2:]].sum(axis=1).to_numpy() == pytest.approx(1, abs=1e-5)


def test_predict_test_makes_the_folder_and_refuses_other_classes(
    kenyan13: Command, run: Path, demo_root: Path, tmp_path: Path
) -> None:
    done = kenyan13("predict", str(run), "--test", "-o", str(tmp_path / "new" / "mine.csv"), f"data.root={demo_root}")
    assert done.returncode == 0, done.stderr
    assert len(pd.read_csv(tmp_path / "new" / "mine.csv")) == 26
    assert_one_screen(kenyan13("predict", str(run), "--test", "-o", str(tmp_path)), "is a folder")
    root = tmp_path / "data"
    shutil.copytree(demo_root, root, symlinks=True)
    (root / "train.csv").write_text((demo_root / "train.csv").read_text().replace(",ugali", ",posho"))
    assert_one_screen(kenyan13("predict", str(run), "--test", f"data.root={root}"), "trained on other classes", "posho")


DAMAGE = [
    (directory.CONFIG, "config.yaml is damaged"),
    (directory.RESULT, "result.json is damaged"),
    (directory.BEST, "best.ckpt is damaged"),
]


@pytest.mark.parametrize(("file", "message"), DAMAGE)
def test_damaged_files_of_a_run_are_named(
    kenyan13: Command, run: Path, tmp_path: Path, file: str | Path, message: str
) -> None:
    shutil.copytree(run, tmp_path / "run")
    whole = (tmp_path / "run" / file).read_bytes()
    (tmp_path / "run" / file).write_bytes(whole[: len(whole) // 2])
    assert_one_screen(kenyan13("evaluate", str(tmp_path / "run")), message)


def test_predict_images_as_json_equals_the_saved_predictions(kenyan13: Command, run: Path, demo_root: Path) -> None:
    table = pd.read_csv(run / VALIDATION, dtype={"id": str}).head(3)
    paths = [str(demo_root / "images" / "images" / f"{id_}.jpg") for id_ in table["id"]]
    done = kenyan13("predict", str(run), *paths, "--json", "--top", "13")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert [entry["image"] for entry in answer] == paths
    for entry, (_, row) in zip(answer, table.iterrows(), strict=True):
        assert entry["classes"][0]["class"] == row["predicted"]
        assert {c["class"]: c["probability"] for c in entry["classes"]} == pytest.approx(dict(row[3:]), abs=1e-5)


def test_predict_prints_a_folder_as_a_table(kenyan13: Command, run: Path, demo_root: Path) -> None:
    done = kenyan13("predict", str(run), str(demo_root / "images"), "--top", "2")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 156
    assert all(line.count("%") == 2 for line in lines)
    assert len({len(line) for line in lines}) == 1, "aligned"
    many = kenyan13("predict", str(run), str(demo_root / "images"), "--top", "13").stdout.splitlines()
    assert max(map(len, [*lines, *many])) <= 80
    assert sum(line.count("%") for line in many) == 156 * 13


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["evaluate", "{run}x"], ["is no run directory. Did you mean 'first'?"]),
        (["predict", "{run}"], ["Give either photos"]),
        (["predict", "{run}", "/no/such.jpg"], ["There is no image or folder /no/such.jpg"]),
        (["predict", "{run}", "{broken}"], ["1 of 1 images cannot be read", "broken.jpg", "data.on_bad=skip"]),
        (["predict", "{run}", "--test", "--json"], ["--test goes with --output"]),
        (["evaluate", "{run}", "data.root=[a"], ["cannot be read"]),
        (["evaluate", "{run}", "model.backbone=foo"], ["timm has no architecture 'foo'"]),
        (["evaluate", "{run}", "data.rot=x"], ["Did you mean 'data.root'?"]),
        (["evaluate", "{run}", "data.root=/nowhere"], ["The data folder /nowhere does not exist"]),
    ],
)
def test_mistakes_with_runs_are_said_on_one_screen(
    kenyan13: Command, run: Path, tmp_path: Path, arguments: list[str], parts: list[str]
) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"not an image")
    filled = [argument.format(run=run, broken=broken) for argument in arguments]
    assert_one_screen(kenyan13(*filled), *parts)


def test_evaluating_on_other_classes_is_refused(kenyan13: Command, run: Path, tmp_path: Path) -> None:
    for name in ("cats", "dogs"):
        for k in range(4):
            file = tmp_path / "pets" / name / f"{k}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (48, 40), (60 * k, 0, 0)).save(file)
    done = kenyan13("evaluate", str(run), "data.layout=folder", f"data.root={tmp_path}/pets")
    assert_one_screen(done, "was trained on other classes", "cats, dogs")


def test_sweep_trains_one_run_a_job(demo_root: Path, cache: Path, tmp_path: Path) -> None:
    common = [*TINY, f"data.root={demo_root}", f"data.cache={cache}", f"runs={tmp_path}/runs", "trainer.max_epochs=1"]
    done = call("-m", *common, "freeze=pt0,pt5", "optim.lr=1e-3", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    finished = sorted(file.parent.name.split("-")[0] for file in (tmp_path / "runs").glob("*/result.json"))
    assert finished == ["small_cnn_pt0_lr1e", "small_cnn_pt5_lr1e"]


def test_two_processes_give_the_figures_of_one(kenyan13: Command, demo_root: Path, cache: Path, tmp_path: Path) -> None:
    """Data-parallel training on the CPU: two processes with batches of 8 do what one does with batches of 16.

    97 images to train and 33 to validate: the processes get some of them twice.
    """
    network = [
        "model.backbone=test_convnext",
        "model.crop=64",
        "optim=sgd",
        "optim.lr=0.01",
        "data.validation_fraction=0.25",
    ]  # no batch norm, no dropout
    common = [*TINY, f"data.root={demo_root}", f"data.cache={cache}", f"runs={tmp_path}/runs", "trainer.max_epochs=2"]
    common += [*network, "balance=none", "augment=enhanced", "augment.noise.probability=0", "augment.erasing.fill=zero"]
    train(compose_settings([*common, "name=one"]))
    two = call(*common, "name=two", "trainer.devices=2", "model.batch_size=8")
    assert two.returncode == 0, two.stderr
    assert two.stdout.count("Finished") == 1, "only the first process talks"
    metrics, predictions = [], []
    for name in ("one", "two"):
        metrics.append(pd.read_csv(tmp_path / "runs" / name / directory.METRICS).drop(columns="seconds"))
        predictions.append(pd.read_csv(tmp_path / "runs" / name / VALIDATION, dtype={"id": str}))
        assert len(list((tmp_path / "runs" / name).glob("events.out.tfevents.*"))) == 2, "start and end"
    pd.testing.assert_frame_equal(metrics[0], metrics[1], rtol=1e-4)
    pd.testing.assert_frame_equal(predictions[0], predictions[1], rtol=1e-3)
    assert metrics[0]["train_loss"][1] < metrics[0]["train_loss"][0], "it has learned something"
    assert "Both agree." in kenyan13("evaluate", str(tmp_path / "runs" / "two")).stdout


def started_and_sent(sent: signal.Signals, epoch: int, *arguments: str) -> "subprocess.Popen[str]":
    """Start `python train.py ARGUMENTS` and send it a signal when it has printed an epoch's line."""
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "train.py"), *arguments],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(f"epoch   {epoch}/"):
            process.send_signal(sent)
            break
    return process


def test_sigkill_at_any_moment_and_the_same_command_again(
    demo_root: Path, cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = [*TINY, f"data.root={demo_root}", f"data.cache={cache}", f"runs={tmp_path}/runs", "trainer.max_epochs=8"]
    common += ["data.workers=1"]
    process = started_and_sent(signal.SIGKILL, 3, *common, "name=killed")
    process.wait()
    killed = tmp_path / "runs" / "killed"
    assert not (killed / directory.RESULT).exists()
    train(compose_settings([*common, "name=killed"]))
    printed = capsys.readouterr().out
    assert "going on where it stopped" in printed
    assert "epoch   1/8" not in printed
    train(compose_settings([*common, "name=straight"]))
    runs = [tmp_path / "runs" / name for name in ("killed", "straight")]
    metrics = [pd.read_csv(folder / directory.METRICS).drop(columns="seconds") for folder in runs]
    pd.testing.assert_frame_equal(metrics[0], metrics[1], check_exact=True)
    assert (runs[0] / VALIDATION).read_bytes() == (runs[1] / VALIDATION).read_bytes()


def test_sigterm_is_no_success(demo_root: Path, cache: Path, tmp_path: Path) -> None:
    places = [f"data.root={demo_root}", f"data.cache={cache}", f"runs={tmp_path}", "trainer.max_epochs=500"]
    process = started_and_sent(signal.SIGTERM, 2, *TINY, *places, "name=ended")
    _, said = process.communicate()
    assert process.returncode == 143
    assert "Terminated. The same command goes on where it stopped." in said
    assert directory.read_state(tmp_path / "ended") is directory.State.interrupted


def hand_made(folder: Path, accuracy: float, validation: list[list[float]], test: list[list[float]]) -> Path:
    """A run directory of classes a and b: validation images x (a), y (b), z (a), and test images 7, 6."""
    folder.mkdir()
    targets, probabilities = np.array([0, 1, 0]), np.array(validation, dtype=np.float32)
    write_predictions(folder, ["x", "y", "z"], ["a", "b"], targets, probabilities)
    write_test_predictions(folder, ["7", "6"], ["a", "b"], np.array(test, dtype=np.float32))
    result = Result(
        status="finished", min_val_loss=0.5, accuracy=accuracy, macro_f1=0.5, best_epoch=1, epochs=1, auc_loss=0.5,
        overfitting=None, seconds=1, train_images=9, validation_images=3, parameters=1, trainable_parameters=1,
        device="cpu", stopped="",
    )  # fmt: skip
    write_result(folder, result)
    return folder


@pytest.fixture
def three(tmp_path: Path) -> list[str]:
    """Three runs, the most accurate last."""
    runs = [
        hand_made(tmp_path / "low", 0.0, [[0.4, 0.6], [0.9, 0.1], [0.3, 0.7]], [[0.55, 0.45], [0.3, 0.7]]),
        hand_made(tmp_path / "middle", 1 / 3, [[0.8, 0.2], [0.6, 0.4], [0.4, 0.6]], [[0.6, 0.4], [0.8, 0.2]]),
        hand_made(tmp_path / "high", 2 / 3, [[0.7, 0.3], [0.2, 0.8], [0.45, 0.55]], [[0.1, 0.9], [0.4, 0.6]]),
    ]
    return [str(run) for run in runs]


def test_ensemble_compares_the_runs(kenyan13: Command, three: list[str]) -> None:
    done = kenyan13("ensemble", *three, "--json")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert [Path(run["run"]).name for run in answer["runs"]] == ["high", "middle", "low"]
    # Two: x a; y sums 0.8 to 1.2: b, highest 0.8: b, V1 b, V2 b; z b. Three: y sums 1.7 to 1.3, highest 0.9: a.
    assert answer["combined"] == [
        {"models": 1} | dict.fromkeys(["AP", "MP", "V1", "V2"], 2 / 3),
        {"models": 2} | dict.fromkeys(["AP", "MP", "V1", "V2"], 2 / 3),
        {"models": 3} | dict.fromkeys(["AP", "MP", "V1", "V2"], 1 / 3),
    ]
    assert answer["images"] == 3
    assert answer["standard_error"] == pytest.approx((2 / 27) ** 0.5)
    lines = kenyan13("ensemble", *three, "--top", "2").stdout.splitlines()
    assert lines[1].split() == ["66.67", "0.5000", three[2]]
    assert [line.split() for line in lines[5:8]] == [
        ["models", "AP", "MP", "V1", "V2"], ["1", *["66.67"] * 4], ["2", *["66.67"] * 4],
    ]  # fmt: skip
    assert lines[-1] == "Standard error of the best run's accuracy: 27.22 points (3 images)."


@pytest.mark.parametrize(
    ("arguments", "classes"),
    [
        ([], ["b", "a"]),  # sums 1.25 to 1.75, and 1.5 to 1.5: the first class
        (["--method", "MP"], ["b", "a"]),
        (["--method", "V1"], ["a", "b"]),  # votes b a a, and b a b
        (["--method", "V2"], ["a", "b"]),
        (["--method", "V1", "--top", "2"], ["b", "b"]),  # ties: the most accurate run
        (["--method", "V2", "--top", "2"], ["b", "a"]),
        (["--top", "1"], ["b", "b"]),
    ],
)
def test_ensemble_writes_the_test_images(
    kenyan13: Command,
    three: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    classes: list[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    done = kenyan13("ensemble", *three, "--test", *arguments)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "submission.csv").read_text() == f"id,class\n7,{classes[0]}\n6,{classes[1]}\n"
    assert done.stdout.startswith("2 test images predicted by ")
    done = kenyan13("ensemble", *three, "--test", *arguments, "-o", "new/mine.csv", "--json")
    assert json.loads(done.stdout)["file"] == "new/mine.csv"
    assert (tmp_path / "new" / "mine.csv").read_bytes() == (tmp_path / "submission.csv").read_bytes()


def folds_of(root: Path, certainty: float, *settings: str) -> list[str]:
    """Two folds of a model that is right about all images, more or less certainly, and names test images a."""
    right, test = [[certainty, 1 - certainty], [1 - certainty, certainty], [certainty, 1 - certainty]], [[0.9, 0.1]] * 2
    folders = []
    for fold in range(2):
        folder = hand_made(root / f"{certainty}-{fold}", 1.0, right, test)
        write_config(folder, compose_settings(["data.folds=2", f"data.fold={fold}", *settings]), {})
        predictions = (folder / VALIDATION).read_text()
        (folder / VALIDATION).write_text(re.sub(r"^(\w),", rf"{fold}\1,", predictions, flags=re.MULTILINE))
        folders.append(str(folder))
    return folders


def test_ensemble_with_weights(kenyan13: Command, tmp_path: Path) -> None:
    runs = [*folds_of(tmp_path, 0.6), *folds_of(tmp_path, 0.9, "optim.lr=0.1")]
    file = tmp_path / "mine.csv"
    done = kenyan13("ensemble", *runs, "--weights", "--test", "-o", str(file), "--json")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    weights = {Path(model["model"]).name: model["weight"] for model in answer["models"]}
    assert weights == pytest.approx({"0.6-0": 0, "0.9-0": 1}, abs=1e-4)
    assert (answer["equal"], answer["nested"], answer["standard_error"], answer["images"]) == (1, 1, 0, 6)
    assert file.read_text() == "id,class\n7,a\n6,a\n"
    done = kenyan13("ensemble", *runs, "--weights")
    assert [line.split()[-2:] for line in done.stdout.splitlines()[1:3]] == [["0.000", "100.00"], ["1.000", "100.00"]]
    assert "tuned on the other folds" in done.stdout
    assert_one_screen(kenyan13("ensemble", *runs[:3], "--weights"), "no run for data.fold=1", "data.fold=0,1,2,3,4")
    assert_one_screen(kenyan13("ensemble", *runs), "The images differ: 3 are only in", "--weights")


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["{0}"], ["An ensemble needs two or more runs"]),
        (["{0}", "{1}", "{0}x"], ["No run directory", "lowx"]),
        (["{0}", "{1}", "-o", "a.csv"], ["--method and --output go with --test"]),
        (["{0}", "{1}", "--method", "V1"], ["--method and --output go with --test"]),
        (["{0}", "{1}", "--weights", "--top", "1"], ["--weights is a method of its own"]),
        (["{0}", "{1}", "--top", "3"], ["only 2 runs are given"]),
        (["{0}", "{1}", "--test", "-o", "{0}"], ["is a folder"]),
    ],
)
def test_mistakes_with_ensembles_are_said_on_one_screen(
    kenyan13: Command, three: list[str], arguments: list[str], parts: list[str]
) -> None:
    assert_one_screen(kenyan13("ensemble", *(argument.format(*three) for argument in arguments)), *parts)


def test_ensemble_names_a_run_without_test_predictions(kenyan13: Command, three: list[str]) -> None:
    (Path(three[1]) / TEST).unlink()
    assert_one_screen(kenyan13("ensemble", *three, "--test"), f"There is no {three[1]}/{TEST}", "kenyan13 predict RUN")


def test_study_exposures_counts_splits(kenyan13: Command, tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("id,class\n" + "".join(f"{row},{'ab'[row % 2]}\n" for row in range(20)))
    done = kenyan13("study", "exposures", "--data", str(tmp_path), "--seeds", "7")
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    assert done.stdout.startswith("20 labelled images, 1 stratified splits")
    assert [line[-1] for line in lines[3:7]] == ["0", "1", "0.80", "0.40"]  # lowest, highest, mean, deviation
    assert lines[9:11] == [["0", "16", "80.0%"], ["1", "4", "20.0%"]]
    assert "Never validated: 16," in done.stdout
    assert_one_screen(kenyan13("study", "exposures", "--data", str(tmp_path / "no")), "There is no train.csv")
    assert_one_screen(
        kenyan13("study", "exposures", "--data", str(tmp_path), "--seeds", "1,x"), "--seeds 1,x is no list"
    )
