"""The sections of the study's groups: every figure that the study has, drawn from run directories."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hand_made import certain, hand_made
from typer.testing import CliRunner

from kenyan13.analysis.cascade import read_matrices
from kenyan13.analysis.ensemble import vote_tallies
from kenyan13.cli import app
from kenyan13.report.conclusions import against_study
from kenyan13.report.writing import write_report
from kenyan13.runs.predictions import write_test_predictions
from kenyan13.study.definitions import experiments
from kenyan13.study.group_tables import tables
from kenyan13.study.jobs import compose_stages

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
    answers = [target if k < right else 1 - target for k, target in enumerate(targets)]
    return hand_made(runs, [f"experiment={id_}", *overrides], *LOSSES, targets, certain(answers, 0.9, 2))


def two_stages(runs: Path) -> None:
    """Write all stages of group E on thirteen images, one a class, all named rightly but one of group 1, and EAE."""
    names = sorted([*ALONE, *(name for members in GROUPS.values() for name in members)])
    first = [*ALONE, *GROUPS]
    group_of = {name: group for group, members in GROUPS.items() for name in members}
    targets = [first.index(group_of.get(name, name)) for name in names]
    hand_made(runs, ["experiment=EAA"], *LOSSES, targets, certain(targets, 0.9, len(first)), names, first)
    for id_, (group, members) in zip(("EAB", "EAC", "EAD"), GROUPS.items(), strict=True):
        inner = [members.index(name) if name in members else -1 for name in names]
        answers = [1 if group == "group1" else max(k, 0) for k in inner]
        hand_made(
            runs, [f"experiment={id_}"], *LOSSES, inner, certain(answers, 0.9, len(members)), names, members
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
    two_stages(runs)
    for id_, answers in (("HAA", [0, 1, 1]), ("HAB", [0, 1, 0]), ("HAC", [0, 0, 0])):
        folder = simple(runs, id_, 8)
        write_test_predictions(folder, list("xyz"), ("a", "b"), np.array(certain(answers, 0.9, 2), dtype=np.float32))
    return runs


@pytest.fixture(scope="module")
def report(study: Path) -> Path:
    """The report on these runs."""
    output = study.parent / "report"
    write_report([study], output)
    return output


FIGURES = {
    "A": {"workers"},
    "B": {"rates_A"},
    "C": {"size", "time", "accuracy_C1", "accuracy_C3"},
    "D": {"accuracy_D1"},
    "E": {"accuracy_E1", *(f"confusion_{k}" for k in range(6))},
    "F": {"accuracy_F1", "losses_FAA"},
    "G": {"accuracy_G1", "size", "time"},
    "H": {"accuracy_H3", "ensembles", "votes_validation", "votes_test"},
}


@pytest.mark.parametrize("group", FIGURES)
def test_each_group_has_its_figures(report: Path, group: str) -> None:
    assert {file.stem for file in (report / f"figures/group-{group}").iterdir()} == FIGURES[group]
    page = (report / "index.html").read_text()
    assert f'<article id="group-{group}"' in page
    assert "Not all can be shown" not in page


def test_tables_are_there_as_csv(report: Path) -> None:
    tables_there = {file.stem for file in (report / "tables").glob("*.csv")}
    assert {
        "A",
        "A1",
        "B1",
        "B1a",
        "B1b",
        "B1c",
        "C1",
        "C2",
        "C3",
        "D1",
        "E1",
        "F1",
        "G1",
        "H1",
        "H2",
        "H3",
    } <= tables_there
    best = pd.read_csv(report / "tables/B1.csv").loc[0]
    assert (best["id"], best["id_study"], best["accuracy"]) == ("BAJ", "BAK", 60)  # equal losses: the first
    h1 = pd.read_csv(report / "tables/H1.csv").loc[0]
    assert (h1["models"], h1["V1"]) == (2, 90)  # ties go to the more accurate of the two
    stages = pd.read_csv(report / "tables/E1.csv")
    assert stages["accuracy"].tolist() == pytest.approx([100, 50, 100, 100, 100 * 12 / 13, 100 * 12 / 13])


def test_alt_texts_say_what_is_seen(report: Path) -> None:
    page = (report / "index.html").read_text()
    assert "12 of 13 images on the diagonal." in page  # both stages
    assert "1 of 2 images on the diagonal." in page  # the second stage of group 1
    assert "Of 3 images, all 3 agree on 1." in page  # test images: x; y and z are two to one


def test_matrices_are_read_as_they_were_written(study: Path) -> None:
    matrices = read_matrices(next(study.glob("EAE_*")))
    assert list(matrices) == ["stage1", "group1", "group2", "group3", "hard", "soft"]
    assert matrices["group1"].to_numpy().tolist() == [[0, 1, 0], [0, 1, 0], [0, 0, 0]]
    assert list(matrices["group1"].index) == ["bhaji", "chapati", "not in this group"]


def test_votes_for_the_winning_class() -> None:
    """Three runs, four images: all agree, two of three, three different, two of three."""
    answers = [[0, 1, 0, 2], [0, 1, 1, 1], [0, 2, 2, 1]]
    assert vote_tallies(np.array([certain(row) for row in answers])).tolist() == [3, 2, 1, 2]


def test_markdown_shows_names_as_they_are(study: Path) -> None:
    table = next(table for table in tables("D", {"DAA": next(study.glob("DAA_*"))}) if table.name == "D1")
    table.rows[0][1] = "a|b\n<i>*c*"
    lines = table.markdown().splitlines()
    assert lines[0] == "**D1** regularisation and imbalance"
    assert lines[3].startswith("| --- | --- | ---: |")
    assert "| DAA | a\\|b \\<i\\>\\*c\\* | 1.000 |" in lines[4]
    assert table.csv().splitlines()[0].startswith("id,experiment,min_loss,min_loss_study,min_loss_difference,accuracy")


def test_differences_from_the_study_are_counted(study: Path) -> None:
    """DAA: 80 % of ten images has a standard error of 12.6 points; nothing differs by more than two of them."""
    found = tables("D", {"DAA": next(study.glob("DAA_*"))})
    assert against_study(found) == [
        "Beside the study's accuracies, 1 of 1 are within noise (two standard errors of a difference)."
    ]
    assert against_study([]) == []


def test_the_command_says_what_it_has_written(study: Path, tmp_path: Path) -> None:
    runner = CliRunner()
    done = runner.invoke(app, ["report", str(next(study.glob("DAA_*"))), "-o", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    assert str(tmp_path / "out/index.html") in done.output
    assert "1 run" in done.output
    assert (tmp_path / "out/index.html").stat().st_size > 50_000
