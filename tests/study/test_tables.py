"""The study's tables, from hand-made run directories."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from kenyan13.config.compose import compose_settings
from kenyan13.errors import UserError
from kenyan13.report.tables import Table
from kenyan13.runs.config_file import write_config
from kenyan13.runs.directory import SOFT, TEST, VALIDATION
from kenyan13.runs.locate import run_directory
from kenyan13.runs.predictions import prediction_table, write_predictions
from kenyan13.runs.result import Result, write_metrics, write_result
from kenyan13.runs.run import EPOCH_COLUMNS, read_run
from kenyan13.study.definitions import experiments, groups
from kenyan13.study.group_tables import tables, tables_of_settings
from kenyan13.study.tables import within_noise

CLASSES = ("a", "b")
Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Make a finished run of an experiment: its loss, accuracy, and what more of its result is given."""

    def run(id_: str, loss: float, accuracy: float, images: int = 1308, epochs: int = 35, slope: float = 0.1) -> Path:
        settings = compose_settings([f"experiment={id_}", f"runs={tmp_path}"])
        folder = run_directory(settings)
        folder.mkdir()
        write_config(folder, settings, {"classes": list(CLASSES)})
        result = Result(
            "finished", loss, accuracy, 0.8, 3, epochs, 9.0, slope, 60.0, 5228, images, 10, 10, "cpu", "epochs"
        )
        write_result(folder, result)
        return folder

    return run


def made(group: str, runs: Path) -> dict[str, Table]:
    folders = {id_: runs / one.name for id_, one in experiments().items()}
    there = {id_: read_run(folder) for id_, folder in folders.items() if folder.exists()}
    return {table.name: table for table in tables(groups()[group], there)}


def cells(table: Table, row: int) -> dict[str, object]:
    return {column.key: table.rows[row].get(column.key) for column in table.columns}


def test_ours_beside_the_studys(make: Make, tmp_path: Path) -> None:
    make("CBC", 0.650, 0.8103, slope=0.2)
    make("CAC", 0.615, 0.9)
    table = made("C", tmp_path)["C3"]
    ours = cells(table, 1)
    assert (ours["id"], ours["experiment"]) == ("CBC", "EfficientNetB4_PT5")
    assert (ours["min_val_loss"], ours["min_val_loss_study"]) == (0.650, 0.601)
    assert ours["min_val_loss_difference"] == pytest.approx(0.049)
    assert ours["accuracy"] == pytest.approx(81.03)
    assert ours["accuracy_difference"] == pytest.approx(-1.00)
    assert ours["overfitting_difference"] == pytest.approx(0.005)
    assert ours["noise"] == "within"
    assert cells(table, 0)["noise"] == ""
    missing = cells(table, 2)
    assert (missing["id"], missing["noise"], missing["min_val_loss"]) == ("CCC", "missing", None)
    text = table.text().splitlines()
    assert text[0] == "C3  all layers (PT5)"
    figures = "0.650 0.601 81.03 82.03 within 0.200 0.195"
    assert text[3].split() == ["CBC", "EfficientNetB4_PT5", *figures.split()]
    assert "up to 1.08 points (1,308 validation images)" in text[6]  # sqrt(0.8103 x 0.1897 / 1308)
    assert max(map(len, text)) <= 80


def test_noise_is_two_standard_errors_of_a_difference() -> None:
    """At 80 % and 1,308 images, one standard error is 1.106 points, that of a difference 1.564."""
    assert within_noise(80.0, 83.0, 1308) == "within"
    assert within_noise(80.0, 83.2, 1308) == ""
    assert within_noise(80.0, None, 1308) == ""


def test_a1_is_the_mean_of_the_epochs_after_the_first(make: Make, tmp_path: Path) -> None:
    folder = make("ACB", 1.0, 0.5, epochs=3)
    rows = enumerate((30.0, 4.0, 6.0), start=1)
    write_metrics(folder, [{**dict.fromkeys(EPOCH_COLUMNS, seconds), "epoch": epoch} for epoch, seconds in rows])
    table = made("A", tmp_path)["A1"]
    assert len(table.rows) == 16
    row = cells(table, 1)
    assert (row["id"], row["workers"], row["seconds"], row["seconds_study"]) == ("ACB", 2, 5.0, 76)
    assert cells(table, 0)["seconds"] is None


def test_b1_has_the_rate_of_the_lowest_loss(make: Make, tmp_path: Path) -> None:
    make("BAJ", 0.9, 0.70)
    make("BAK", 0.8, 0.69)
    found = made("B", tmp_path)
    row = cells(found["B1"], 0)
    assert (row["model"], row["id"], row["lr"], row["id_study"]) == ("EfficientNetB0", "BAK", "3.16e-04", "BAK")
    assert row["min_val_loss_difference"] == pytest.approx(0.04)
    assert row["auc_loss_difference"] == pytest.approx(9.0 - 9.69)
    assert row["noise"] == ""  # 69 against 75.22 %: 6.2 points, two standard errors are 3.5
    make("BBI", 0.7, 0.76)
    assert cells(made("B", tmp_path)["B1"], 1)["noise"] == "within"  # 76 against 77.63 %
    assert (cells(found["B1"], 2)["id"], cells(found["B1"], 2)["noise"]) == (None, "missing")
    assert [len(found[f"B1{letter}"].rows) for letter in "abc"] == [17, 17, 17]
    assert [found["B1a"].rows[9][key] for key in ("min_val_loss", "auc_loss")] == [0.9, 9.0]


