"""KenyanFood13 is known again by its labels."""

from pathlib import Path

from kenyan13.study.naming import TRAIN_ROWS, is_other_data


def write_labels(folder: Path, counts: dict[str, int]) -> None:
    lines = [f"{name}{k},{name}" for name, count in counts.items() for k in range(count)]
    (folder / "train.csv").write_text("\n".join(["id,class", *lines]))


def test_rows_a_class_are_the_studys() -> None:
    assert sum(TRAIN_ROWS.values()) == 6536
    assert list(TRAIN_ROWS.values()) == [632, 862, 479, 494, 173, 620, 438, 483, 212, 784, 329, 402, 628]


def test_the_same_counts_are_the_same_data(tmp_path: Path) -> None:
    write_labels(tmp_path, TRAIN_ROWS)
    assert not is_other_data(tmp_path)
    write_labels(tmp_path, TRAIN_ROWS | {"ugali": 627})
    assert is_other_data(tmp_path)
    write_labels(tmp_path, {"robin": 6536})
    assert is_other_data(tmp_path)


def test_what_is_not_there_cannot_be_told(tmp_path: Path) -> None:
    assert not is_other_data(tmp_path)


def test_the_real_labels_are_known(real_labels: Path) -> None:
    assert not is_other_data(real_labels)
