"""Runs put together and saved: they predict and are evaluated, and commands take them, as any other run."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from sklearn.metrics import f1_score, log_loss
from test_commands import TINY, Command, assert_one_screen

from kenyan13.analysis.saving import save_runs
from kenyan13.config.compose import compose_settings
from kenyan13.runs.directory import BEST, CONFIG, MEMBERS, RESULT, TEST, VALIDATION
from kenyan13.runs.predictions import probabilities_of, read_predictions, targets_of
from kenyan13.runs.result import read_result
from kenyan13.runs.run import read_run
from kenyan13.training import composed, inference
from kenyan13.training.run import train

GROUPS = "data.groups={meats:[kukuchoma,nyamachoma],greens:[sukumawiki,ugali]}"
STAGES = ("first", "meats", "greens")


@pytest.fixture(scope="module")
def trained(demo_root: Path, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two folds each of two models, of other backbones, crops, colours and ways to predict; and three stages."""
    runs = tmp_path_factory.mktemp("trained")
    common = [*TINY, f"data.root={demo_root}", f"data.cache={cache}", f"runs={runs}", "trainer.max_epochs=1"]
    other = ["model.backbone=test_resnet", "model.pretrained=false", "model.crop=48", "optim.lr=1e-3"]
    other += ["predict.mirror=true", "predict.temperature=true"]
    for fold in (0, 1):
        train(compose_settings([*common, "data.folds=2", f"data.fold={fold}", f"name=a{fold}"]))
        train(compose_settings([*common, *other, "data.folds=2", f"data.fold={fold}", f"name=b{fold}"]))
    for stage in STAGES:
        train(compose_settings([*common, GROUPS, f"data.stage={stage}", f"name={stage}"]))
    return runs


