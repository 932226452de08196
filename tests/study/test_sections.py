"""The report's sections of the study's groups: every plot that the study has, drawn from run directories."""

import json
from html import unescape
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hand_made import certain, hand_made
from typer.testing import CliRunner

from kenyan13.analysis.ensemble import tallies
from kenyan13.cli import app
from kenyan13.report.tables import Section
from kenyan13.report.writing import write_report, write_tables
from kenyan13.runs.locate import find_runs
from kenyan13.runs.predictions import prediction_table, write_predictions
from kenyan13.runs.run import read_all
from kenyan13.study.definitions import experiments
from kenyan13.study.jobs import compose_stages
from kenyan13.study.sections import study_jobs

LOSSES = ([1.0, 0.5], [1.5, 1.0])
ALONE = ["githeri", "mandazi", "masalachips", "matoke", "mukimo", "pilau"]
GROUPS = {
    "group1": ["bhaji", "chapati"],
    "group2": ["kachumbari", "kukuchoma", "nyamachoma"],
    "group3": ["sukumawiki", "ugali"],
}


def simple(runs: Path, id_: str, right: int, *overrides: str) -> Path:
    """Write a run of an experiment with ten images of two classes, of which the first ones are named rightly."""
    targets = [0, 1] * 5
    predicted = [target if k < right else 1 - target for k, target in enumerate(targets)]
    return hand_made(runs, [f"experiment={id_}", *overrides], *LOSSES, targets, certain(predicted, 0.9, 2))


def two_stages(runs: Path) -> None:
    """Write all stages of group E on thirteen images, one a class, all named rightly but one of group 1, and EAE."""
    names = sorted([*ALONE, *(name for members in GROUPS.values() for name in members)])
    first = [*ALONE, *GROUPS]
    group_of = {name: group for group, members in GROUPS.items() for name in members}
    targets = [first.index(group_of.get(name, name)) for name in names]
    hand_made(runs, ["experiment=EAA"], *LOSSES, targets, certain(targets, 0.9, len(first)), names, first)
    for id_, (group, members) in zip(("EAB", "EAC", "EAD"), GROUPS.items(), strict=True):
        inner = [members.index(name) if name in members else -1 for name in names]
        predicted = [1 if group == "group1" else max(k, 0) for k in inner]
        hand_made(
            runs, [f"experiment={id_}"], *LOSSES, inner, certain(predicted, 0.9, len(members)), names, members
        )  # fmt: skip
    compose_stages(experiments()["EAE"], ["experiment=EAE", f"runs={runs}"])


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs with some of each group."""
    runs = tmp_path_factory.mktemp("study") / "runs"
    for id_ in ("ACA", "ACB"):
        simple(runs, id_, 5)
    for id_, right in (("BAJ", 6), ("BAK", 9), ("BAL", 7)):
        simple(runs, id_, right)
    for id_, right in (("CAA", 5), ("CAC", 9), ("DAA", 8), ("FAA", 4), ("GFF", 9), ("GAA", 7)):
        simple(runs, id_, right)
    for id_ in ("CAA", "GAA"):  # the other runs are all of the same size
        file = next(runs.glob(f"{id_}_*")) / "result.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | {"parameters": 5000}))
    two_stages(runs)
    for id_, predicted in (("HAA", [0, 1, 1]), ("HAB", [0, 1, 0]), ("HAC", [0, 0, 0])):
        folder = simple(runs, id_, 8)
        table = prediction_table(list("xyz"), ("a", "b"), np.array(certain(predicted, 0.9, 2), dtype=np.float32))
        write_predictions(folder / "predictions_test.csv", table)
    return runs


@pytest.fixture(scope="module")
def sections(study: Path) -> dict[str, Section]:
    """The groups' sections of the report on these runs, by anchor; pages of single runs are not made."""
    output = study.parent / "report"
    made = [job() for job in study_jobs(list(read_all(find_runs([study]))), output)]
    (output / "tables").mkdir()
    write_tables(made, output)
    return {section.anchor: section for section in made}


