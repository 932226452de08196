"""Two stages from end to end: trained on drawings, put together, evaluated, and used by the commands."""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hand_made import composed_correct
from sklearn.metrics import accuracy_score, f1_score

from kenyan13 import cli
from kenyan13.analysis.cascade import compose, read_stages, write_cascade
from kenyan13.config.compose import compose_settings
from kenyan13.runs.directory import SOFT, TEST, VALIDATION
from kenyan13.runs.predictions import classes_of, labelled, probabilities_of, read_predictions, scores, targets_of
from kenyan13.runs.result import read_result
from kenyan13.training.run import train

GROUPS = "data.groups={meats:[kukuchoma,nyamachoma],greens:[sukumawiki,ugali]}"
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def stages(demo_root: Path, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Three stages, each trained for some epochs, by stage."""
    runs = tmp_path_factory.mktemp("runs")
    common = [
        f"data.root={demo_root}", f"data.cache={cache}", f"runs={runs}", "data.workers=0", "model=small_cnn",
        "model.crop=32", "model.batch_size=16", "trainer=cpu", "callbacks.tensorboard.graph=false",
        "trainer.max_epochs=4", "optim.lr=1e-3", "data.test=true", GROUPS,
    ]  # fmt: skip
    for stage in ("first", "meats", "greens"):
        train(compose_settings([*common, f"data.stage={stage}", f"name={stage}"]))
    return {stage: runs / stage for stage in ("first", "meats", "greens")}


@pytest.fixture
def kenyan13(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `kenyan13 ARGUMENTS`; returns exit code, output and errors."""

    def command(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["kenyan13", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return int(ended.value.code or 0), *capsys.readouterr()

    return command


def test_each_stage_predicts_every_validation_image(stages: dict[str, Path]) -> None:
    saved = {stage: read_predictions(folder) for stage, folder in stages.items()}
    assert all(predictions.index.equals(saved["first"].index) for predictions in saved.values())
    assert len(saved["first"]) == 26
    assert (saved["first"]["target"] != "").all()
    for group in ("meats", "greens"):
        inside = saved[group]["target"] != ""
        of_group = saved["first"]["target"] == group
        assert inside.tolist() == of_group.tolist()
        assert 0 < inside.sum() < 26
        table = pd.read_csv(stages[group] / VALIDATION, keep_default_na=False)
        assert (table["target"] == "").tolist() == (~inside).tolist()
        assert table["predicted"].isin(classes_of(saved[group])).all()


def test_metrics_of_a_stage_count_its_own_images_only(stages: dict[str, Path]) -> None:
    for folder in stages.values():
        own, result = labelled(read_predictions(folder)), read_result(folder)
        assert result is not None
        targets, probabilities = targets_of(own), probabilities_of(own)
        predicted = probabilities.argmax(axis=1)
        assert result.validation_images == len(own)
        assert result.accuracy == pytest.approx(accuracy_score(targets, predicted))
        assert result.macro_f1 == pytest.approx(f1_score(targets, predicted, average="macro"))
        expected = -np.log(probabilities[np.arange(len(targets)), targets]).mean()
        assert result.min_val_loss == pytest.approx(expected, rel=1e-4)


def test_the_stages_together(stages: dict[str, Path], tmp_path: Path) -> None:
    composed = compose(read_stages([stages["greens"], stages["first"], stages["meats"]]))
    matrices = dict(composed.matrices)
    assert list(matrices) == ["stage1", "meats", "greens", "hard", "soft"]
    classes = classes_of(composed.hard)
    assert len(classes) == 13
    assert classes == tuple(sorted(classes))
    both = {"hard": composed.hard, "soft": composed.soft}
    right = {name: round(26 * scores(table)["accuracy"]) for name, table in both.items()}
    for name, table in both.items():
        assert probabilities_of(table).sum(axis=1) == pytest.approx(1, abs=1e-5)
        assert (matrices[name].to_numpy().sum(), np.trace(matrices[name].to_numpy())) == (26, right[name])
    assert composed_correct(matrices["stage1"], {name: matrices[name] for name in ("greens", "meats")}) == right["hard"]
    write_cascade(tmp_path / "both", composed)
    hard, soft = (read_predictions(tmp_path / "both", name) for name in (VALIDATION, SOFT))
    pd.testing.assert_frame_equal(hard.astype(composed.hard.dtypes), composed.hard)
    pd.testing.assert_frame_equal(soft.astype(composed.soft.dtypes), composed.soft)
    predicted = pd.read_csv(tmp_path / "both" / VALIDATION)["predicted"]
    first = pd.read_csv(stages["first"] / VALIDATION)["predicted"]
    for group in ("meats", "greens"):
        second = pd.read_csv(stages[group] / VALIDATION)["predicted"]
        assert predicted[first == group].tolist() == second[first == group].tolist()
    alone = ~first.isin(["meats", "greens"])
    assert predicted[alone].tolist() == first[alone].tolist()
    for name, matrix in matrices.items():
        read = pd.read_csv(tmp_path / "both" / f"confusion_{name}.csv", index_col="target")
        pd.testing.assert_frame_equal(read, matrix, check_names=False)


def test_the_labels_are_those_of_the_data(stages: dict[str, Path], demo_root: Path) -> None:
    composed = compose(read_stages(list(stages.values())))
    label = pd.read_csv(demo_root / "train.csv", dtype=str).set_index("id")["class"]
    predictions = composed.hard
    assert predictions["target"].tolist() == label[predictions.index].tolist()


def test_the_command_prints_tables(kenyan13: Run, stages: dict[str, Path], tmp_path: Path) -> None:
    folders = [str(folder) for folder in stages.values()]
    composed = compose(read_stages(list(stages.values())))
    code, out, err = kenyan13("cascade", *folders, "--output", str(tmp_path / "both"))
    assert code == 0, err
    assert f"hard gating  {scores(composed.hard)['accuracy']:>8.2%}  " in out
    assert "Predictions of meats" in out
    assert max(map(len, out.splitlines()[:-1])) <= 120
    assert (tmp_path / "both" / VALIDATION).is_file()
    code, out, err = kenyan13("cascade", *folders, "--output", folders[0])
    assert (code, "is the folder of a run" in err) == (2, True)
    code, out, err = kenyan13("groups", folders[0])
    assert (code, "is a run of data.stage=first" in err) == (2, True)


def test_a_stage_is_evaluated_and_predicts_in_its_own_classes(kenyan13: Run, stages: dict[str, Path]) -> None:
    for stage, folder in stages.items():
        trained = read_predictions(folder, TEST)  # data.test=true
        assert (len(trained), classes_of(trained)) == (26, classes_of(read_predictions(folder)))
        code, out, err = kenyan13("evaluate", str(folder))
        assert (code, "Both agree." in out) == (0, True), err
        code, out, err = kenyan13("predict", str(folder), "--test")
        assert code == 0, err
        submission = pd.read_csv(folder / "submission.csv", dtype=str)
        assert len(submission) == 26
        assert set(submission["class"]) <= set(classes_of(read_predictions(folder))), stage
