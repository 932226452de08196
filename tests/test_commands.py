"""The commands as a user types them: exit codes, messages, and what they print."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch
from documented import parse

from kenyan13 import cli
from kenyan13.cli.app import print_next
from kenyan13.config.compose import compose_settings
from kenyan13.runs import directory
from kenyan13.runs.directory import TEST, VALIDATION
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


Done = subprocess.CompletedProcess[str]
Command = Callable[..., Done]


def call(*arguments: str, cwd: Path = ROOT, **environment: str) -> Done:
    """Run `python train.py ARGUMENTS` in a process of its own."""
    env = os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "200"} | environment
    command = [sys.executable, str(ROOT / "train.py"), *arguments]
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True)


@pytest.fixture(scope="module")
def run(demo_root: Path, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained run."""
    runs = tmp_path_factory.mktemp("runs")
    places = [f"data.root={demo_root}", f"data.cache={cache}", f"runs={runs}", "name=first", "trainer.max_epochs=1"]
    train(compose_settings([*TINY, *places]))
    return runs / "first"


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
        (["--optim", "sgd"], ["write optim=VALUE"]),
        (["just words"], ["is not an override that Hydra can read"]),
    ],
)
def test_mistakes_end_with_code_2_on_one_screen(tmp_path: Path, overrides: list[str], parts: list[str]) -> None:
    assert_one_screen(call(*overrides, f"runs={tmp_path}/runs", cwd=tmp_path), *parts)
    assert not list(tmp_path.glob("runs/*/")), "nothing is written half"


def test_next_commands_are_of_this_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    (tmp_path / "kenyan13").touch()
    monkeypatch.chdir(tmp_path.parent)
    for path in (os.environ["PATH"], ""):
        monkeypatch.setenv("PATH", path)
        print_next(["kenyan13", "report", "my runs"])
    lines = capsys.readouterr().out.splitlines()
    assert [lines[2], lines[5]] == ["  kenyan13 report 'my runs'", f"  {tmp_path.name}/kenyan13 report 'my runs'"]


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


def test_evaluate_notices_a_changed_checkpoint(kenyan13: Command, run: Path, tmp_path: Path) -> None:
    assert "Both agree." in kenyan13("evaluate", str(run)).stdout
    shutil.copytree(run, tmp_path / "run")
    file = tmp_path / "run" / directory.BEST
    checkpoint = torch.load(file, weights_only=True)
    checkpoint["state_dict"]["network.head.bias"] += torch.arange(13.0)
    torch.save(checkpoint, file)
    done = kenyan13("evaluate", str(tmp_path / "run"))
    assert done.returncode == 1
    assert "They differ" in done.stdout


def test_predict_test_writes_the_submission(kenyan13: Command, run: Path, demo_root: Path, tmp_path: Path) -> None:
    file = tmp_path / "new" / "mine.csv"
    done = kenyan13("predict", str(run), "--test", "-o", str(file), f"data.root={demo_root}")
    assert done.returncode == 0, done.stderr
    submission, test = pd.read_csv(file, dtype=str), pd.read_csv(demo_root / "test.csv", dtype=str)
    assert list(submission.columns) == ["id", "class"]
    assert submission["id"].tolist() == test["id"].tolist()
    saved = pd.read_csv(file.parent / TEST, dtype={"id": str})
    assert saved["id"].tolist() == test["id"].tolist()
    assert saved["predicted"].tolist() == submission["class"].tolist()
    assert saved[saved.columns[2:]].sum(axis=1).to_numpy() == pytest.approx(1, abs=1e-5)
    assert_one_screen(kenyan13("predict", str(run), "--test", "-o", str(tmp_path)), "is a folder")
    shutil.copytree(demo_root, tmp_path / "data", symlinks=True)
    labels = (demo_root / "train.csv").read_text().replace(",ugali", ",posho")
    (tmp_path / "data" / "train.csv").write_text(labels)
    for command in (["evaluate", str(run)], ["predict", str(run), "--test"]):
        assert_one_screen(kenyan13(*command, f"data.root={tmp_path}/data"), "trained on other classes", "posho")


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
    assert lines[0].split()[0] in {path.name for path in (demo_root / "images" / "images").iterdir()}
    many = kenyan13("predict", str(run), str(demo_root / "images"), "--top", "13").stdout.splitlines()
    assert max(map(len, [*lines, *many])) <= 80
    assert sum(line.count("%") for line in many) == 156 * 13


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["evaluate", "{run}x"], ["is no run directory. Did you mean 'first'?"]),
        (["predict", "{run}"], ["Photos, or folders of photos, are missing.", "kenyan13 predict RUN PHOTO.jpg"]),
        (["predict", "{broken}", "{run}"], ["broken.jpg is no run directory, which comes first.", "predict RUN PHOTO"]),
        (["predict", "{broken}/.."], ["is no run directory, which comes first."]),
        (["data=folder", "data.root=a b"], ["kenyan13 train data=folder 'data.root=a b'"]),
        (["predict", "{run}", "/no/such.jpg"], ["There is no image or folder /no/such.jpg"]),
        (
            ["predict", "{run}", "{broken}", "data.on_bad=stop"],
            ["1 of 1 images cannot be read", "broken.jpg", "data.on_bad=skip"],
        ),
        (["predict", "{run}", "--test", "--json"], ["--test goes with --output"]),
        (["evaluate", "{run}", "data.folds=[a"], ["data.folds=[a cannot be read"]),
        (["evaluate", "{run}", "model.backbone=foo"], ["timm has no architecture 'foo'"]),
        (["evaluate", "{run}", "trainer=cpu"], ["trainer=... chooses a whole group of settings"]),
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


def test_help_fits_a_terminal_and_its_examples_are_commands(kenyan13: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert kenyan13().stdout == kenyan13("--help").stdout == kenyan13("help").stdout
    verbs, others = (re.findall(r"^  ([a-z]\S+)  ", kenyan13(*words, "-h").stdout, re.M) for words in ([], ["study"]))
    listed = "train runs evaluate predict report contact-sheets probe lr-find best compare ensemble groups cascade"
    assert verbs == [*listed.split(), "export", "serve", "card", "data", "study"]
    for words in ([], *([verb] for verb in verbs[1:]), *(["study", one] for one in others)):
        text = kenyan13(*words, "--help").stdout
        assert max(map(len, text.splitlines())) <= 80
        assert "..." not in text.partition("Commands:")[2], "cut"
        examples = re.findall(r"^    kenyan13 (.*)$", text.partition("Examples:\n")[2], re.M)
        assert examples
        for example in examples:
            parse(cli.app, shlex.split(example))


def test_study_exposures_counts_splits(kenyan13: Command, tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("id,class\n" + "".join(f"{row},{'ab'[row % 2]}\n" for row in range(20)))
    done = kenyan13("study", "exposures", "--data", str(tmp_path), "--seed", "7")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("20 labelled images, 1 stratified splits")
    assert lines[2:4] == ["Times in the training part: 0 to 1, median 1", "mean 0.8000, standard deviation 0.4000"]
    assert [line.split()[:3] for line in lines[6:8]] == [["0", "16", "80.00%"], ["1", "4", "20.00%"]]
    assert "Never validated: 16," in done.stdout
    assert_one_screen(kenyan13("study", "exposures", "--data", str(tmp_path / "no")), "There is no train.csv")