PLOTS = {
    "A": {"workers"},
    "B": {"rates_A"},
    "C": {"size", "time", "accuracy_C1", "accuracy_C3"},
    "D": {"accuracy_D1"},
    "E": {"accuracy_E1", *(f"confusion_{k}" for k in range(6))},
    "F": {"accuracy_F1"},
    "G": {"accuracy_G1", "size", "time"},
    "H": {"accuracy_H3", "ensembles", "votes_validation", "votes_test"},
}


@pytest.mark.parametrize("group", PLOTS)
def test_each_group_has_its_plots(sections: dict[str, Section], study: Path, group: str) -> None:
    drawn = {file.stem for file in (study.parent / f"report/plots/group-{group}").glob("*.svg")}
    assert drawn == PLOTS[group] == {Path(plot.path).name for plot in sections[f"group-{group}"].plots}
    assert not any("Not all can be shown" in text for text in sections[f"group-{group}"].texts)


def test_tables_are_there_as_csv(sections: dict[str, Section], study: Path) -> None:
    tables = study.parent / "report/tables"
    names = "A1 B1 B1a B1b B1c C1 C2 C3 D1 E1 F1 G1 H1 H2 H3"
    assert set(names.split()) <= {file.stem for file in tables.glob("*.csv")}
    best = pd.read_csv(tables / "B1.csv").loc[0]
    assert (best["id"], best["id_study"], best["accuracy"]) == ("BAJ", "BAK", 60)  # equal losses: the first
    h1 = pd.read_csv(tables / "H1.csv").loc[0]
    assert (h1["models"], h1["V1"]) == (2, 90)  # ties go to the more accurate of the two
    stages = pd.read_csv(tables / "E1.csv")
    assert stages["accuracy"].tolist() == pytest.approx([100, 50, 100, 100, 100 * 12 / 13, 100 * 12 / 13])


def test_texts_say_what_is_seen(sections: dict[str, Section]) -> None:
    texts = [plot.text for section in sections.values() for plot in section.plots]
    assert "12 of 13 images on the diagonal." in texts  # both stages
    assert "1 of 2 images on the diagonal." in texts  # the second stage of group 1
    assert "Of 3 images, all 3 agree on 1." in texts  # test images: x; y and z are two to one


def test_votes_for_the_winning_class() -> None:
    """Three runs, four images: all agree, two of three, three different, two of three."""
    predicted = [[0, 1, 0, 2], [0, 1, 1, 1], [0, 2, 2, 1]]
    assert tallies(np.array([certain(row) for row in predicted])).max(axis=1).tolist() == [3, 2, 1, 2]


