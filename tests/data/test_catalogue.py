"""What images there are: both layouts read exactly, and every fault of a data set named with its place."""

from pathlib import Path

import numpy as np
import pytest

from kenyan13.config.settings import DataSettings, Layout
from kenyan13.data.catalogue import Catalogue, read, read_folders
from kenyan13.data.tables import GET_DATA, read_competition
from kenyan13.errors import UserError

TRAIN = "id,class\n9,ugali\n00000000000000000003,bhaji\n18446744073709551615,ugali\n1,mukimo\n"


def competition(root: Path, train: str | bytes = TRAIN, test: str | None = None, images: str = "") -> Path:
    """Write label files and empty images: those of the labels in TRAIN, or the ids in `images`."""
    folder = root / "images" / "images"
    folder.mkdir(parents=True)
    (root / "train.csv").write_bytes(train.encode() if isinstance(train, str) else train)
    if test is not None:
        (root / "test.csv").write_text(test)
    for id_ in images.split() or [line.split(",")[0] for line in TRAIN.splitlines()[1:]]:
        (folder / f"{id_}.jpg").touch()
    return root


def tree(root: Path, files: str) -> Path:
    """Write empty files, with the folders above them."""
    for file in files.split():
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).touch()
    return root


def facts(images: Catalogue | None, root: Path) -> tuple[list[str], list[int]]:
    """Return ids and targets, having checked that each path of a folder catalogue is its id below the root."""
    assert images is not None
    assert [path.relative_to(root).as_posix() for path in images.paths] == list(images.ids)
    return list(images.ids), images.targets.tolist()


def problem(error: pytest.ExceptionInfo[UserError]) -> str:
    assert error.value.next_steps
    return error.value.problem


def test_competition_rows_keep_their_order_and_their_ids_as_texts(tmp_path: Path) -> None:
    ids = ("9", "00000000000000000003", "18446744073709551615", "1")
    source = read_competition(competition(tmp_path, test="id\n0007\n9\n", images=f"{' '.join(ids)} 0007 unlisted"))
    assert source.labelled.ids == ids
    assert source.labelled.paths == tuple(tmp_path / "images" / "images" / f"{id_}.jpg" for id_ in ids)
    assert source.labelled.classes == ("bhaji", "mukimo", "ugali")
    assert source.labelled.targets.tolist() == [2, 0, 2, 1]
    assert source.labelled.targets.dtype == np.int64
    assert source.validation is None
    assert source.test is not None
    assert source.test.ids == ("0007", "9")
    assert source.test.paths[0] == tmp_path / "images" / "images" / "0007.jpg"
    assert source.test.targets.tolist() == [-1, -1]
    assert source.test.classes == source.labelled.classes


def test_competition_without_test_csv_has_no_test_images(tmp_path: Path) -> None:
    assert read_competition(competition(tmp_path)).test is None


@pytest.mark.parametrize(
    "train",
    [
        b"\xef\xbb\xbf" + TRAIN.encode(),  # byte order mark
        TRAIN.replace("\n", "\r\n").encode(),
        b"\xef\xbb\xbf" + TRAIN.replace("\n", "\r\n").encode(),
        TRAIN.replace(",", " , ").encode(),
        TRAIN.replace("\n", " \n").encode(),
        TRAIN.replace("\n", ",\n").encode(),
        TRAIN.replace("\n1,", "\n\n1,").encode() + b"\n \n,\n",
        TRAIN.rstrip().encode(),
        "\n".join(",".join([*line.split(",")[::-1], "note"]) for line in TRAIN.splitlines()).encode(),
        TRAIN.replace("ugali", '"ugali"').encode(),
    ],
)
def test_every_dialect_of_csv_reads_the_same(tmp_path: Path, train: bytes) -> None:
    read_ = read_competition(competition(tmp_path / "dialect", train)).labelled
    plain = read_competition(competition(tmp_path / "plain")).labelled
    assert (read_.ids, read_.classes, read_.targets.tolist()) == (plain.ids, plain.classes, plain.targets.tolist())


