"""Folders as people really have them: understood, or refused with what was found; nothing is left out unsaid."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from screens import Done, assert_one_screen, write_images

from kenyan13.config.settings import DataSettings, Layout
from kenyan13.data.catalogue import Source, read

Command = Callable[..., Done]
XY = ("x/1.png", "x/2.png", "x/3.png", "y/1.png", "y/2.png", "y/3.png")


def below(folder: str, names: tuple[str, ...] = XY) -> list[str]:
    return [f"{folder}/{name}" for name in names]


def source(root: Path) -> Source:
    return read(DataSettings(layout=Layout.folder, root=str(root)))


UNDERSTOOD = {
    "Train Test": (["Train", "Test"], (6, None, 6)),
    "Training Testing": (["Training", "Testing"], (6, None, 6)),
    "TRAIN VAL TEST": (["TRAIN", "VAL", "TEST"], (6, 6, 6)),
    "seg_train in itself": (["seg_train/seg_train", "seg_test/seg_test"], (6, None, 6)),
    "train in itself": (["train/train", "val"], (6, 6, None)),
    "Validation": (["train", "Validation"], (6, 6, None)),
    "validate": (["train", "validate"], (6, 6, None)),
    "valid": (["train", "valid"], (6, 6, None)),
    "dev": (["train", "dev", "test"], (6, 6, 6)),
    "train_set": (["train_set", "test_set"], (6, None, 6)),
    "training data": (["training data", "validation data"], (6, 6, None)),
    "train-images": (["train-images", "val-images"], (6, 6, None)),
}


@pytest.mark.parametrize("case", UNDERSTOOD)
def test_parts_are_understood_in_any_spelling(tmp_path: Path, case: str) -> None:
    folders, counts = UNDERSTOOD[case]
    found = source(write_images(tmp_path, *(name for folder in folders for name in below(folder))))
    parts = (found.labelled, found.validation, found.test)
    assert tuple(part and len(part) for part in parts) == counts
    for part in filter(None, parts):
        assert (part.classes, part.targets.tolist()) == (("x", "y"), [0, 0, 0, 1, 1, 1])
    assert not found.left_out
    assert not found.notes


CLASSES = {
    "a class train": (["bus/1.png", "car/1.png", "train/1.png"], ("bus", "car", "train"), "train/ beside bus/, car/"),
    "a class test": (["mock/1.png", "test/1.png"], ("mock", "test"), "test/ beside mock/: read as a class"),
    "a class dev": (["dev/1.png", "ops/1.png", "web/1.png"], ("dev", "ops", "web"), "dev/ beside ops/, web/"),
}


@pytest.mark.parametrize("case", CLASSES)
def test_a_class_may_be_called_like_a_part(tmp_path: Path, case: str) -> None:
    files, classes, note = CLASSES[case]
    found = source(write_images(tmp_path, *files))
    assert found.labelled.classes == classes
    assert note in found.notes[0]
    assert found.test is None


def test_test_images_of_no_known_class_are_allowed(tmp_path: Path) -> None:
    more = ["test/unknown/1.png", "test/x/1.png", "test/2.png"]
    found = source(write_images(tmp_path, *below("train"), *more)).test
    assert found is not None
    assert dict(zip(found.ids, found.targets.tolist(), strict=True)) == dict(zip(more, (-1, 0, -1), strict=True))


def test_linked_folders_are_followed_and_links_back_are_not(tmp_path: Path) -> None:
    root = write_images(tmp_path / "d", *XY)
    write_images(tmp_path / "more", "a.png", "deep/b.png")
    (root / "x" / "more").symlink_to(tmp_path / "more")
    (root / "x" / "back").symlink_to(root)
    found = source(root)
    assert found.labelled.ids[3:5] == ("x/more/a.png", "x/more/deep/b.png")
    assert found.left_out == {"links to a folder above": ["x/back/"]}


LEFT_OUT = {
    "system folders": (["@eaDir/x/1.png", "x/@eaDir/1.png", "__MACOSX/x/1.png"], {"of the system": 3}),
    "system files": (["x/Thumbs.db", "desktop.ini", "y/DESKTOP.INI"], {"of the system": 3}),
    "hidden": ([".NET/1.png", "x/._1.png", ".DS_Store"], {"hidden": 3}),
    "endings": (["x/notes.txt", "x/clip.MP4", "readme"], {"no images by their ending": 3}),
    "loose": (["1.png", "2.png"], {"images outside of the class folders": 2}),
}


@pytest.mark.parametrize("case", LEFT_OUT)
def test_what_is_left_out_is_counted_by_reason(tmp_path: Path, case: str) -> None:
    files, expected = LEFT_OUT[case]
    found = source(write_images(tmp_path, *XY, *files))
    assert {reason: len(names) for reason, names in found.left_out.items()} == expected
    assert found.labelled.classes == ("x", "y")
    assert len(found.labelled) == 6


def test_dangling_links_and_pipes_are_counted(tmp_path: Path) -> None:
    root = write_images(tmp_path, *XY)
    for name in "abcdef":
        (root / "x" / f"{name}.png").symlink_to(tmp_path / "nowhere.png")
    os.mkfifo(root / "y" / "pipe.png")
    found = source(root).left_out
    assert len(found["links to nothing"]) == 6
    assert found["no regular files"] == ["y/pipe.png"]


def test_beside_the_parts_folders_of_images_are_counted(tmp_path: Path) -> None:
    found = source(write_images(tmp_path, *below("train"), *below("test"), "pred/1.png", "train/loose.png"))
    assert found.left_out == {"images outside of the class folders": ["pred/1.png", "train/loose.png"]}


def test_training_starts_with_five_lines_on_the_data(tmp_path: Path, train_py: Command) -> None:
    odd = [f"{reason}/{k}" for k in range(3) for reason in (".git", "@eaDir", "x")]
    root = write_images(tmp_path / "d", *below("train"), *below("test"), "loose.png", *odd, "train/x/a.txt")
    done = train_py("data=folder", f"data.root={root}", "trainer.devices=99")
    assert_one_screen(done, "trainer.devices=99: This machine has no more than")
    lines = done.stderr.splitlines()[:4]
    assert lines[:2] == ["Images: 4 to train, 2 to validate, 6 to test", "Classes: 2 of 3 (y) to 3 (x) images each"]
    assert lines[2].startswith("Left out: 1 hidden: .git/")
    assert max(map(len, lines)) <= 80
    text = " ".join(lines)
    for count in ("1 hidden", "1 of the system", "4 no images by their ending", "1 images outside"):
        assert count in text


FAULTS = {
    "val and valid": ([*below("train"), *below("val"), *below("valid")], "two folders for val: val/ and valid/"),
    "train twice": ([*below("train"), *below("Training")], "two folders for train"),
    "no train": ([*below("val"), *below("test")], "has test/, val/ but no train/ with"),
    "no train but classes": ([*XY, *below("test")], "has test/ but no train/ with"),
    "train without classes": (["train/1.png", "test/2.png"], "but no train/ with class folders"),
    "train beside others": ([*below("train"), "bus/1.png"], "train/ holds folders of images, and beside it are bus/"),
    "one folder above": (below("birds"), "are they in birds?"),
    "two folders above": (below("my/birds"), "are they in my/birds?"),
    "a folder between": ([*below("train/images"), *below("test/images")], "are they in train/images?"),
    "numbers": (["01/1.png", "1/1.png"], "look alike: '01' and '1'"),
    "unknown class in val": ([*below("train"), *below("val"), "val/z/1.png"], "folders of no class"),
    "unknown class in test": ([*below("train"), "test/z/1.png"], "folders of no class"),
    "empty class": ([*XY, "z/notes.txt"], "no images of the class z"),
    "no images": (["x/a.txt", "y/b.txt"], "no images of the class x"),
    "nothing": (["a.txt"], "has 0 class folder(s)"),
    "a single class": (["x/1.png"], "has 1 class folder(s)"),
    "hidden class": (["x/1.png", ".y/1.png"], "has 1 class folder(s)"),
    "only system folders": (["@eaDir/1.png", "__MACOSX/1.png"], "has 0 class folder(s)"),
    "reserved name": ([*XY, "target/1.png"], "A class cannot be named target"),
    "case": ([*XY, "X/1.png"], "look alike: 'X' and 'x'"),
    "accents": (["café/1.png", "cafe\u0301/1.png"], r"look alike: 'cafe\u0301' and 'caf\xe9'"),
    "zero-width blank": ([*XY, "x\u200b/1.png"], r"look alike: 'x' and 'x\u200b'"),
    "two blanks": (["red ant/1.png", "red  ant/1.png"], "look alike: 'red  ant' and 'red ant'"),
    "blank at the end": ([*XY, "x /1.png"], "look alike: 'x' and 'x '"),
    "full width": ([*XY, "\uff58/1.png"], r"look alike: 'x' and '\uff58'"),
    "no-break blank": (["red ant/1.png", "red\xa0ant/1.png"], r"look alike: 'red ant' and 'red\xa0ant'"),
    "case in val": ([*below("train"), *below("val", ("X/1.png", "y/1.png"))], "look alike: 'x' and 'X'"),
    "escapes": ([*below("train"), *below("val"), "val/\x1b[31m/1.png"], r"\x1b[31m"),
    "too few to divide": (["x/1.png", "y/1.png", "y/2.png"], "cannot divide 3 images"),
}  # fmt: skip


def test_folders_in_class_folders_are_told(tmp_path: Path) -> None:
    found = source(write_images(tmp_path, "images/a/1.png", "images/b/2.png", "more/3.png"))
    assert found.labelled.classes == ("images", "more")
    assert found.notes == ["2 folders in class folders, as images/a: read as of class images"]


@pytest.mark.parametrize("case", FAULTS)
def test_folders_that_cannot_be_used_are_named(tmp_path: Path, train_py: Command, case: str) -> None:
    files, words = FAULTS[case]
    root = write_images(tmp_path / "d", *files)
    assert_one_screen(train_py("data=folder", f"data.root={root}"), words)
    assert not (tmp_path / "runs").exists(), "nothing is written"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("data=folder data.root=nowhere", "does not exist"),
        ("data=folder data.root=t.csv", "data=table data.root="),
        ("data=folder data.root=photo.png", "is a file"),
        ("data=table data.root=d", "is a folder"),
        ("data=table data.root=none.csv", "The data file"),
        ("data=kenyan13 data.root=d/x", "There is no train.csv"),
        ("data=folder data.root=", "data.root= names no folder"),
    ],
)
def test_a_wrong_place_is_named(tmp_path: Path, train_py: Command, given: str, words: str) -> None:
    write_images(tmp_path, *below("d"), "photo.png", "t.csv", "d/t.csv")
    assert_one_screen(train_py(*given.split()), words)