def test_g1_is_in_the_order_of_the_studys_accuracies(tmp_path: Path) -> None:
    rows = made("G", tmp_path)["G1"].rows
    assert len(rows) == 25
    assert [row["id"] for row in rows[:3]] == ["GFF", "GFE", "GFG"]
    studys = [row["accuracy_study"] for row in rows]
    assert studys == sorted(studys, reverse=True)


def test_e1_has_both_gatings(tmp_path: Path) -> None:
    settings = compose_settings(["experiment=EAE", f"runs={tmp_path}"])
    folder = run_directory(settings)
    folder.mkdir()
    write_config(folder, settings, {"classes": list(CLASSES)})
    for name, right in ((VALIDATION, 1056), (SOFT, 1073)):
        probabilities = np.eye(2)[(np.arange(1308) >= right).astype(int)]  # all are of the first class
        ids, targets = list(map(str, range(1308))), np.zeros(1308, dtype=np.int64)
        write_predictions(folder / name, prediction_table(ids, CLASSES, probabilities, targets))
    table = made("E", tmp_path)["E1"]
    hard, soft = cells(table, 4), cells(table, 5)
    assert (hard["accuracy_study"], hard["noise"]) == (81.73, "within")
    assert hard["accuracy_difference"] == pytest.approx(-1.00, abs=0.01)
    assert (soft["accuracy"], soft["accuracy_study"]) == (pytest.approx(82.0, abs=0.05), None)


def predict(folder: Path, ids: str, targets: list[int], first: list[float]) -> None:
    """Write predictions of classes a and b for validation and test images."""
    probabilities = np.array([[p, 1 - p] for p in first], dtype=np.float32)
    write_predictions(folder / VALIDATION, prediction_table(list(ids), CLASSES, probabilities, np.array(targets)))
    write_predictions(folder / TEST, prediction_table(list("xyz"), CLASSES, probabilities[:3]))


def test_h1_combines_group_gs_best(make: Make, tmp_path: Path) -> None:
    """AP of the first two: 0.5 x (0.9, 0.4, 0.3) + 0.5 x (0.2, 0.7, 0.4); targets a, a, b."""
    predict(make("GFF", 0.5, 0.70), "pqr", [0, 0, 1], [0.9, 0.4, 0.3])
    predict(make("GFE", 0.6, 0.60), "pqr", [0, 0, 1], [0.2, 0.7, 0.4])
    table = made("H", tmp_path)["H1"]
    row = cells(table, 0)
    assert (row["models"], row["AP"], row["AP_study"]) == (2, 100.0, 83.56)
    assert row["noise"] == ""
    assert row["MP"] == pytest.approx(100.0)
    assert row["V1"] == pytest.approx(100 * 2 / 3)  # ties go to the more accurate: a, b, b
    assert cells(table, 1)["AP"] is None
    assert any("2 of group G's 25 models" in note for note in table.notes)


def test_h2_combines_what_the_seeds_had_not_seen(make: Make, tmp_path: Path) -> None:
    predict(make("HAA", 0.5, 0.70), "pqr", [0, 0, 1], [0.9, 0.4, 0.3])
    predict(make("HAB", 0.6, 0.60), "qrs", [0, 1, 1], [0.8, 0.1, 0.8])
    found = made("H", tmp_path)
    row = cells(found["H2"], 0)
    assert (row["method"], row["board_study"]) == ("AP", 82.867)
    assert row["unseen"] == 75.0  # p a, q a (0.4 + 0.8), r b, s a where b is right
    assert row["changed"] == pytest.approx(100 / 3)  # HAA alone: a, b, b; with HAB, z is 0.3 + 0.8: a
    assert len(found["H3"].rows) == 15


def test_f1_tells_what_the_study_says_of_fba(tmp_path: Path) -> None:
    assert "The study's FBA: about 35 % after 160 epochs." in made("F", tmp_path)["F1"].notes


@pytest.mark.slow
def test_other_settings_are_told_in_the_title(tmp_path: Path) -> None:
    (smoke,) = tables_of_settings("D", [f"runs={tmp_path}", "debug=smoke"])
    assert "synthetic drawings" in smoke.title
    (other,) = tables_of_settings("D", [f"runs={tmp_path}", "trainer.max_epochs=3"])
    assert "other settings" in other.title
    (some,) = tables_of_settings(
        "E", [f"runs={tmp_path}", "data.stage=first"]
    )  # EAA is the study's, the others are not
    assert "other settings" in some.title
    (same,) = tables_of_settings("E", [f"runs={tmp_path}", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2"])
    assert same.title == "two stages"
    with pytest.raises(UserError, match="The study has no group X"):
        tables_of_settings("X")


def test_all_tables_fit_a_terminal(tmp_path: Path) -> None:
    for letter in groups():
        for table in made(letter, tmp_path).values():
            assert max(map(len, table.text().splitlines())) <= 80, table.name
