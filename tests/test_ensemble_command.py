"""`kenyan13 ensemble` as a user types it."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from test_commands import Command, assert_one_screen

from kenyan13.config.compose import compose_settings
from kenyan13.runs.config_file import write_config
from kenyan13.runs.directory import TEST, VALIDATION
from kenyan13.runs.predictions import prediction_table, write_predictions
from kenyan13.runs.result import Result, write_result


def hand_made(folder: Path, accuracy: float, validation: list[list[float]], test: list[list[float]]) -> Path:
    """A run directory of classes a and b: validation images x (a), y (b), z (a), and test images 7, 6."""
    folder.mkdir()
    targets, probabilities = np.array([0, 1, 0]), np.array(validation, dtype=np.float32)
    write_predictions(folder / VALIDATION, prediction_table(list("xyz"), list("ab"), probabilities, targets))
    write_predictions(folder / TEST, prediction_table(list("76"), list("ab"), np.array(test, dtype=np.float32)))
    write_result(folder, Result(min_val_loss=0.5, accuracy=accuracy, validation_images=3))
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
    lines = kenyan13("ensemble", *three).stdout.splitlines()
    assert [line.split() for line in lines[:3]] == [["1", three[2]], ["2", three[1]], ["3", three[0]]]
    # Right are 2 of 3, with probabilities 0.7, 0.8 and 0.45; of the means 1.9, 1.3 and 1.15 thirds, one.
    assert lines[4].split() == ["accuracy", "%", "95", "%", "interval", "log", "loss", "mean", "of", "folds", "sd"]
    assert lines[5].split() == ["1", "66.67", "20.8-93.9", f"{-np.log([0.7, 0.8, 0.45]).mean():.4f}"]
    together = f"{-np.log(np.divide([1.9, 1.3, 1.15], 3)).mean():.4f}"
    assert lines[8].split() == ["all", "33.33", "6.1-79.2", together]
    # Two: x a; y sums 0.8 to 1.2: b, highest 0.8: b, V1 b, V2 b; z b. Three: y sums 1.7 to 1.3, highest 0.9: a.
    assert [line.split() for line in lines[11:15]] == [
        ["models", "AP", "MP", "V1", "V2"], ["1", *["66.67"] * 4], ["2", *["66.67"] * 4], ["3", *["33.33"] * 4],
    ]  # fmt: skip
    assert lines[-1].startswith("3 validation images; no run was trained on those")
    assert max(map(len, lines[4:])) <= 80


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
    kenyan13("ensemble", *three, "--test", *arguments, "-o", "new/mine.csv")
    assert (tmp_path / "new" / "mine.csv").read_bytes() == (tmp_path / "submission.csv").read_bytes()


def folds_of(root: Path, certainty: float, *settings: str) -> list[str]:
    """Two folds of a model that is right about all images, more or less certainly, and names test images a."""
    right, test = [[certainty, 1 - certainty], [1 - certainty, certainty], [certainty, 1 - certainty]], [[0.9, 0.1]] * 2
    folders = []
    for fold in range(2):
        folder = hand_made(root / f"{certainty}-{fold}", 1.0, right, test)
        composed = compose_settings(["data.folds=2", f"data.fold={fold}", *settings])
        write_config(folder, composed, {"classes": ["a", "b"]})
        predictions = (folder / VALIDATION).read_text()
        (folder / VALIDATION).write_text(re.sub(r"^(\w),", rf"{fold}\1,", predictions, flags=re.MULTILINE))
        folders.append(str(folder))
    return folders


def test_folds_are_one_model(kenyan13: Command, tmp_path: Path) -> None:
    runs = [*folds_of(tmp_path, 0.6), *folds_of(tmp_path, 0.9, "optim.lr=0.1")]
    predictions = tmp_path / "0.6-1" / VALIDATION
    predictions.write_text(re.sub(r"1x,.*", "1x,a,b,0.4,0.6", predictions.read_text()))
    write_result(tmp_path / "0.6-1", Result(min_val_loss=1.5, accuracy=2 / 3, validation_images=3))
    lines = kenyan13("ensemble", *runs).stdout.splitlines()
    assert lines[:2] == [f"1  {runs[2]} (2 folds)", f"2  {runs[0]} (2 folds)"]
    losses = [f"{-np.log([*[one] * 5, last]).mean():.4f}" for one, last in ((0.9, 0.9), (0.6, 0.4), (0.75, 0.65))]
    assert lines[4].split() == ["1", "100.00", "61.0-100.0", losses[0], "100.00", "0.00"]
    assert lines[5].split() == ["2", "83.33", "43.6-97.0", losses[1], "83.33", "23.57"]  # sd of 1 and 2/3
    assert lines[6].split() == ["all", "100.00", "61.0-100.0", losses[2], "100.00", "0.00"]
    assert [line.split() for line in lines[10:12]] == [["1", *["100.00"] * 4], ["2", *["100.00"] * 4]]
    assert lines[-1].startswith("6 validation images")
    alone = kenyan13("ensemble", *runs[:2]).stdout.splitlines()
    assert (alone[0], alone[3].split()[1:]) == (f"1  {runs[0]} (2 folds)", lines[5].split()[1:]), "nothing is combined"
    assert len(alone) == 6
    file = tmp_path / "mine.csv"
    done = kenyan13("ensemble", *runs, "--test", "-o", str(file))
    assert done.stdout.startswith("2 test images predicted by 4 runs, AP")
    assert file.read_text() == "id,class\n7,a\n6,a\n"
    assert_one_screen(kenyan13("ensemble", *runs[:3]), "The images differ", "3 only in", "data.fold=0..4")
    again = tmp_path / "again"
    shutil.copytree(runs[0], again)
    assert_one_screen(kenyan13("ensemble", *runs, str(again)), "3 images are in more than one fold")


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["{0}"], ["An ensemble needs two or more runs"]),
        (["{0}", "{1}", "{0}x"], ["lowx is no run directory"]),
        (["{0}", "{1}", "-o", "a.csv"], ["--method and --output go with --test"]),
        (["{0}", "{1}", "--method", "V1"], ["--method and --output go with --test"]),
        (["{0}", "{1}", "--save", "x", "--test"], ["--save with neither of them"]),
        (["{0}", "{1}", "--save", "x"], ["middle has no config.yaml, checkpoints/best.ckpt: it cannot predict"]),
        (["{0}", "{1}", "--top", "3"], ["only 2 models are given"]),
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