@pytest.fixture
def runs(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, with the runs in runs/."""
    shutil.copytree(trained, tmp_path / "runs")
    monkeypatch.chdir(tmp_path)
    return Path("runs")


@pytest.fixture
def photos(demo_root: Path) -> list[Path]:
    return sorted((demo_root / "images" / "images").iterdir())[:5]


FOLDS = ("runs/a0", "runs/a1", "runs/b0", "runs/b1")


def answers(kenyan13: Command, run: Path, photos: list[Path]) -> pd.DataFrame:
    """What `kenyan13 predict` tells of photos: a row each, a column a class."""
    done = kenyan13("predict", str(run), *map(str, photos), "--json", "--top", "99")
    assert done.returncode == 0, done.stderr
    return pd.DataFrame(
        [{one["class"]: one["probability"] for one in row["classes"]} for row in json.loads(done.stdout)]
    )


def test_an_ensemble_predicts_by_the_mean_of_its_members(kenyan13: Command, runs: Path, photos: list[Path]) -> None:
    done = kenyan13("ensemble", *FOLDS, "--save", "all")
    assert done.returncode == 0, done.stderr
    assert "kenyan13 predict runs/all photo.jpg" in done.stdout
    opened = [replace(inference.open_run(Path(run)), temperature=1.0) for run in FOLDS]  # together they have their own
    found = [run.predict(photos)[0] for run in opened]
    means = pd.DataFrame(np.mean(found, axis=0, dtype=float), columns=[*opened[0].classes])
    assert means.shape == (5, 13)
    shutil.move("runs/all", "elsewhere")
    shutil.rmtree(runs)
    pd.testing.assert_frame_equal(answers(kenyan13, Path("elsewhere"), photos)[means.columns], means, atol=1e-6)
    done = kenyan13("predict", "elsewhere", "--test")
    assert done.returncode == 0, done.stderr
    test, submission = read_predictions(Path("elsewhere"), TEST), pd.read_csv("elsewhere/submission.csv", dtype=str)
    assert len(test) == 26
    assert submission["class"].tolist() == test.drop(columns="target").idxmax(axis=1).tolist()


def test_an_ensemble_of_folds_is_measured_out_of_fold(kenyan13: Command, runs: Path) -> None:
    kenyan13("ensemble", *FOLDS, "--save", "all")
    table, result = read_predictions(runs / "all"), read_result(runs / "all")
    assert len(table) == 130
    for fold in (0, 1):
        own = [probabilities_of(read_predictions(runs / f"{model}{fold}")) for model in "ab"]
        ids = read_predictions(runs / f"a{fold}").index
        np.testing.assert_allclose(probabilities_of(table.loc[ids]), np.mean(own, axis=0), atol=1e-7)
    targets, predicted = targets_of(table), probabilities_of(table).argmax(axis=1)
    assert result is not None
    assert result.accuracy == pytest.approx((targets == predicted).mean())
    assert result.macro_f1 == pytest.approx(f1_score(targets, predicted, average="macro"))
    exact = probabilities_of(table) / probabilities_of(table).sum(axis=1, keepdims=True)
    assert result.min_val_loss == pytest.approx(log_loss(targets, exact, labels=range(13)), rel=1e-4)
    assert (result.validation_images, result.train_images) == (130, 65)
    assert result.parameters == sum(json.loads((Path(run) / RESULT).read_text())["parameters"] for run in FOLDS)
    assert "Both agree." in kenyan13("evaluate", "runs/all").stdout
    network = torch.load(runs / "all" / MEMBERS / "b1" / BEST, weights_only=True)
    network["state_dict"]["network.fc.bias"] += torch.arange(13.0)
    torch.save(network, runs / "all" / MEMBERS / "b1" / BEST)
    assert "They differ" in kenyan13("evaluate", "runs/all").stdout


def test_other_commands_take_a_saved_run(kenyan13: Command, runs: Path) -> None:
    kenyan13("ensemble", "runs/a0", "runs/a1", "--save", "one")
    kenyan13("ensemble", *FOLDS, "--save", "all")
    listed = kenyan13("runs").stdout.splitlines()
    assert [line.split()[-2:] for line in listed[-2:]] == [["finished", "one"], ["finished", "all"]]
    compared = kenyan13("compare", "runs/one", "runs/all", "--json")
    settings = {one["run"]: one["settings"] for one in json.loads(compared.stdout)["runs"]}
    assert settings["runs/one"]["members"] == ["a0", "a1"]
    assert sorted(settings["runs/all"]["members"]) == ["a0", "a1", "b0", "b1"]
    assert json.loads(compared.stdout)["tests"][0]["images"] == 130
    assert kenyan13("report", "runs/all", "runs/one", "-o", "report").returncode == 0
    assert "put together from 4 runs" in Path("report/index.html").read_text()
    assert kenyan13("card", "all", "-o", "card.md").returncode == 0
    card = Path("card.md").read_text()
    assert "Put together from 4 networks of [timm]" in card
    assert "2 x small_cnn, 2 x test_resnet." in card
    assert 'kenyan13.load("FOLDER")' in card
    assert "library_name: onnx" in card


@pytest.mark.slow
def test_ensembles_may_be_members(kenyan13: Command, runs: Path, photos: list[Path]) -> None:
    first = kenyan13("ensemble", "runs/a0", "runs/a1", "--save", "a")
    assert first.returncode == 0, first.stderr
    kenyan13("ensemble", "runs/b0", "runs/b1", "--save", "new/b")
    assert kenyan13("ensemble", "runs/a", "new/b", "--save", "./both").returncode == 0
    kenyan13("ensemble", *FOLDS, "--save", "all")
    flat = answers(kenyan13, runs / "all", photos)
    pd.testing.assert_frame_equal(answers(kenyan13, Path("both"), photos)[flat.columns], flat, atol=1e-6)
    assert "Both agree." in kenyan13("evaluate", "both").stdout


def test_two_stages_predict_by_soft_gating(kenyan13: Command, runs: Path, photos: list[Path]) -> None:
    done = kenyan13("cascade", *(f"runs/{stage}" for stage in STAGES[::-1]), "--save", "whole")
    assert done.returncode == 0, done.stderr
    first, meats, greens = (answers(kenyan13, runs / stage, photos) for stage in STAGES)
    whole = answers(kenyan13, runs / "whole", photos)
    assert whole.shape == (5, 13)
    for group, second in (("meats", meats), ("greens", greens)):
        for name in second:
            np.testing.assert_allclose(whole[name], first[group] * second[name], atol=1e-6)
    alone = first.columns.drop(["meats", "greens"])
    np.testing.assert_allclose(whole[alone], first[alone], atol=1e-6)
    assert "Both agree." in kenyan13("evaluate", "runs/whole").stdout
    done = kenyan13("predict", "runs/whole", "--test")
    assert (done.returncode, done.stderr) == (0, "")
    assert set(pd.read_csv("runs/whole/submission.csv")["class"]) <= set(whole.columns)
    shutil.copytree("runs/meats", "runs/twin")
    kenyan13("ensemble", "runs/meats", "runs/twin", "--save", "twins")  # a stage may be an ensemble
    assert kenyan13("cascade", "runs/first", "runs/twins", "runs/greens", "--save", "twice").returncode == 0
    again = answers(kenyan13, runs / "twice", photos)[whole.columns]
    pd.testing.assert_frame_equal(again, whole, atol=1e-6)


@pytest.mark.parametrize(("stage", "told"), [("first", "groups"), ("meats", "meats")])
def test_a_stage_says_that_it_is_one(kenyan13: Command, runs: Path, photos: list[Path], stage: str, told: str) -> None:
    expected = f"This run only tells {told} apart; kenyan13 cascade --save puts stages together.\n"
    for done in (kenyan13("evaluate", f"runs/{stage}"), kenyan13("predict", f"runs/{stage}", str(photos[0]), "--json")):
        assert (done.returncode, done.stderr) == (0, expected)


def test_a_run_is_saved_once(kenyan13: Command, runs: Path) -> None:
    for _ in range(2):
        assert kenyan13("ensemble", "runs/a0", "runs/a1", "--save", "one").returncode == 0
    assert_one_screen(kenyan13("ensemble", *FOLDS, "--save", "one"), "runs/one is there already, and is not the same")
    assert_one_screen(kenyan13("ensemble", *FOLDS, "--save", "a0"), "runs/a0 is there already")
    (runs / "a1" / BEST).write_bytes((runs / "a0" / BEST).read_bytes())
    assert_one_screen(kenyan13("ensemble", "runs/a0", "runs/a1", "--save", "one"), "is there already")
    (runs / "a1" / BEST).unlink()
    assert_one_screen(kenyan13("ensemble", *FOLDS, "--save", "new"), "runs/a1 has no checkpoints/best.ckpt")
    assert not [path for path in runs.iterdir() if "new" in path.name], "nothing is written half"


def remove(folder: Path) -> None:
    shutil.rmtree(folder / MEMBERS / "a1")


def remove_network(folder: Path) -> None:
    (folder / MEMBERS / "a1" / BEST).unlink()


def cut_network(folder: Path) -> None:
    (folder / MEMBERS / "a1" / BEST).write_bytes(b"PK")


def leave(folder: Path) -> None:
    rewrite(folder, members=["../../a0"])


def rename_classes(folder: Path) -> None:
    config = yaml.safe_load((folder / CONFIG).read_text())
    rewrite(folder, data={**config["data"], "classes": ["a", "b"]})


def other_member(folder: Path) -> None:
    shutil.copytree("runs/meats", folder / MEMBERS / "a1", dirs_exist_ok=True)


def rewrite(folder: Path, **changed: object) -> None:
    config = yaml.safe_load((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(yaml.safe_dump({**config, **changed}))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (remove, "runs/one/members/a1 is no run directory. Did you mean 'a0'?"),
        (remove_network, "runs/one/members/a1 has no checkpoints/best.ckpt"),
        (cut_network, "runs/one/members/a1/checkpoints/best.ckpt is damaged"),
        (leave, "runs/one/config.yaml is damaged: members are no names of folders"),
        (rename_classes, "runs/one/config.yaml tells other classes than runs/one/members has"),
        (other_member, "not all the same classes"),
    ],
)
def test_damaged_members_are_named(
    kenyan13: Command, runs: Path, photos: list[Path], damage: Callable[[Path], None], message: str
) -> None:
    kenyan13("ensemble", "runs/a0", "runs/a1", "--save", "one")
    damage(runs / "one")
    for command in (["predict", "runs/one", str(photos[0])], ["evaluate", "runs/one"]):
        done = kenyan13(*command)
        assert_one_screen(done, message)
        assert len(done.stderr.splitlines()) <= 4


def test_images_that_cannot_be_read_are_left_out(runs: Path, photos: list[Path], kenyan13: Command) -> None:
    kenyan13("ensemble", "runs/a0", "runs/a1", "--save", "one")
    Path("broken.jpg").write_bytes(b"no image")
    paths = [photos[0], Path("broken.jpg"), photos[1]]
    found, bad = composed.open_any(runs / "one", ["data.on_bad=skip"]).predict(paths)
    expected, _ = composed.open_any(runs / "one").predict([photos[0], photos[1]])
    assert [*bad] == [1]
    assert np.isnan(found[1]).all()
    np.testing.assert_array_equal(found[[0, 2]], expected)


def test_runs_of_one_name_are_told_apart(runs: Path, photos: list[Path]) -> None:
    shutil.copytree(runs / "a1", "other/a0")
    members = [read_run(folder) for folder in (runs / "a0", Path("other/a0"))]
    place = save_runs("./mine", members, read_predictions(runs / "a0"))
    assert sorted(path.name for path in (place / MEMBERS).iterdir()) == ["a0", "a0~2"]
    assert not (place / MEMBERS / "a0" / VALIDATION).exists(), "only what predicting needs"
    both = [inference.open_run(member.folder).predict(photos)[0] for member in members]
    mean, _ = composed.open_any(place).predict(photos)
    np.testing.assert_allclose(mean, np.mean(both, axis=0), atol=1e-6)
