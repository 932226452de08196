"""Tables as people really have them: any columns, ids with suffix or path; faults named with their lines."""

from collections.abc import Callable
from pathlib import Path

import pytest
from screens import Done, assert_one_screen, write_images

from kenyan13.config.compose import compose_settings
from kenyan13.data.catalogue import Source, read

Command = Callable[..., Done]
IDS = ["1", "2", "3", "4"]
ROWS = [("1", "x"), ("2", "x"), ("3", "y"), ("4", "y")]


def competition(root: Path, train: str | bytes, test: str | None = None, *images: str) -> Path:
    """Write train.csv, test.csv and the images 1 to 4, or others."""
    write_images(root, *(images or [f"images/images/{id_}.jpg" for id_ in IDS]))
    (root / "train.csv").write_bytes(train if isinstance(train, bytes) else train.encode())
    if test is not None:
        (root / "test.csv").write_text(test)
    return root


def text(header: str, *rows: str) -> str:
    return "\n".join([header, *(rows or [",".join(row) for row in ROWS]), ""])


def source(root: Path, *given: str, data: str = "kenyan13") -> Source:
    return read(compose_settings([f"data={data}", f"data.root={root}", *given]).data)


UNDERSTOOD = {
    "usual names": (text("id,class"), [], []),
    "label": (text("id,label"), [], ["train.csv: the column label is read as the label"]),
    "Image ID, Species": (text("Image ID,Species"), [], ["the column Image ID is", "the column Species is"]),
    "filename, category": (text("filename,category"), [], ["column filename", "column category"]),
    "chosen": (text("a,b"), ["data.columns={id:a,label:b}"], []),
    "one chosen of two": (text("image_id,species,breed", *[f"{i},{c},z" for i, c in ROWS]),
                          ["data.columns.label=species"], ["column image_id"]),
    "others beside": (text("id,class,label", *[f"{i},{c},0" for i, c in ROWS]), [], []),
    "suffix": (text("id,class", *[f"{i}.jpg,{c}" for i, c in ROWS]), [], []),
    "folder and suffix": (text("id,class", *[f"images/images/{i}.jpg,{c}" for i, c in ROWS]), [], []),
    "part of the path": (text("id,class", *[f"images/{i},{c}" for i, c in ROWS]), [], []),
    "semicolons": (text("id,class").replace(",", ";"), [], ["train.csv: cells are separated by semicolons"]),
    "tabs": (text("id,class").replace(",", "\t"), [], ["train.csv: cells are separated by tabs"]),
    "a comma in the header": (text('id;"kind, once";class', *[f"{i};z;{c}" for i, c in ROWS]), [], ["semicolons"]),
    "commas in cells": (text("id;class;what", *[f'{i};{c};"red, small"' for i, c in ROWS]), [], ["semicolons"]),
}  # fmt: skip


@pytest.mark.parametrize("case", UNDERSTOOD)
def test_columns_and_ids_are_found(tmp_path: Path, case: str) -> None:
    train, given, notes = UNDERSTOOD[case]
    found = source(competition(tmp_path, train), *given)
    assert [path.name for path in found.labelled.paths] == [f"{id_}.jpg" for id_ in IDS]
    assert (found.labelled.classes, found.labelled.targets.tolist()) == (("x", "y"), [0, 0, 1, 1])
    assert len(found.notes) == len(notes)
    for note, words in zip(found.notes, notes, strict=True):
        assert words in note


@pytest.mark.parametrize("place", ["images/images/{}.png", "images/{}.jpg", "{}.JPEG", "photos/{}.jpg"])
def test_images_may_lie_elsewhere_where_ids_say_so(tmp_path: Path, place: str) -> None:
    names = [place.format(id_) for id_ in IDS]
    written = IDS if "photos" not in place else names
    root = competition(
        tmp_path, text("id,class", *[f"{i},{c}" for i, (_, c) in zip(written, ROWS, strict=True)]), None, *names
    )
    assert [path.relative_to(root).as_posix() for path in source(root).labelled.paths] == names


