"""The synthetic data set: the competition's layout, the same bytes every time, and nothing half."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from time import sleep

import numpy as np
import pytest
from PIL import Image, ImageOps

from kenyan13.config.settings import DataSettings, Layout
from kenyan13.data import synthetic
from kenyan13.data.synthetic import DISHES, draw_dataset, draw_if_missing, shuffled_classes
from kenyan13.study.definitions import TRAIN_ROWS

CLASSES = (
    "bhaji chapati githeri kachumbari kukuchoma mandazi masalachips matoke mukimo nyamachoma pilau sukumawiki ugali"
)
LABELLED, TEST = 65, 26


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("synthetic") / "new" / "demo"
    draw_dataset(root, LABELLED, TEST)
    return root


def rows(path: Path) -> list[list[str]]:
    return [line.split(",") for line in path.read_text(encoding="utf-8").splitlines()]


def digests(root: Path) -> dict[str, str]:
    files = (path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_layout_is_the_competition_s(drawn: Path) -> None:
    assert sorted(path.name for path in drawn.iterdir()) == [
        "README.txt",
        "images",
        "sample_submission.csv",
        "test.csv",
        "train.csv",
    ]
    train, test, sample = (rows(drawn / name) for name in ("train.csv", "test.csv", "sample_submission.csv"))
    assert (train[0], test[0], sample[0]) == (["id", "class"], ["id"], ["id", "class"])
    assert (len(train), len(test), len(sample)) == (LABELLED + 1, TEST + 1, TEST + 1)
    assert [row[0] for row in sample] == [row[0] for row in test]
    assert {row[1] for row in sample[1:]} <= set(CLASSES.split())
    named = {f"{row[0]}.jpg" for row in train[1:] + test[1:]}
    assert {path.name for path in (drawn / "images" / "images").iterdir()} == named
    assert "NOT photographs" in (drawn / "README.txt").read_text(encoding="utf-8")


def test_ids_are_distinct_and_too_large_for_a_signed_integer(drawn: Path) -> None:
    ids = [row[0] for name in ("train.csv", "test.csv") for row in rows(drawn / name)[1:]]
    assert len(set(ids)) == LABELLED + TEST
    assert all(len(name) == 20 and name.isdecimal() and 2**63 < int(name) < 2**64 for name in ids)


def test_train_has_every_class_in_proportion_and_shuffled(drawn: Path) -> None:
    classes = [row[1] for row in rows(drawn / "train.csv")[1:]]
    assert sorted(set(classes)) == CLASSES.split() == list(TRAIN_ROWS)
    assert classes != sorted(classes)


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        # 780 * 632 / 6536 = 75.4 bhaji, 780 * 862 / 6536 = 102.9 chapati, and so on, rounded.
        (780, [75, 103, 57, 59, 21, 74, 52, 58, 25, 94, 39, 48, 75]),
        (6536, list(TRAIN_ROWS.values())),
        (13, [1] * 13),
    ],
)
def test_classes_are_in_proportion(number: int, expected: list[int]) -> None:
    classes = shuffled_classes(number, np.random.default_rng(0))
    assert [classes.count(name) for name in CLASSES.split()] == expected


def test_every_image_opens_and_some_are_stored_oddly(drawn: Path) -> None:
    kinds, shapes = set(), set()
    for path in (drawn / "images" / "images").iterdir():
        with Image.open(path) as image:
            image.load()
            kinds.add((image.format, image.mode, image.getexif().get(0x0112, 1)))
            shapes.add((image.width > image.height) - (image.width < image.height))
            assert 160 <= min(image.size) <= 200
            assert np.ptp(np.asarray(image.convert("RGB"))) > 60
    assert kinds == {("JPEG", "RGB", 1), ("PNG", "RGBA", 1), ("JPEG", "L", 1), ("JPEG", "RGB", 6)}
    assert shapes == {-1, 0, 1}  # portrait, square and landscape


def test_same_arguments_same_bytes_and_another_seed_other_bytes(tmp_path: Path) -> None:
    for name, seed in (("first", 1), ("second", 1), ("other", 2)):
        draw_dataset(tmp_path / name, 13, 3, seed)
    first, second, other = (digests(tmp_path / name) for name in ("first", "second", "other"))
    assert len(first) == 16 + 4
    assert first == second
    assert not set(first.values()) & set(other.values()) - {first["README.txt"]}


@pytest.mark.parametrize("index", [0, 7, 87])
def test_what_is_stored_oddly_shows_the_same_image(index: int) -> None:
    photo = synthetic.draw("githeri", np.random.default_rng(5))
    before = np.asarray(photo, dtype=np.float64)
    with Image.open(BytesIO(synthetic.stored(photo, index))) as image:
        after = np.asarray(ImageOps.exif_transpose(image).convert("RGB"), dtype=np.float64)
    assert np.abs(after - before).mean() < 10


def test_sides_are_other_classes() -> None:
    assert all(set(DISHES[dish]["sides"]) <= set(CLASSES.split()) - {dish} for dish in CLASSES.split())


def test_an_existing_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(OSError, match="not empty"):
        draw_dataset(tmp_path, 13, 1)
    assert digests(tmp_path).keys() == {"mine.txt"}


def test_an_interrupted_drawing_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(photo: Image.Image, index: int) -> bytes:
        if index == 3:
            raise KeyboardInterrupt
        return b"image"

    monkeypatch.setattr(synthetic, "stored", interrupted)
    with pytest.raises(KeyboardInterrupt):
        draw_dataset(tmp_path / "demo", 13, 1)
    assert not any(tmp_path.iterdir())


def test_runs_that_start_together_draw_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawings = []

    def draw(root: Path) -> None:
        drawings.append(root)
        sleep(0.2)
        root.mkdir()

    monkeypatch.setattr(synthetic, "draw_dataset", draw)
    with ThreadPoolExecutor(3) as pool:
        demo = DataSettings(layout=Layout.demo, root=str(tmp_path / "new" / "demo"))
        list(pool.map(draw_if_missing, [demo] * 3))
    assert drawings == [tmp_path / "new" / "demo"]
