"""`kenyan13 best` as a user types it: backbones tried, the best one fine-tuned in folds, and all averaged that pay."""

from collections.abc import Callable
from pathlib import Path

import pytest
from test_commands import TINY, Command, assert_one_screen

from kenyan13 import cli
from kenyan13.analysis.ensemble import name_of, pool, read_models
from kenyan13.analysis.saving import select_by_others
from kenyan13.cli.models import estimate
from kenyan13.config.settings import Settings
from kenyan13.runs.predictions import labelled, read_predictions, scores
from kenyan13.runs.run import read_run
from kenyan13.training import trainer

SETTINGS = [word for word in TINY if not word.startswith(("model=", "trainer.max_epochs="))]
SETTINGS += ["model.pretrained=false", "data.folds=2", "trainer.max_epochs=2"]


def test_the_best_models_of_several_backbones_become_one_run(
    kenyan13: Command, demo_root: Path, cache: Path, tmp_path: Path
) -> None:
    places = [f"data.root={demo_root}", f"data.cache={cache}", f"runs={tmp_path}/runs"]
    command = ["best", "test_resnet", "test_efficientnet", *SETTINGS, *places, "optim.lr=1e-3", "--top", "1"]
    done = kenyan13(*command)
    assert done.returncode == 0, done.stderr
    folders = sorted((tmp_path / "runs").iterdir())
    assert len(folders) == 2 + 2 + 2 + 1, "two backbones' heads, one fine-tuned, each in two folds; and their mean"
    predictions = read_predictions(tmp_path / "runs" / "best")
    assert len(predictions) == 130, "every labelled image is predicted by models that were not trained on it"
    found = scores(labelled(predictions))
    runs = [read_run(folder) for folder in folders if folder.name != "best"]
    tables = {name_of(model): pool(model) for model in read_models([run.folder for run in runs])}
    folds = [table.index for table in (run.predictions for run in runs[:2]) if table is not None]
    honest = scores(labelled(select_by_others(tables, folds)))
    (row,) = [line for line in done.stdout.splitlines() if line.startswith("mean of those with *")]
    assert f"{100 * honest['accuracy']:.2f}" in row
    assert f"{honest['loss']:.4f}" in row
    result = read_run(tmp_path / "runs" / "best").result
    assert result is not None
    assert result.accuracy == pytest.approx(found["accuracy"])
    assert result.temperature != 1
    assert max(map(len, (line for line in done.stdout.splitlines() if str(tmp_path) not in line))) <= 80
    assert f"kenyan13 export {tmp_path}/runs/best" in " ".join(done.stdout.replace("\\\n", "").split()), (
        "which takes long with many networks"
    )
    again = kenyan13(*command)
    assert again.returncode == 0, again.stderr
    assert "had finished before" in again.stdout
    predicted = kenyan13("predict", f"{tmp_path}/runs/best", f"{demo_root}/images/images", "--top", "1")
    assert predicted.returncode == 0, predicted.stderr


@pytest.mark.slow
def test_hours_that_allow_nothing_leave_the_linear_classifiers(
    kenyan13: Command, demo_root: Path, cache: Path, tmp_path: Path
) -> None:
    places = [f"data.root={demo_root}", f"data.cache={cache}", f"runs={tmp_path}/runs"]
    done = kenyan13("best", "test_resnet", *SETTINGS, *places, "--hours", "0")
    assert done.returncode == 0, done.stderr
    assert "left out: --hours" in done.stdout
    assert len(list((tmp_path / "runs").iterdir())) == 3


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["data=demo", "--weights", "{tmp}"], "There are no *.safetensors"),
        (["resnett18", "data=demo"], "None of these models could be trained"),
        (["resnet18", "data=birds"], "data=birds"),
    ],
)
def test_mistakes_are_said_on_one_screen(kenyan13: Command, tmp_path: Path, arguments: list[str], part: str) -> None:
    given = [word.replace("{tmp}", str(tmp_path)) for word in arguments]
    assert_one_screen(kenyan13("best", *given), part)
    if "--weights" in given:
        assert_one_screen(kenyan13("probe", *given), part)


@pytest.mark.parametrize("verb", ["best", "probe"])
def test_ctrl_c_says_how_to_go_on(
    verb: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("kenyan13.training.run.train", interrupted)
    monkeypatch.setattr("sys.argv", ["kenyan13", verb, "resnet18", "data=demo", f"data.root={tmp_path}"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 130
    assert capsys.readouterr().err == "Interrupted. The same command goes on where it stopped.\n"


def test_the_estimate_is_of_the_epochs_that_are_chosen(
    compose: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer, "seconds_a_step", lambda *_: 1.0)
    common = "model.backbone=test_resnet", "recipe=modern"
    two, four = (estimate(compose(*common, f"trainer.max_epochs={epochs}")) for epochs in (2, 4))
    assert two == 5 * 2 * (104 + 26 * 2 / 3) / 16
    assert four == 2 * two
