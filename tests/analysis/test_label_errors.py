"""Likely wrong labels: ranked by hand-made probabilities, and on a page that leads to corrections."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from hand_made import certain, hand_made

from kenyan13.analysis.ensemble import rank_labels
from kenyan13.data.tables import read_labels
from kenyan13.errors import UserError
from kenyan13.runs.run import read_run

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def folds(tmp_path: Path, demo_root: Path) -> list[Path]:
    """Runs of two folds of 30 images of the demo's; the fourth of each is surely called another class."""
    labelled = read_labels(demo_root)
    made = []
    for fold in range(2):
        rows = range(30 * fold, 30 * fold + 30)
        targets = labelled.targets[rows].tolist()
        answers = [(target + 1) % 13 if k == 3 else target for k, target in enumerate(targets)]
        given = [f"data.root={demo_root}", f"data.fold={fold}", "data.folds=2", f"name=fold{fold}"]
        probabilities = certain(answers, 0.9, classes=13)
        ids = [labelled.ids[row] for row in rows]
        made.append(hand_made(tmp_path / "runs", given, [1.0], [1.0], targets, probabilities, ids, labelled.classes))
    return made


def test_sure_contradictions_come_first(folds: list[Path], demo_root: Path) -> None:
    labelled = read_labels(demo_root)
    ranked, wrong = rank_labels([read_run(folder) for folder in folds])
    assert (len(ranked), wrong) == (60, 2)
    assert set(ranked.index[:2]) == {labelled.ids[3], labelled.ids[33]}
    for id_, row in ranked[:2].iterrows():
        target = labelled.targets[labelled.ids.index(str(id_))]
        assert (row["label"], row["probable"]) == (labelled.classes[target], labelled.classes[(target + 1) % 13])
        assert (row["p_probable"], row["quality"]) == pytest.approx((0.9, 0.1 / 12))
    assert ranked["quality"].is_monotonic_increasing
    assert ranked["quality"].iloc[1] < 0.1 < 0.8 < ranked["quality"].iloc[2]
    label = dict(zip(labelled.ids, (labelled.classes[target] for target in labelled.targets), strict=True))
    for id_, row in ranked.iterrows():
        assert row["like_label"] != id_
        assert label.get(row["like_label"], row["label"]) == row["label"]
        assert label.get(row["like_probable"], row["probable"]) == row["probable"]


def test_the_list_is_a_file_of_corrections(kenyan13: Command, folds: list[Path], tmp_path: Path) -> None:
    output = tmp_path / "labels"
    done = kenyan13("data", "labels", *map(str, folds), "-o", str(output))
    assert done.returncode == 0, done.stderr
    table = pd.read_csv(output / "labels.csv", dtype=str)
    assert list(table.columns[:2]) == ["id", "label"]
    assert len(table) == 60
    html = (output / "index.html").read_text()
    assert f"{table['id'][0]}: {table['label'][0]} (1%)?" in html
    assert html.count("data:image/jpeg") >= 24
    assert "data.corrections=" in done.stdout


def test_runs_without_predictions_are_named(folds: list[Path]) -> None:
    for folder in folds:
        (folder / "predictions.csv").unlink()
    with pytest.raises(UserError, match="no predictions"):
        rank_labels([read_run(folder) for folder in folds])