def test_a_labelled_test_table_has_targets_and_repeated_images_are_counted(tmp_path: Path) -> None:
    found = source(competition(tmp_path, text("id,class", "1,x", "2,x", "3,y"), "id,class\n3,x\n4,y\n1,\n"))
    assert found.test is not None
    assert (found.test.classes, found.test.targets.tolist()) == (("x", "y"), [0, 1, -1])
    assert found.notes == ["2 images are in train.csv and test.csv: 1, 3"]
    assert not found.left_out


def test_images_and_files_of_no_row_are_counted(tmp_path: Path) -> None:
    root = competition(tmp_path, text("id,class", "1,x", "2,x", "3,y"))
    write_images(root, "notes.txt", "images/images/.hidden.jpg")
    assert source(root).left_out == {
        "hidden": ["images/images/.hidden.jpg"],
        "no images by their ending": ["notes.txt"],
        "images of no row of a table": ["images/images/4.jpg"],
    }


def test_a_table_of_any_paths_is_a_layout(tmp_path: Path) -> None:
    write_images(tmp_path, "in/a.png", "in/deep/b.png", "elsewhere/c.png", "in/d.png", "in/e.png", "in/f.png")
    rows = ["a.png,x,train", "deep/b.png,y,Training", "../elsewhere/c.png,x,val", f"{tmp_path}/in/d.png,,test",
            "deep\\b.png,x,test", "e.png,y,TEST"]  # fmt: skip
    (tmp_path / "in" / "t.csv").write_text(text("path,label,split", *rows))
    found = source(tmp_path / "in" / "t.csv", data="table")
    assert found.labelled.ids == ("a.png", "deep/b.png")
    assert found.validation is not None
    assert found.validation.targets.tolist() == [0]
    assert found.test is not None
    assert (found.test.targets.tolist(), found.test.paths[0]) == ([-1, 0, 1], tmp_path / "in" / "d.png")
    (tmp_path / "in" / "t.csv").write_text(text("photo,kind", "a.png,x", "d.png,y"))
    plain = source(tmp_path / "in" / "t.csv", "data.columns={id:photo,label:kind}", data="table")
    assert (plain.labelled.targets.tolist(), plain.validation, plain.test) == ([0, 1], None, None)