@pytest.mark.parametrize(
    ("train", "words"),
    [
        ("", ["train.csv cannot be read as CSV"]),
        (b"\xff\xfei\x00d\x00", ["train.csv cannot be read as CSV: it is written in UTF-16"]),
        ('id,class\n1,"bhaji\n2,ugali\n', ["train.csv cannot be read as CSV"]),
        ("id,class\n1,rice, fried\n", ["train.csv cannot be read as CSV"]),
        ("id,class\n1,bhaji\n2,rice, fried\n", ["train.csv cannot be read as CSV", "line 3"]),
        ("id,class\n\n,\n", ["train.csv has no rows"]),
        ("id,kind\n1,bhaji\n", ["train.csv has no column class; its columns are id, kind."]),
        ("name,kind\n1,bhaji\n", ["no column id; its columns are name, kind"]),
        ("id,class\n1,bhaji\n2,\n3,ugali\n4\n,ugali\n", ["empty cells in line 3, 5, 6."]),
        ("id,class\n1,bhaji\n\n\n2,  \n", ["empty cells in line 5."]),
        ("id,class\n7,bhaji\n1,bhaji\n7,ugali\n1,bhaji\n", ["repeated ids: 7 (lines 2, 4), 1 (lines 3, 5)."]),
    ],
)
def test_faulty_label_files_are_refused_with_the_place(tmp_path: Path, train: str | bytes, words: list[str]) -> None:
    with pytest.raises(UserError) as error:
        read_competition(competition(tmp_path, train))
    assert str(tmp_path / "train.csv") in problem(error)
    for word in words:
        assert word in problem(error)


def test_ids_without_image_are_counted_with_their_lines(tmp_path: Path) -> None:
    train = "id,class\n" + "".join(f"{k},bhaji\n" for k in range(8)) + "\n../../x,ugali\n"
    with pytest.raises(UserError) as error:
        read_competition(competition(tmp_path, train, images="0 2 x"))
    assert "7 of 9 ids in" in problem(error)
    assert "(line 3: 1, line 5: 3, line 6: 4, line 7: 5, line 8: 6 and 2 more)" in problem(error)
    (tmp_path / "train.csv").write_text("id,class\n0,bhaji\n\n\n1,ugali\n")
    with pytest.raises(UserError, match=r"1 of 2 ids .* \(line 5: 1\)"):
        read_competition(tmp_path)
    (tmp_path / "train.csv").write_text(train)
    (tmp_path / "images").rename(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="9 of 9 ids in"):
        read_competition(tmp_path)


def test_a_missing_root_names_the_ways_to_get_data(tmp_path: Path) -> None:
    for layout, steps in ((Layout.folder, ("check data.root=",)), (Layout.competition, GET_DATA)):
        with pytest.raises(UserError) as error:
            read(DataSettings(layout=layout, root=str(tmp_path / "nowhere")))
        assert problem(error) == f"The data folder {tmp_path / 'nowhere'} does not exist."
        assert error.value.next_steps == steps
    (tmp_path / "photo.jpg").touch()
    with pytest.raises(UserError, match=r"photo\.jpg is a file\."):
        read(DataSettings(layout=Layout.folder, root=str(tmp_path / "photo.jpg")))


def test_read_follows_the_layout_and_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    competition(tmp_path / "food")
    tree(tmp_path / "birds", "tit/1.png owl/1.png")
    assert read(DataSettings(layout=Layout.competition, root="~/food")).labelled.ids[0] == "9"
    assert read(DataSettings(layout=Layout.demo, root="~/food")).labelled.ids[0] == "9"
    assert read(DataSettings(layout=Layout.folder, root="~/birds")).labelled.classes == ("owl", "tit")


def test_one_folder_a_class(tmp_path: Path) -> None:
    images = "tit/2.jpg tit/10.jpg tit/far/album.jpg/a.webp owl/b.JPG owl/c.Jpeg owl/a.PNG owl/d.TIF"
    others = "readme.txt .git/x.png .cache/y.png tit/.hidden.jpg tit/.thumbs/z.jpg tit/notes.txt owl/jpg owl/e.svg"
    source = read_folders(tree(tmp_path, f"{images} {others}"))
    assert source.labelled.classes == ("owl", "tit")
    ids = ["owl/a.PNG", "owl/b.JPG", "owl/c.Jpeg", "owl/d.TIF", "tit/10.jpg", "tit/2.jpg", "tit/far/album.jpg/a.webp"]
    assert facts(source.labelled, tmp_path) == (ids, [0, 0, 0, 0, 1, 1, 1])
    assert (source.validation, source.test) == (None, None)


