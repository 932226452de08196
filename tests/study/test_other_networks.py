"""A group of the study on other networks (MODELS=...): trained, and read by table, verify, claims, report and pack."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

import pytest
import torch

from kenyan13.cli.train import main
from kenyan13.config.compose import compose_settings
from kenyan13.runs.predictions import predicted_of, read_predictions
from kenyan13.runs.run import read_all
from kenyan13.study.definitions import other_network
from kenyan13.study.group_tables import tables_of_settings
from kenyan13.study.sections import by_kind, study_jobs
from kenyan13.study.verify import verify

ROOT = Path(__file__).parents[2]
NETWORKS = ("test_resnet", "test_efficientnet_ln")
LEVELS = {"CAA": "PT0", "CAB": "PT2", "CAC": "PT5"}


@pytest.fixture(scope="module")
def overrides(demo_root: Path, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Group C trained on two networks, as `make reproduce-group-C SMOKE=1 MODELS=...` does; what each was made with."""
    runs = tmp_path_factory.mktemp("runs")
    shared = ["debug=smoke", f"data.root={demo_root}", f"data.cache={cache}", f"runs={runs}"]
    made = {name: [*shared, "model=efficientnet_lite0", f"model.backbone={name}"] for name in NETWORKS}
    with pytest.MonkeyPatch.context() as patched:
        for name in ("KENYAN13_FULL_ERROR", "HYDRA_FULL_ERROR"):
            patched.setenv(name, "")  # and put back at the end
        for own in made.values():
            arguments = ["-m", "experiment=C*", *own, "logger=none", "data.workers=0"]
            patched.setattr(sys, "argv", [str(ROOT / "train.py"), *arguments])
            main()
    return made


def test_names_hold_the_network(overrides: dict[str, list[str]]) -> None:
    """All networks of the group are one now: its first set stands for the others."""
    runs = Path(overrides[NETWORKS[0]][3][5:])
    names = [f"{id_}_EfficientNetB3_{level}-{network}" for id_, level in LEVELS.items() for network in NETWORKS]
    assert sorted(folder.name[:-9] for folder in runs.glob("C*")) == sorted(names)


@pytest.mark.parametrize("network", NETWORKS)
def test_claims_are_tested_on_the_runs_of_a_network(network: str, overrides: dict[str, list[str]]) -> None:
    certificate, (_, claims) = verify("C", overrides[network])
    assert certificate["network"] == network
    assert certificate["runs"].keys() == LEVELS.keys()
    assert all(f"-{network}-" in run["folder"] for run in certificate["runs"].values())
    assert not [line for line in certificate["does_not_hold"] if "not started" in line]
    whole, head = (read_predictions(Path(overrides[network][3][5:]) / certificate["runs"][id_]["folder"])
                   for id_ in ("CAC", "CAA"))  # fmt: skip
    right = [(one["target"] == predicted_of(one)).mean() for one in (whole, head)]
    row = claims.rows[1]
    assert row["claim"] == "the whole network is better than the head"
    assert row["lead"] == pytest.approx(100 * (right[0] - right[1]))
    assert row["images"] == len(whole) == 26
    assert 0 <= row["p"] <= 1
    assert row["verdict"] == ("open" if row["p"] >= 0.05 else "confirmed" if row["lead"] > 0 else "refuted")
    assert claims.rows[2]["verdict"] == "open"  # B4 or B5 is best: there is one size


@pytest.mark.parametrize("network", NETWORKS)
def test_tables_and_certificates_hold_the_network(
    network: str, overrides: dict[str, list[str]], tmp_path: Path,
    kenyan13: Callable[..., subprocess.CompletedProcess[str]],
) -> None:  # fmt: skip
    printed = kenyan13("study", "table", "C", *overrides[network]).stdout
    assert f"C1  head only (PT0)  ({network}, synthetic drawings" in printed
    assert "missing" not in printed
    kenyan13("study", "verify", "C", *overrides[network], "--output", str(tmp_path))
    certificate = json.loads((tmp_path / f"certificate-C-{network}.json").read_text())
    accuracies = [row["accuracy"] for name in ("C1", "C2", "C3") for row in certificate["tables"][name]]
    found = read_all([Path(overrides[network][3][5:]) / run["folder"] for run in certificate["runs"].values()])
    assert accuracies == [pytest.approx(100 * run.result.accuracy) for run in found if run.result]
    assert (tmp_path / f"certificate-C-{network}" / "index.html").is_file()


def test_tables_are_those_of_checkpoints_and_of_archives(
    overrides: dict[str, list[str]], tmp_path: Path, kenyan13: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    """LEVEL=evaluate and LEVEL=tables of make; tests/test_reproduce.py runs make itself."""
    own = overrides[NETWORKS[0]]
    here = tables_of_settings("C", own)
    used = {
        (row["precision"], row["device"], row["threads"], row["deterministic"]) for table in here for row in table.rows
    }
    assert used == {("32-true", "cpu", torch.get_num_threads(), "where possible")}
    assert all("32-true,cpu," in table.csv() for table in here)
    for row in (row for table in here for row in table.rows):
        (folder,) = Path(own[3][5:]).glob(f"{row['id']}_*-{NETWORKS[0]}-*")
        lines = kenyan13("evaluate", str(folder)).stdout.splitlines()
        now = {line.split()[0]: float(line.split()[1]) for line in lines if line.startswith(("loss", "accuracy"))}
        assert 100 * now["accuracy"] == pytest.approx(row["accuracy"], abs=1e-4)
        assert now["loss"] == pytest.approx(row["min_val_loss"], abs=1e-5)
    kenyan13("study", "pack", "C", *own, "-o", str(tmp_path / "C.zip"))
    with ZipFile(tmp_path / "C.zip") as archive:
        assert not [name for name in archive.namelist() if name.endswith((".jpg", ".ckpt"))]
        archive.extractall(tmp_path / "unpacked")
    there = tables_of_settings("C", [*own, f"runs={tmp_path}/unpacked"])
    assert [table.csv() for table in there] == [table.csv() for table in here]


def test_the_report_has_a_section_for_each_network(overrides: dict[str, list[str]], tmp_path: Path) -> None:
    runs = list(read_all(sorted(Path(overrides[NETWORKS[0]][3][5:]).glob("C*"))))
    kinds = by_kind(runs)
    assert [said.split(",")[0] for said in kinds] == sorted(NETWORKS)
    assert all(found.keys() == LEVELS.keys() for found in kinds.values())
    sections = [job() for job in study_jobs(runs, tmp_path)]
    assert [section.title.split(",")[0].rpartition("(")[2] for section in sections[:-1]] == sorted(NETWORKS)
    listed = [row["id"] for section in sections[:-1] for table in section.tables for row in table.rows]
    assert listed == [*LEVELS, *LEVELS], "experiments that are one run with one network are not missing"


def test_a_run_that_was_made_before_names_held_the_network_is_found(tmp_path: Path) -> None:
    given = ["experiment=CAA", "model=efficientnet_lite0", f"runs={tmp_path}"]
    now = str(compose_settings(given).name)
    before = now.replace("-tf_efficientnet_lite0", "")
    assert before != now
    (tmp_path / before).mkdir()
    assert compose_settings(given).name == before


def test_a_network_is_another_unless_it_is_the_experiments_or_its_toy() -> None:
    assert other_network("CAA", "tf_efficientnet_b3.aa_in1k") == ""
    assert other_network("CAA", "test_efficientnet") == ""
    assert other_network("CAA", "tf_efficientnet_lite0.in1k") == "tf_efficientnet_lite0"
