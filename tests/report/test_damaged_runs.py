"""One damaged or foreign run directory never costs the report of the others."""

import json
import os
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hand_made import answering

from kenyan13.errors import UserError
from kenyan13.export.session import GRAPH
from kenyan13.report.writing import write_report
from kenyan13.runs.config_file import read_settings
from kenyan13.runs.result import read_result
from kenyan13.study.definitions import experiments
from kenyan13.study.sections import study_jobs

GROUPS = ("optim", "freeze", "schedule", "loss", "stop", "trainer", "callbacks", "logger", "data", "seed")
NOT_OF_A_RUN = (
    *(f"settings: {{{group}: {value}}}\ndata: {{}}" for group in GROUPS for value in ("hello", "[x]", "2020-01-01")),
    "settings: {}\ndata: {classes: [1, null]}",
    "data: {}",
    "settings: {optim: slow}\ndata: {}\nversions: {}\ncommit: x",
    "settings: {optim: {lr: 1.0}}\ndata: {classes: 3}\nversions: {}\ncommit: x",
    "settings: {optim: {lr: 1.0}}\ndata: {train: 2020-01-01}\nversions: {}\ncommit: x",
)


def change(folder: Path, **metrics: Any) -> None:
    """Change metrics of a run's result.json."""
    result = json.loads((folder / "result.json").read_text())
    (folder / "result.json").write_text(json.dumps(result | metrics))


def variant(runs: Path, id_: str, *overrides: str, losses: tuple[float, ...] = (2, 1)) -> Path:
    """Write a run that goes for an experiment with other images."""
    return answering(runs, f"{experiments()[id_].name}-v", "", *overrides, losses=losses)


@pytest.mark.parametrize(
    "metrics",
    [{"accuracy": "high"}, {"accuracy": None}, {"accuracy": 74.0}, {"validation_images": 0}, {"seconds": "1"},
     {"min_val_loss": float("inf")}, {"device": None}],
)  # fmt: skip
def test_metrics_that_cannot_be_are_damage(tmp_path: Path, metrics: dict[str, Any]) -> None:
    folder = answering(tmp_path, "odd")
    change(folder, **metrics)
    with pytest.raises(UserError, match=r"result.json is damaged"):
        read_result(folder)


def test_a_damaged_graph_costs_heat_maps_only(tmp_path: Path) -> None:
    (answering(tmp_path / "runs", "one", "abc") / GRAPH).write_bytes(b"no graph")
    page, _, _ = write_report([tmp_path / "runs"], tmp_path / "report")
    assert "Sets of classes" in page.read_text()


def test_other_runs_are_reported(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    for name in ("one", "two"):
        answering(runs, name)
    change(answering(runs, "odd"), accuracy="high")
    (answering(runs, "dir") / "result.json").unlink()
    (runs / "dir/result.json").mkdir()
    for place, text in enumerate(NOT_OF_A_RUN):
        (answering(runs, f"foreign{place}") / "config.yaml").write_text(text)
        with pytest.raises(UserError, match="is damaged"):
            read_settings(runs / f"foreign{place}")
    predictions = answering(runs, "nan") / "predictions.csv"
    predictions.write_text(predictions.read_text().replace("0.8", "nan"))
    _, found, _ = write_report([runs], tmp_path / "report")
    assert [run.name for run in found if not run.problem] == ["one", "two"]


def test_damaged_runs_of_the_study_cost_no_more_than_their_rows(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    (variant(runs, "ACA") / "metrics.csv").unlink()
    change(variant(runs, "CAA"), seconds=0.0)  # the last tenth of a second counts
    composed = variant(runs, "EAE")
    for file in ("result.json", "metrics.csv"):
        (composed / file).unlink()
    (composed / "predictions_soft.csv").write_text("{")
    page = write_report([runs], tmp_path / "report", study_jobs)[0].read_text()
    assert "predictions_soft.csv is damaged" in page
    assert (tmp_path / "report/plots/group-C/time.png").is_file()


def test_the_run_that_ended_last_stands_in_the_table(tmp_path: Path) -> None:
    """Not the one to which something was added last; files that are gone, as those in the making, do no harm."""
    runs = tmp_path / "runs"
    for place, seed in enumerate((7, 8)):
        folder = variant(runs / str(seed), "CAA", f"seed={seed}", losses=(2, 1 + place))
        os.utime(folder / "result.json", (1000 + place, 1000 + place))
    (runs / "7" / folder.name / "predictions_test.csv").write_text("id")
    (folder / ".metrics.csv.partial").symlink_to("gone")
    write_report([runs / "7", runs / "8"], tmp_path / "report", study_jobs)
    assert pd.read_csv(tmp_path / "report/tables/C1.csv", index_col="id").loc["CAA", "min_val_loss"] == 2


def test_folders_whose_names_are_no_text(tmp_path: Path) -> None:
    folder = answering(tmp_path / "runs", "one")
    folder.rename(folder.with_name(os.fsdecode(b"\xff")))
    assert "runs/?" in write_report([tmp_path / "runs"], tmp_path / "report")[0].read_text()


def test_a_report_that_was_interrupted_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answering(tmp_path / "runs", "one")
    with monkeypatch.context() as stopped:
        stopped.setattr("kenyan13.report.writing.draw", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            write_report([tmp_path / "runs"], tmp_path / "report")
    index, _, _ = write_report([tmp_path / "runs"], tmp_path / "report")
    assert "run-one" in index.read_text()


def test_what_cannot_be_a_report(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        write_report([tmp_path / "runs"], tmp_path / "report")
    answering(tmp_path / "runs/smoke", "tiny")
    with pytest.raises(UserError, match="holds no run directories") as error:
        write_report([tmp_path / "runs"], tmp_path / "report")
    assert "runs/smoke does" in str(error.value)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/index.html").write_text("<p>precious")
    with pytest.raises(UserError, match="is no report"):
        write_report([tmp_path / "runs/smoke"], tmp_path / "mine")
    assert (tmp_path / "mine/index.html").read_text() == "<p>precious"
    with pytest.raises(UserError, match="cannot be written"):
        write_report([tmp_path / "runs/smoke"], tmp_path / "mine/index.html/report")
