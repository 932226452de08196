"""Settings as people type them: texts stay texts, and what cannot be is said on one screen, before anything is done."""

import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from screens import Done, assert_one_screen, write_images

from kenyan13.cli.app import print_next
from kenyan13.config.compose import compose_settings
from kenyan13.runs.config_file import read_settings, write_config

Command = Callable[..., Done]
TEXTS = [
    "1e3", "true", "FALSE", "2024_10_05", "007", "1_000", "nan", "inf", "-.5", "0x1F", "1.0", "two words", "a:b", "50%",
    "a(b)", "[x]", "{x}", "a=b", "é", "x+y", "10..20", "~x",
]  # fmt: skip


@pytest.mark.parametrize("text", TEXTS)
def test_texts_stay_texts(tmp_path: Path, text: str) -> None:
    for key in ("name", "data.stage", "data.columns.label", "data.root", "runs"):
        if key == "name" and text.startswith("-"):
            continue
        found: object = compose_settings(["data=folder", "data.root=x", f"{key}={text}"])
        for part in key.split("."):
            found = getattr(found, part)
        assert found == text
    write_config(tmp_path, compose_settings(["data=demo"]), {"classes": ["a", "b"]})
    assert read_settings(tmp_path, [f"data.root={text}"]).data.root == text


def test_null_is_no_text_and_a_sweep_has_texts() -> None:
    assert compose_settings(["name=null"]).name is None
    from kenyan13.config.arguments import translate

    assert translate(["name=1e3,two", "seed=1,2"], sweep=True) == ["name='1e3',two", "seed=1,2"]


MISTAKES = [
    ("name=" + "a" * 300, "has 300 bytes.\n  -> allowed: 200"),
    ("name=" + "é" * 101, "has 202 bytes"),
    ("name=a/b", "is no name of a folder"),
    ("name=1,2", "stands for several runs"),
    ("data.workers=1000", "allowed: 0 to 128"),
    ("data.workers=-1", "allowed: 0 to 128"),
    ("optim.lr=0", "optim.lr=0 is out of range"),
    ("optim.lr=inf", "optim.lr=inf is out of range"),
    ("optim.lr=nan", "optim.lr=nan is out of range"),
    ("optim.lr=-1e-3", "is out of range"),
    ("trainer.devices=-1", "trainer.devices=-1: `devices` selected"),
    ("trainer.devices=99", "This machine has no more than"),
    ("trainer.devices=many", "trainer.devices=many: "),
    ("trainer.accelerator=tpu", "trainer.accelerator=tpu"),
    ("trainer.accelerator=nosuch", "trainer.accelerator=nosuch"),
    ("+model.nonsense=1 --cfg job", "There is no setting 'model.nonsense'"),
    ("model.nonsense=1 --cfg job", "There is no setting 'model.nonsense'"),
    ("data.workers=1000 --cfg job", "allowed: 0 to 128"),
    ("-m seed=1,2 --cfg job", "-m and --cfg do not go together"),
    ("seed=1,2 --cfg job --multirun", "-m and --cfg do not go together"),
    ("seed=1,2", "add -m to train one run a value: python train.py -m seed=1,2"),
    ("-m optim.lr=0,1e-3", "optim.lr=0 is out of range"),
    ("-m name=a,b model.nonsense=1", "There is no setting 'model.nonsense'"),
    ("seed=1 -m freeze=pt0,pt9 logger=none", "There is no freeze=pt9"),
    ("--epochs 3", "There is no flag --epochs"),
    ("model.crop=32 --lr=3", "There is no flag --lr"),
    ("data.root=a\x1b[31mb", r"a\x1b[31mb"),
]


@pytest.mark.parametrize(("given", "words"), MISTAKES)
def test_what_cannot_be_is_said(tmp_path: Path, train_py: Command, given: str, words: str) -> None:
    root = write_images(tmp_path / "d", "x/1.png", "x/2.png", "x/3.png", "y/1.png", "y/2.png", "y/3.png")
    assert_one_screen(train_py("data=folder", f"data.root={root}", *given.split()), words)
    assert not list(tmp_path.glob("runs/*"))


@pytest.mark.parametrize("place", [0, 1, 2])
def test_multirun_may_stand_anywhere(tmp_path: Path, train_py: Command, place: int) -> None:
    words = ["data=folder", "data.root=nowhere"]
    words.insert(place, "-m")
    assert_one_screen(train_py(*words, "seed=1,2"), "All 2 runs failed: The data folder", "nowhere does not exist")


def test_cfg_shows_settings_that_lack_a_value(train_py: Command) -> None:
    done = train_py("data=folder", "--cfg", "job")
    assert done.returncode == 0
    assert "root: ???" in done.stdout


def test_printed_commands_can_be_pasted(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["kenyan13", "predict", "runs/two words", "it's $HOME.jpg", "a" * 70]
    print_next(words)
    printed = capsys.readouterr().out.partition("Next:\n")[2]
    assert shlex.split(printed.replace(" \\\n", " "))[1:] == words[1:]
