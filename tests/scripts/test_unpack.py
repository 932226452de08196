"""Archives: unsafe and damaged ones leave nothing behind, good ones end with the command that fits."""

from collections.abc import Callable
from pathlib import Path

import download
import pytest
from archives import LAYOUT, TRAIN, pack, tree

BIRDS = {"set/robin/1.jpg": b"1", "set/robin/2.jpg": b"2", "set/wren/3.png": b"3", "readme.txt": b"x"}
UNSAFE = {name: pack(LAYOUT | {name: b"/etc/passwd"}, links=("link",)) for name in (
    "../evil", "a/../../evil", "a/../in", "/evil", "C:\\x", "..\\evil", "link",
)}  # fmt: skip
GOOD = pack({"train.csv": bytes(range(256)) * 4})
DAMAGED = {"cut": GOOD[:700], "flipped": GOOD[:500] + b"?" + GOOD[501:], "text": b"hello", "empty": b""}


@pytest.mark.parametrize("kind", [*UNSAFE, *DAMAGED])
def test_an_unsafe_or_damaged_archive_leaves_nothing(tmp_path: Path, fails: Callable[..., str], kind: str) -> None:
    (tmp_path / "a.zip").write_bytes((UNSAFE | DAMAGED)[kind])
    message = fails(download.url, tmp_path / "a.zip", tmp_path / "data")
    if kind in UNSAFE:
        assert f"Unsafe archive: its member '{kind}'" in message
        assert list(tree(tmp_path)) == ["a.zip"]
    else:
        assert "not a zip file" in message or "Bad CRC-32" in message
        assert f"rm -r {tmp_path}/data.download" in message
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("wrapper", ["", "Kenyan Food/", "images/"])
def test_one_wrapping_folder_is_stripped(tmp_path: Path, wrapper: str) -> None:
    members = {f"{wrapper}{name}": content for name, content in LAYOUT.items()}
    (tmp_path / "a.zip").write_bytes(pack(members | {"__MACOSX/._train.csv": b"junk"}))
    download.url(str(tmp_path / "a.zip"), tmp_path / "deep/data")
    assert tree(tmp_path / "deep") == {f"data/{name}": content for name, content in LAYOUT.items()}


def test_unpacking_adds_missing_files_and_never_changes_one(tmp_path: Path, fails: Callable[..., str]) -> None:
    archive, root = tmp_path / "a.zip", tmp_path / "data"
    archive.write_bytes(pack(LAYOUT))
    (tmp_path / "data.download/unpacked/images").mkdir(parents=True)  # left by a call that was killed
    root.mkdir()
    (root / "mine.txt").write_text("mine")
    (root / "train.csv").write_bytes(LAYOUT["train.csv"])
    download.url(str(archive), root)
    assert tree(root) == LAYOUT | {"mine.txt": b"mine"}
    (root / "train.csv").write_text("id,class\n1,edited")
    assert "other content than the download in train.csv; nothing was changed" in fails(download.url, archive, root)
    assert tree(root) == LAYOUT | {"mine.txt": b"mine"} | {"train.csv": b"id,class\n1,edited"}


@pytest.mark.parametrize(
    ("members", "to", "found"),
    [
        (LAYOUT, "my food", f"my food: train.csv, 2 images of 2 classes, 1 test images\n{TRAIN} 'data.root=my food'\n"),
        (
            {f"a/b/{name}": content for name, content in LAYOUT.items() if name != "test.csv"},
            "food",
            f"food/b: train.csv, 2 images of 2 classes\n{TRAIN} data.root=food/b\n",
        ),
        (
            BIRDS,
            "b",
            f"b/set: one folder a class, 3 images of 2 classes\n{TRAIN} data=folder data.root=b/set\n",
        ),
    ],
)
def test_the_end_names_the_layout_and_the_command_that_fits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    members: dict[str, bytes], to: str, found: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    Path("a.zip").write_bytes(pack(members))
    download.url("a.zip", Path(to))
    assert capsys.readouterr().out == found


@pytest.mark.parametrize(
    ("members", "message"),
    [
        (LAYOUT | {"test.csv": b"id\n3\n44\n"}, "food/test.csv have no image"),
        ({"images/images/1.jpg": b"1"}, "0 class folder(s);"),
    ],
)
def test_data_that_training_cannot_use_are_kept_and_the_reason_is_said(
    tmp_path: Path, fails: Callable[..., str], members: dict[str, bytes], message: str
) -> None:
    (tmp_path / "a.zip").write_bytes(pack(members))
    assert message in fails(download.url, tmp_path / "a.zip", tmp_path / "food")
    assert tree(tmp_path / "food") == members