FAULTS: dict[str, tuple[str | bytes, str | None, str]] = {
    "two columns class": (text("id,class,class", "1,x,y"), None, "train.csv has two columns class."),
    "two columns id": (text("id,id,class", "1,2,y"), None, "has two columns id."),
    "two candidates": (text("id,species,breed", "1,x,y"), None, "several columns for the label: species, breed"),
    "no label": (text("id,kind", "1,x"), None, "no column class; its columns are id, kind"),
    "how to map": (text("id,kind", "1,x"), None, "name it, as in data.columns.label=id"),
    "no header": (text("1,x", "2,x", "3,y"), None, "if its first line is an image's: put a header above it"),
    "no header, ids of letters": (text("i0,x", "i1,x"), None, "put a header above it, as id,class"),
    "no header, semicolons": ("1.jpg;x\n2.jpg;y\n", None, "put a header above it, as id,class"),
    "ragged semicolons": ("id;class\n1;x;z\n", None, "cannot be read as CSV"),
    "numbers": (text("id,class", "1,01", "2,1", "3,1.0"), None, "look alike: '01' and '1' and '1.0'"),
    "UTF-16": (text("id,class").encode("utf-16"), None, "written in UTF-16, not in UTF-8.\n  -> save it as UTF-8"),
    "UTF-16 without mark": (text("id,class").encode("utf-16-le"), None, "written in UTF-16"),
    "Latin-1": (text("id,class", "1,café").encode("latin-1"), None, "Latin-1 or the like, not in UTF-8"),
    "a spreadsheet": (b"PK\x03\x04\x00\x00", None, "it is a spreadsheet or a zip file"),
    "empty file": ("", None, "cannot be read as CSV"),
    "only a header": ("id,class\n", None, "no rows below its header"),
    "ragged": (text("id,class", "1,x", "2,x,z"), None, "cannot be read as CSV"),
    "class nan": (text("id,class", "1,x", "2,nan"), None, "the class nan in line 3."),
    "class NULL": (text("id,class", "1,NULL", "2,y"), None, "the class NULL in line 2."),
    "class N/A": (text("id,class", "1,x", "2,N/A", "3,n/a"), None, "the class N/A in line 3, 4."),
    "empty class": (text("id,class", "1,x", "2,"), None, "empty cells in line 3."),
    "empty id": (text("id,class", "1,x", ",y"), None, "empty cells in line 3."),
    "repeated ids": (text("id,class", "1,x", "2,y", "1,x"), None, "repeated ids: 1 (lines 2, 4)."),
    "repeated in test": (text("id,class"), "id\n4\n4\n", "test.csv: repeated ids: 4 (lines 2, 3)."),
    "no image": (text("id,class", "1,x", "9,y"), None, "1 of 2 ids in"),
    "a way out": (text("id,class", "1,x", "../../1,y"), None, "(line 3: ../../1)"),
    "look-alikes": (text("id,class", "1,Ant", "2,ant"), None, "look alike: 'Ant' and 'ant'"),
    "accents": (text("id,class", "1,caf\u00e9", "2,cafe\u0301"), None, r"'caf\xe9' and 'cafe\u0301'"),
    "two blanks": (text("id,class", "1,red ant", "2,red  ant"), None, "look alike"),
    "unknown in test": (text("id,class"), "id,class\n4,z\n", "Labels that no training image has: z."),
    "one class": (text("id,class", "1,x", "2,x"), None, "has 1 class(es);"),
    "reserved": (text("id,class", "1,x", "2,predicted"), None, "A class cannot be named predicted"),
    "escapes": (text("id,class", "1,x", "9\x1b[31m,y"), None, r"9\x1b[31m"),
}


@pytest.mark.parametrize("case", FAULTS)
def test_faults_of_tables_are_named(tmp_path: Path, train_py: Command, case: str) -> None:
    train, test, words = FAULTS[case]
    root = competition(tmp_path / "d", train, test)
    assert_one_screen(train_py("data=kenyan13", f"data.root={root}"), words)


PATH_FAULTS = {
    "no file": (["a.png,x,train", "no.png,y,train"], "1 of 2 ids in", "(line 3: no.png)"),
    "no part": (["a.png,x,train", "b.png,y,later"], "no part of the data (line 3: later)", "train, val or test"),
    "no training rows": (["a.png,x,val", "b.png,y,val"], "Labels that no training image has", "x, y"),
    "no label to train on": (["a.png,x,train", "b.png,,train"], "empty cells in line 3", "fill them in"),
    "unknown label": (["a.png,x,train", "b.png,y,train", "c.png,z,test"], "no training image has: z", "classes: x, y"),
    "no image": (["a.png,x,train", "t.csv,y,train"], "1 of 2 ids in", "(line 3: t.csv)"),
}


@pytest.mark.parametrize("case", PATH_FAULTS)
def test_faults_of_path_tables_are_named(tmp_path: Path, train_py: Command, case: str) -> None:
    rows, *words = PATH_FAULTS[case]
    write_images(tmp_path, "a.png", "b.png", "c.png")
    (tmp_path / "t.csv").write_text(text("path,label,split", *rows))
    assert_one_screen(train_py("data=table", "data.root=t.csv"), *words)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("data.columns.label=kind", "no column kind; its columns are id, class"),
        ("data.columns={ids:id}", "There is no setting 'data.columns.ids'"),
        ("data.columns=id", "data.columns"),
    ],
)
def test_faults_of_the_columns_setting_are_named(tmp_path: Path, train_py: Command, given: str, words: str) -> None:
    root = competition(tmp_path / "d", text("id,class"))
    assert_one_screen(train_py("data=kenyan13", f"data.root={root}", given), words)
