"""Runs side by side, from hand-made run directories: by hand."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hand_made import answering, certain, hand_made

from kenyan13.analysis.compare import (
    Comparison,
    compare,
    conclusion,
    letter,
    letters,
    other_origins,
    p_value,
    read_runs,
    remarks,
)
from kenyan13.errors import UserError
from kenyan13.runs.directory import CONFIG, FAILED, METRICS, RESULT, VALIDATION, State
from kenyan13.runs.run import differing_settings

ROOT = Path(__file__).parents[2]


@pytest.fixture
def pair(tmp_path: Path) -> list[Path]:
    """Two runs: 4 of 12 wrong, of which the other has 3 right; 1 + 2 wrong."""
    return [answering(tmp_path, "low", "abcd"), answering(tmp_path, "high", "dkl", "optim.lr=0.5", "freeze=pt0")]


def test_the_most_accurate_run_comes_first(tmp_path: Path, pair: list[Path]) -> None:
    same = [answering(tmp_path, "same", "dkl", losses=(2, 0.5)), answering(tmp_path, "again", "dkl", losses=(2, 0.5))]
    found, left_out = read_runs([*pair, *same])
    assert [one.folder.name for one in found] == ["again", "same", "high", "low"]
    assert not left_out


def test_figures_by_hand(tmp_path: Path) -> None:
    """Of 12 images 9 right with 0.8; answered wrong with 0.8 are one of each class."""
    folder = hand_made(
        tmp_path, ["name=one"], [2, 1, 0.5], [2, 1, 1.5], [0, 1, 2] * 4, certain([0, 1, 2] * 3 + [1, 2, 0])
    )  # ratios 1, 1, 3
    figures = read_runs([folder, answering(tmp_path, "other", "abcdefg")])[0][0].summary
    assert (figures.min_val_loss, figures.best_epoch, figures.epochs) == (1, 2, 3)
    assert (figures.accuracy, figures.images) == (0.75, 12)
    assert (figures.accuracy_low, figures.accuracy_high) == pytest.approx((0.467695, 0.911058), abs=1e-5)
    assert figures.macro_f1 == pytest.approx(0.75)
    assert figures.top2_accuracy == pytest.approx(10 / 12)  # of the equal 0.1, class 0 counts: a target once
    assert figures.calibration_error == pytest.approx(0.05)  # |0.75 - 0.8|
    assert [figures.auc_loss, figures.overfitting, figures.seconds] == pytest.approx([4.5, 1, 7.5])
    assert (figures.parameters, figures.trainable_parameters) == (1000, 100)


def test_differing_settings_leave_out_what_does_not_matter(tmp_path: Path, pair: list[Path]) -> None:
    third = answering(tmp_path, "third", "abcdefg", "data.root=elsewhere", "trainer=cpu", "data.cache=there")
    found, _ = read_runs([*pair, third])
    assert differing_settings(found) == {"freeze.level": [0, 5, 5], "optim.lr": [0.5, 1e-4, 1e-4]}
    assert other_origins(found) == []


def test_what_the_runs_were_made_of_is_told_in_words(tmp_path: Path, pair: list[Path]) -> None:
    text = (pair[0] / CONFIG).read_text()
    commit = next(line for line in text.splitlines() if line.startswith("commit:"))
    changed = text.replace(commit, "commit: 0123456789abcdef+changes")
    torch = next(line for line in text.splitlines() if line.startswith("  torch: "))
    (pair[0] / CONFIG).write_text(changed.replace(torch, "  torch: 1.2.3"))
    other = answering(tmp_path, "other", "mnop", ids="mnopqrst")
    found, _ = read_runs([*pair, other])
    said = {line.split(":")[0]: line for line in other_origins(found)}
    assert list(said) == ["Other training images", "Other validation images", "Other torch", "Other code"]
    assert said["Other torch"] == f"Other torch: {torch.split()[1]} in A, C; 1.2.3 in B."
    assert said["Other code"].endswith("; 0123456789 with changes in B.")
    assert said["Other validation images"].startswith("Other validation images: 12 (digest ")
    assert said["Other validation images"].endswith(") in C.")


def test_mcnemar_by_hand(pair: list[Path]) -> None:
    """Low is wrong about a, b, c, d; high about d, k, l: two are right only in low, three only in high."""
    found, _ = read_runs(pair)
    (one,) = compare(found)
    assert one == Comparison(1, 0, 12, 2, 3, 1.0, 1.0)  # P(X <= 2) of 5 is a half
    assert one.lead == pytest.approx(-1 / 12)
    assert conclusion([one]) == ["The difference of 8.3 points is within what chance gives on 12 images (p = 1)."]


def test_several_tests_are_corrected(tmp_path: Path) -> None:
    ids = "abcdefghijklmnop"
    made = [("best", ""), ("good", "a"), ("bad", "abcdefghij"), ("worse", "abcdefghijk")]
    found, _ = read_runs([answering(tmp_path, name, wrong, ids=ids) for name, wrong in made])
    tests = compare(found)
    assert [one.p for one in tests] == [1, 2 / 2**10, 2 / 2**11]
    assert [one.corrected for one in tests] == [1, 2 * 2 / 2**10, 3 * 2 / 2**11]
    assert conclusion(tests) == [
        "Worse than A by more than chance gives (corrected p < 0.05): C, D.",
        "Not to be told from A, as the difference is within chance: B.",
        "A was chosen as the most accurate on these images, so that part of its lead is luck.",
    ]


def test_conclusions_of_a_pair() -> None:
    sure = Comparison(1, 0, 100, 1, 11, 0.0063, 0.0063)
    assert conclusion([sure])[0].endswith(
        "10.0 points is more than chance gives on 100 images (p = 0.0063): A is better."
    )
    other = Comparison(1, 0, 1000, 40, 5, 1e-7, 1e-7)  # on the common images, B is ahead
    assert conclusion([other])[0].endswith("on 1,000 images (p < 0.001): B is better.")
    equal = Comparison(1, 0, 100, 4, 4, 1.0, 1.0)
    assert conclusion([equal]) == ["A and B have the same number of the 100 images right."]
    assert conclusion([Comparison(1, 0, 0, obstacle="no predictions")]) == []
    assert [letter(k) for k in (0, 25, 26, 51, 52, 701, 702)] == ["A", "Z", "AA", "AZ", "BA", "ZZ", "AAA"]
    assert (letters([0]), letters([0, 1]), letters([0, 2, 3])) == ("A", "A, B", "A, C, D")
    assert [p_value(p) for p in (1, 0.6789, 0.0512, 0.0009)] == ["p = 1", "p = 0.68", "p = 0.051", "p < 0.001"]


def test_other_splits_are_compared_on_common_images(tmp_path: Path) -> None:
    found, left_out = read_runs(
        [answering(tmp_path, "one", "a", ids="abcdef"), answering(tmp_path, "two", "ef", ids="defghi")]
    )
    (one,) = tests = compare(found)
    assert (one.images, one.only_run, one.only_against, one.p) == (3, 0, 2, 0.5)
    (said,) = remarks(found, left_out, tests)
    assert said.startswith("The runs' validation images differ")


def test_images_without_label_are_left_out(tmp_path: Path, pair: list[Path]) -> None:
    predictions = (pair[0] / VALIDATION).read_text()
    (pair[0] / VALIDATION).write_text(predictions.replace("\na,a,", "\na,,"))
    found, _ = read_runs(pair)
    (one,) = compare(found)
    assert (one.images, one.only_run, one.only_against) == (11, 2, 2)
    assert {run.folder.name: run.summary.images for run in found} == {"high": 12, "low": 11}


def test_what_cannot_be_tested_is_said(tmp_path: Path, pair: list[Path]) -> None:
    labels = answering(tmp_path, "labels", "abcdef")
    rows = (labels / VALIDATION).read_text()
    (labels / VALIDATION).write_text(rows.replace("\nd,a,", "\nd,c,").replace("\ne,b,", "\ne,c,"))
    strangers = answering(tmp_path, "strangers", "12345", ids="123456")
    classes = hand_made(
        tmp_path, ["name=classes"], [1], [1], [0] * 12, certain([1] * 12), list("abcdefghijkl"), ["a", "b", "dog"]
    )
    without = answering(tmp_path, "without", "abcdefghij")
    (without / VALIDATION).unlink()
    found, left_out = read_runs([*pair, labels, strangers, classes, without])
    tests = compare(found)
    obstacles = {found[one.run].folder.name: one.obstacle for one in tests}
    assert obstacles == {
        "low": "", "labels": "other labels for 2 images", "strangers": "no common images",
        "classes": "other classes", "without": "no predictions",
    }  # fmt: skip
    low = next(one for one in tests if one.p is not None)
    assert low.corrected == low.p == 1
    said = "\n".join(remarks(found, left_out, tests))
    assert "other classes than A" in said
    assert "no predictions." in said
    assert found[-1].folder.name == "classes", "no image right"
    figures = next(one for one in found if one.folder.name == "without").summary
    assert figures.accuracy == pytest.approx(1 / 6)
    assert (figures.images, figures.top2_accuracy) == (12, None)
    assert figures.accuracy_high is not None


def test_no_predictions_at_all_leave_the_figures(pair: list[Path]) -> None:
    for folder in pair:
        (folder / VALIDATION).unlink()
    found, _ = read_runs(pair)
    assert compare(found) == []
    assert [one.summary.accuracy for one in found] == [0.75, pytest.approx(8 / 12)]


def test_runs_that_are_not_finished(tmp_path: Path, pair: list[Path]) -> None:
    """An interrupted one has the figures of its epochs; one that never had an epoch is left out."""
    (pair[0] / RESULT).unlink()
    empty = answering(tmp_path, "empty")
    for name in (RESULT, METRICS, VALIDATION):
        (empty / name).unlink()
    (empty / FAILED).write_text("no memory")
    found, left_out = read_runs([*pair, empty])
    low = found[1]
    assert (low.state, low.summary.min_val_loss, low.summary.epochs, low.summary.parameters) == (
        State.interrupted, 1, 2, None,
    )  # fmt: skip
    assert [low.summary.auc_loss, low.summary.overfitting, low.summary.seconds] == pytest.approx([3, -0.5, 5])
    assert left_out == {empty: State.failed}
    said = remarks(found, left_out, compare(found))
    assert said[0] == "B is interrupted: its metrics are of 2 epochs so far."
    assert said[1] == f"Left out: {empty} has no metrics (failed, see {empty}/failed.txt)."
    with pytest.raises(UserError, match=r"Fewer than two runs have metrics: none are in .*empty \(failed\)"):
        read_runs([pair[1], empty])


def test_a_folder_of_predictions_alone_can_be_compared(tmp_path: Path, pair: list[Path]) -> None:
    """As `kenyan13 cascade --output` writes it."""
    (pair[1] / CONFIG).unlink()
    found, _ = read_runs(pair)
    assert not found[0].settings
    assert found[0].summary.accuracy == 0.75
    assert differing_settings(found) == {}
    assert compare(found)[0].p == 1


def test_what_is_no_comparison_is_refused(tmp_path: Path, pair: list[Path]) -> None:
    with pytest.raises(UserError, match="two or more runs"):
        read_runs(pair[:1])
    with pytest.raises(UserError, match=r"Given twice: .*low"):
        read_runs([*pair, pair[0]])
    with pytest.raises(UserError, match=r"lo is no run directory. Did you mean 'low'"):
        read_runs([pair[1], tmp_path / "lo"])
    for damaged in ("epoch,val_loss\n1,2\n", (pair[1] / METRICS).read_text().replace(",2.5", ",broken"), ""):
        (pair[0] / METRICS).write_text(damaged)
        with pytest.raises(UserError, match=r"metrics.csv is damaged"):
            read_runs(pair)


def test_comparing_needs_no_torch() -> None:
    modules = "sys, kenyan13.cli, kenyan13.analysis.compare, kenyan13.analysis.compare"
    program = f"import {modules}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "False\n", done.stderr


def test_hand_made_runs_are_as_training_leaves_them(tmp_path: Path) -> None:
    """What the tests stand on: the figures of a hand-made directory agree with each other."""
    folder = answering(tmp_path, "one", "ab", losses=(3, 1, 2))
    result = json.loads((folder / RESULT).read_text())
    assert (result["min_val_loss"], result["best_epoch"], result["accuracy"]) == (1, 2, pytest.approx(10 / 12))
    header, *rows = (folder / METRICS).read_text().splitlines()
    assert header == "epoch,train_loss,val_loss,val_accuracy,val_macro_f1,lr,seconds"
    assert len(rows) == 3
    assert np.isclose(float(rows[1].split(",")[3]), 10 / 12)
