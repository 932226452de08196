"""Archives: unsafe and damaged ones leave nothing behind, good ones end with the command that fits."""

import os
import shutil
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from kenyan13.data.archive import report, unpack
from kenyan13.errors import UserError

LAYOUT = {
    "train.csv": b"id,class\n1,chapati\n2,ugali\n",
    "test.csv": b"id\n3\n",
    **{f"images/images/{number}.jpg": b"image %d" % number for number in (1, 2, 3)},
}


def pack(path: Path, members: dict[str, bytes], links: tuple[str, ...] = ()) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = (0o120777 if name in links else 0o100644) << 16
            archive.writestr(info, content)
    return path


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "name", ["../evil", "a/../../evil", "a/../in", "/evil", "C:\\x", "..\\evil", "\\\\host\\x", "link", "out/x"]
)
def test_an_unsafe_member_is_refused_with_nothing_written(tmp_path: Path, name: str) -> None:
    archive = pack(tmp_path / "a.zip", LAYOUT | {name: b"/etc/passwd"}, links=("link",))
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "data").mkdir()
    (tmp_path / "data/out").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError) as caught:
        unpack(archive, tmp_path / "data")
    assert f"'{name}'" in caught.value.problem
    assert list(tree(tmp_path)) == ["a.zip"]
    assert not (tmp_path / "data.unpacking").exists()


@pytest.mark.parametrize("wrapper", ["", "Kenyan Food/", "images/"])
def test_one_wrapping_folder_is_stripped(tmp_path: Path, wrapper: str) -> None:
    members = {f"{wrapper}{name}": content for name, content in LAYOUT.items()}
    archive = pack(tmp_path / "a.zip", members | {"__MACOSX/._train.csv": b"junk"})
    unpack(archive, tmp_path / "deep/data")
    assert tree(tmp_path / "deep") == {f"data/{name}": content for name, content in LAYOUT.items()}


def test_unpacking_adds_missing_files_and_never_changes_one(tmp_path: Path) -> None:
    archive, root = pack(tmp_path / "a.zip", LAYOUT), tmp_path / "data"
    (tmp_path / "data.unpacking/images").mkdir(parents=True)  # left by a call that was killed
    root.mkdir()
    (root / "mine.txt").write_text("mine")
    (root / "train.csv").write_bytes(LAYOUT["train.csv"])
    unpack(archive, root)
    assert tree(root) == LAYOUT | {"mine.txt": b"mine"}
    assert not (tmp_path / "data.unpacking").exists()
    (root / "train.csv").write_text("edited")
    (root / "test.csv").unlink()
    with pytest.raises(UserError, match=r"other content than the archive in train\.csv; nothing"):
        unpack(archive, root)
    assert (root / "train.csv").read_text() == "edited"
    assert not (root / "test.csv").exists()


def test_too_little_room_is_said_with_sizes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = pack(tmp_path / "a.zip", {"zeros": bytes(3_000_000)})
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=2_000_000))
    with pytest.raises(UserError, match=r"take 3\.0 MB unpacked.*has 2\.0 MB free"):
        unpack(archive, tmp_path / "data")
    assert list(tree(tmp_path)) == ["a.zip"]


@pytest.mark.parametrize("damage", ["cut", "flipped", "text", "empty"])
def test_a_damaged_archive_leaves_nothing(tmp_path: Path, damage: str) -> None:
    archive = pack(tmp_path / "a.zip", {} if damage == "empty" else {"train.csv": os.urandom(1000)})
    content = archive.read_bytes()
    flipped = bytes([*content[:500], 255 - content[500], *content[501:]]) if len(content) > 500 else b""
    broken = {"cut": content[:700], "flipped": flipped, "text": b"hello"}
    archive.write_bytes(broken.get(damage, content))
    with pytest.raises(UserError, match=r"a\.zip is damaged or no zip file") as caught:
        unpack(archive, tmp_path / "data")
    assert caught.value.next_steps[0] == f"rm {archive}"
    assert list(tree(tmp_path)) == ["a.zip"]


FOOD = "train.csv 2 rows, test.csv 1 rows, 3 images in images/images"
BIRDS = {"set/robin/1.jpg": b"1", "set/robin/2.jpg": b"2", "set/wren/3.png": b"3", "readme.txt": b"x"}


@pytest.mark.parametrize(
    ("members", "to", "said"),
    [
        (LAYOUT, "data/kenyan13", [f"data/kenyan13: {FOOD}", "Next: python train.py model=efficientnet_b4 freeze=pt5"]),
        (LAYOUT, "my food", [f"my food: {FOOD}", """freeze=pt5 'data.root="my food"'"""]),
        ({f"a/b/{name}": content for name, content in LAYOUT.items()}, "food", ["freeze=pt5 data.root=food/a/b"]),
        (LAYOUT | {"test.csv": b"id\n3\n44\n"}, "food", ["test.csv 2 rows", "Missing: 44"]),
        (LAYOUT | {"test.csv": b"id\n4\n", "images/images/4.png": b"4"}, "food", ["3 images", "Missing: 4"]),
        (BIRDS, "birds", ["2 folders of images", "freeze=pt5 data=folder data.root=birds/set"]),
    ],
)
def test_the_report_ends_with_the_command_that_fits(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    members: dict[str, bytes],
    to: str,
    said: list[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    unpack(pack(tmp_path / "a.zip", members), tmp_path / to)
    report(Path(to))
    out = capsys.readouterr().out
    assert [part for part in said if part not in out] == []
    assert out.splitlines()[-1].startswith("Next: python train.py")
    assert "Missing" in said[-1] or out.rstrip().endswith(said[-1])


def test_images_without_labels_are_no_layout(tmp_path: Path) -> None:
    unpack(pack(tmp_path / "a.zip", {"images/images/1.jpg": b"1"}), tmp_path / "data")
    with pytest.raises(UserError, match=r"no layout that training can read\. It holds: images"):
        report(tmp_path / "data")
    assert list(tree(tmp_path / "data")) == ["images/images/1.jpg"]  # images/ is no wrapping folder