def test_the_command_says_what_it_has_written(study: Path, tmp_path: Path) -> None:
    runner = CliRunner()
    done = runner.invoke(app, ["report", str(next(study.glob("DAA_*"))), "-o", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    assert str(tmp_path / "out/index.html") in done.output
    assert "1 run" in done.output
    assert (tmp_path / "out/index.html").stat().st_size > 50_000


STUDY = ("CAC", "CBC", "CCC")


def study_runs(runs: Path) -> None:
    """Three experiments of group C on the same 100 images: 90, 80 and 50 right, and rising losses."""
    targets = [0] * 50 + [1] * 50
    for place, (id_, right) in enumerate(zip(STUDY, (90, 80, 50), strict=True)):
        predicted = [target if k < right else 1 - target for k, target in enumerate(targets)]
        losses = [1.0 + place, 0.5 + place, 0.75 + place]
        hand_made(runs, [f"experiment={id_}"], [1.0, 0.5, 0.25], losses, targets, certain(predicted, 0.75, 2))


def text_of(runs: Path, output: Path) -> str:
    """Return the text of the report on runs of the study."""
    return unescape(write_report([runs], output, study_jobs)[0].read_text())


def test_golden_values_of_a_group(tmp_path: Path) -> None:
    """CAC: losses 1, 0.5, 0.75 against 1, 0.5, 0.25: ratios 1, 1, 3, whose line has slope 1.

    The standard error of 90 % of 100 images is 3 points.
    """
    study_runs(tmp_path / "runs")
    text = text_of(tmp_path / "runs", tmp_path / "report")
    table = pd.read_csv(tmp_path / "report/tables/C3.csv", index_col="id")
    first = table.loc["CAC"]
    study = experiments()["CAC"].reported
    assert (first["min_val_loss"], first["accuracy"]) == (0.5, 90.0)
    assert first["overfitting"] == pytest.approx(1.0)
    assert (first["min_val_loss_study"], first["accuracy_study"]) == (study["min_val_loss"], study["accuracy"])
    assert first["accuracy_difference"] == pytest.approx(90 - study["accuracy"])
    assert table["noise"].fillna("").to_dict() == {"CAC": "", "CBC": "within", "CCC": "", "CDC": "missing"}
    assert table["accuracy"].isna().tolist() == [False, False, False, True]
    assert "CBC  EfficientNetB4_PT5  1.500" in (tmp_path / "report/tables/C3.txt").read_text()
    assert "On the same 100 images, CAC_EfficientNetB3_PT5 is the most accurate of 3 runs (90.0%" in text
    # 90 against 80: ten only the first has right, none only the second: p = 2 / 2^10, and less for 50.
    assert "by more than chance gives (corrected p < 0.05)" in text
    assert "Beside the study's accuracies, 1 of 3 are within noise" in text
    overview = pd.read_csv(tmp_path / "report/tables/overview.csv")
    assert overview["accuracy"].tolist() == [90, 80, 50]
    assert overview["standard_error"].tolist() == pytest.approx([3, 4, 5])


@pytest.mark.slow
def test_variants_and_smoke_runs_are_kept_apart(tmp_path: Path) -> None:
    study_runs(tmp_path / "runs")
    targets = [0, 1] * 50
    right = certain(targets, 0.9, 2)
    hand_made(tmp_path / "runs", ["experiment=CAC", "seed=7"], [1.0, 1.0], [2.0, 1.0], targets, right)
    hand_made(tmp_path / "runs", ["experiment=CAC", "seed=8"], [1.0, 1.0], [2.0, 1.0], targets, right)
    text = text_of(tmp_path / "runs", tmp_path / "report")
    assert pd.read_csv(tmp_path / "report/tables/C3.csv")["accuracy"].tolist()[:3] == [90, 80, 50]
    assert pd.read_csv(tmp_path / "report/tables/C3-1.csv")["accuracy"].tolist()[0] == 100
    assert "(other settings or images" in (tmp_path / "report/tables/C3-1.txt").read_text()
    assert "other settings" not in (tmp_path / "report/tables/C3.txt").read_text()
    assert text.count("Beside the study's accuracies") == 1, "only the study's own runs are held against it"
    assert "Group C: Model size and transfer (other settings or images than the study" in text
    hand_made(tmp_path / "other/smoke", ["experiment=CAC", "debug=smoke"], [1.0, 1.0], [2.0, 1.0], targets, right)
    text = text_of(tmp_path / "other/smoke", tmp_path / "report")
    assert "say nothing about photographs" in text
    assert "(synthetic drawings" in (tmp_path / "report/tables/C3.txt").read_text()


def test_the_ledger_of_deviations_is_that_of_the_docs(study: Path, tmp_path: Path) -> None:
    *_, last = study_jobs(list(read_all(find_runs([study]))), tmp_path)
    ledger = last()
    assert ledger.anchor == "deviations"
    page = (Path(__file__).parents[2] / "docs" / "deviations.md").read_text()
    rows = [line.strip("|").split("|") for line in page.splitlines() if line.startswith("| ")]
    told = [[cell.strip() for cell in row] for row in rows if row[0].strip() != "what"]
    assert [cells for table in ledger.tables for cells in table.cells()] == told
    assert study_jobs([], tmp_path) == []
