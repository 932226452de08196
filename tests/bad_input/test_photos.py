"""Photos given to a run: what can be answered is answered, what not is named, and the exit code tells."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from screens import Done, assert_one_screen, write_images

from kenyan13.config.compose import compose_settings
from kenyan13.runs.directory import TEST
from kenyan13.training.run import train

Command = Callable[..., Done]
CLASSES = ("=cmd()", "x\x1b[31m", "y")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained run of classes with wild names, and labelled test images beside one without label."""
    root = tmp_path_factory.mktemp("wild")
    write_images(
        root / "d", *(f"{part}/{name}/{k}.png" for part in ("train", "test") for name in CLASSES for k in "123")
    )
    write_images(root / "d", "test/unknown/1.png")
    given = ["data=folder", f"data.root={root}/d", f"data.cache={root}/cache", f"runs={root}/runs", "name=a run"]
    tiny = [
        "model=small_cnn",
        "model.crop=32",
        "model.batch_size=4",
        "trainer=cpu",
        "trainer.max_epochs=1",
        "logger=none",
    ]
    train(compose_settings([*given, *tiny, "recipe=study", "data.validation_fraction=0.34", "data.workers=0"]))
    return root / "runs" / "a run"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Three photos of which one is none, with files that are no images."""
    folder: Path = write_images(tmp_path / "photos", "a.png", "=b.png", "notes.txt", ".hidden.png")
    (folder / "bad.png").write_bytes(b"no image")
    return folder


def test_what_can_be_answered_is_answered(kenyan13: Command, run: Path, photos: Path) -> None:
    done = kenyan13("predict", str(run), str(photos))
    assert_one_screen(
        done, "1 of 3 images could not be read", "Left out: 1 hidden", "1 no images by their ending", code=1
    )
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["=b.png", "a.png", "bad.png"]
    assert "not read: " in done.stdout
    assert r"x\x1b[31m" in done.stdout


def test_names_of_several_lines_stay_in_their_row(kenyan13: Command, run: Path, photos: Path) -> None:
    (photos / "a.png").rename(photos / "a\nb\tc.png")
    lines = kenyan13("predict", str(run), str(photos)).stdout.splitlines()
    assert len(lines) == 3
    assert lines[1].startswith(r"a\nb\tc.png")


def test_all_read_is_exit_code_0_and_one_asked_to_stop_stops(kenyan13: Command, run: Path, photos: Path) -> None:
    assert kenyan13("predict", str(run), str(photos / "a.png")).returncode == 0
    assert_one_screen(kenyan13("predict", str(run), str(photos / "bad.png")), "1 of 1 images could not", code=1)
    stopped = kenyan13("predict", str(run), str(photos), "data.on_bad=stop")
    assert_one_screen(stopped, "1 of 3 images cannot be read", "bad.png")


def test_csv_is_safe_in_spreadsheets_and_json_is_exact(kenyan13: Command, run: Path, photos: Path) -> None:
    for ending in ("csv", "json"):
        done = kenyan13(
            "predict", str(run), str(photos), "-o", str(photos.parent / "new" / f"p.{ending}"), "--top", "3"
        )
        assert_one_screen(done, "2 of 3 images predicted", code=1)
    table = pd.read_csv(photos.parent / "new" / "p.csv", keep_default_na=False)
    assert table.columns.tolist() == [
        "image",
        *[f"{name}{k}" for k in (1, 2, 3) for name in ("class", "probability")],
        "error",
    ]
    assert {*table.loc[:1, ["class1", "class2", "class3"]].to_numpy().ravel()} == {"'=cmd()", *CLASSES[1:]}
    assert table["error"].map(bool).tolist() == [False, False, True]
    listed = json.loads((photos.parent / "new" / "p.json").read_text())
    assert {one["class"] for one in listed[0]["classes"]} == set(CLASSES)
    assert sum(one["probability"] for one in listed[0]["classes"]) == pytest.approx(1, abs=1e-5)
    assert list(listed[2]) == ["image", "error"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-o", "p.txt"], "p.txt is no name of a CSV or JSON file"),
        (["-o", "."], "is no name of a CSV or JSON file"),
        (["nowhere.jpg"], "There is no image or folder nowhere.jpg"),
        (["data.rot=x"], "Did you mean 'data.root'?"),
    ],
)
def test_mistakes_of_predict(kenyan13: Command, run: Path, photos: Path, arguments: list[str], words: str) -> None:
    assert_one_screen(kenyan13("predict", str(run), str(photos), *arguments), words)


def test_labelled_test_images_are_scored(kenyan13: Command, run: Path, tmp_path: Path) -> None:
    done = kenyan13("evaluate", str(run), "--test")
    assert_one_screen(done, "9 test images)", "95 % interval", "macro F1", r"x\x1b[31m", code=0)
    table = pd.read_csv(run / TEST, dtype=str, keep_default_na=False)
    assert sorted(table["target"]) == ["", *sorted([*CLASSES] * 3)]
    right = (table["target"] == table["predicted"]).sum()
    assert f"accuracy  {right / 9:.2%}" in done.stdout
    page = kenyan13("report", str(run), "-o", str(tmp_path / "report"))
    assert page.returncode == 0
    assert "test accuracy" in (tmp_path / "report" / "index.html").read_text() + "".join(
        file.read_text() for file in (tmp_path / "report").rglob("*.html")
    )


def test_unlabelled_test_images_are_refused(kenyan13: Command, run: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(run.parents[1] / "d", tmp_path / "d"))
    for name in CLASSES:
        shutil.rmtree(root / "test" / name)
    assert_one_screen(
        kenyan13("evaluate", str(run), "--test", f"data.root={root}"), "have no labels", f"'{run}' --test"
    )
    shutil.rmtree(root / "test")
    assert_one_screen(kenyan13("evaluate", str(run), "--test", f"data.root={root}"), "has no test images")