def test_train_val_and_flat_test_folders(tmp_path: Path) -> None:
    files = (
        "train/tit/1.png train/owl/1.png val/tit/3.png val/owl/2.png test/b.png test/a.png test/.c.png extra/x/1.png"
    )
    source = read_folders(tree(tmp_path, files))
    assert facts(source.labelled, tmp_path) == (["train/owl/1.png", "train/tit/1.png"], [0, 1])
    assert facts(source.validation, tmp_path) == (["val/owl/2.png", "val/tit/3.png"], [0, 1])
    assert facts(source.test, tmp_path) == (["test/a.png", "test/b.png"], [-1, -1])


def test_test_images_in_class_folders_are_labelled(tmp_path: Path) -> None:
    source = read_folders(tree(tmp_path, "train/tit/1.png train/owl/1.png test/tit/5.png test/tit/4.png"))
    assert facts(source.test, tmp_path) == (["test/tit/4.png", "test/tit/5.png"], [1, 1])
    assert source.validation is None


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ("readme.txt", "{root} has 0 class folder(s);"),
        ("owl/1.png", "{root} has 1 class folder(s);"),
        ("owl/1.png .tit/1.png", "{root} has 1 class folder(s);"),
        ("train/owl/1.png", "{root} has 1 class folder(s);"),
        ("owl/1.png tit/notes.txt", "There are no images of the class tit in {root}."),
        ("train/owl/1.png train/tit/1.png val/owl/1.png val/tit/x.txt", "no images of the class tit in {root}/val."),
        ("train/owl/1.png train/tit/1.png val/owl/1.png", "no images of the class tit in {root}/val."),
        (
            "train/owl/1.png train/tit/1.png val/owl/1.png val/tits/1.png",
            "{root}/val has folders of no class of the training images: t",
        ),
        ("train/owl/1.png train/tit/1.png test/other/1.png", "{root}/test has folders of no class"),
    ],
)
def test_faulty_folders_are_refused_with_their_name(tmp_path: Path, files: str, words: str) -> None:
    with pytest.raises(UserError) as error:
        read(DataSettings(layout=Layout.folder, root=str(tree(tmp_path, files))))
    assert words.format(root=tmp_path) in problem(error)


def test_take_keeps_the_order_asked_for(tmp_path: Path) -> None:
    labelled = read_competition(competition(tmp_path)).labelled
    taken = labelled.take([3, 0])
    assert taken.ids == ("1", "9")
    assert taken.paths == (labelled.paths[3], labelled.paths[0])
    assert taken.targets.tolist() == [1, 2]
    assert taken.classes == labelled.classes
    assert len(labelled.take([])) == 0
    assert labelled.take([]).targets.dtype == np.int64


def test_the_real_labels(real_labels: Path, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    for name in ("train.csv", "test.csv"):
        (tmp_path / name).write_bytes((real_labels / name).read_bytes())
    rows = [line.split(",") for name in ("train.csv", "test.csv") for line in (real_labels / name).read_text().split()]
    ids = [row[0] for row in rows if row[0] != "id"]
    (tmp_path / "images" / "images").mkdir()
    for id_ in ids:
        (tmp_path / "images" / "images" / f"{id_}.jpg").touch()
    source = read_competition(tmp_path)
    assert source.test is not None
    assert list(source.labelled.ids + source.test.ids) == ids
    assert (len(source.labelled), len(source.test)) == (6536, 1638)
    names = (
        "bhaji chapati githeri kachumbari kukuchoma mandazi masalachips matoke mukimo nyamachoma pilau sukumawiki ugali"
    )
    assert source.labelled.classes == tuple(names.split())
    counts = [632, 862, 479, 494, 173, 620, 438, 483, 212, 784, 329, 402, 628]
    assert np.bincount(source.labelled.targets).tolist() == counts
