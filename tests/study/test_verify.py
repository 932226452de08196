"""study verify, its rules, verdicts and claims, from hand-made run directories; study pack."""

import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
import yaml

from kenyan13.config.compose import compose_settings
from kenyan13.runs.config_file import write_config
from kenyan13.runs.directory import CONFIG, METRICS, RESULT, VALIDATION
from kenyan13.runs.locate import run_directory
from kenyan13.runs.predictions import prediction_table, write_predictions
from kenyan13.runs.result import Result, read_result, write_metrics, write_result
from kenyan13.runs.run import EPOCH_COLUMNS, read_run
from kenyan13.study.definitions import experiments, groups
from kenyan13.study.group_tables import tables_of_settings
from kenyan13.study.verify import claims_table, verdict, verdicts_table, verify

VALIDATED = 1308
Make = Callable[..., Path]
Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Make a finished run of an experiment as the study has it, that has all but the first `wrong` images right."""

    def run(id_: str, wrong: int, skipped: int = 0) -> Path:
        settings = compose_settings([f"experiment={id_}", f"runs={tmp_path}"])
        folder = run_directory(settings)
        folder.mkdir()
        epochs = settings.trainer["max_epochs"]
        described = {
            "classes": ["a", "b"], "train": {"images": 5228, "digest": "12"},
            "validation": {"images": VALIDATED, "digest": "34"},
        }  # fmt: skip
        write_config(folder, settings, described)
        config = yaml.safe_load((folder / CONFIG).read_text())
        (folder / CONFIG).write_text(yaml.safe_dump(config | {"commit": "c" * 40}))
        is_right = np.ones(VALIDATED, dtype=bool)
        is_right[skipped : skipped + wrong] = False
        shares = np.where(is_right, 0.9, 0.1)
        table = prediction_table(
            [str(k) for k in range(VALIDATED)], ("a", "b"), np.stack([shares, 1 - shares], axis=1),
            np.zeros(VALIDATED, dtype=np.int64),
        )  # fmt: skip
        write_predictions(folder / VALIDATION, table)
        accuracy = 1 - wrong / VALIDATED
        write_result(
            folder,
            Result(
                min_val_loss=0.6, accuracy=accuracy, macro_f1=0.8, best_epoch=3, epochs=epochs, auc_loss=9.0,
                overfitting=0.1, seconds=60.0, train_images=5228, validation_images=VALIDATED, precision="32-true",
            ),
        )  # fmt: skip
        write_metrics(folder, [dict.fromkeys(EPOCH_COLUMNS, 0.5) | {"epoch": k} for k in range(1, epochs + 1)])
        return folder

    return run


@pytest.fixture
def group_c(make: Make) -> dict[str, Path]:
    """Group C as reported, to the image."""
    ids = groups()["C"].experiments
    return {id_: make(id_, round((1 - one.reported["accuracy"] / 100) * VALIDATED)) for id_, one in ids.items()}


def test_a_whole_group_is_a_success(group_c: dict[str, Path], tmp_path: Path, kenyan13: Command) -> None:
    done = kenyan13("study", "verify", "C", f"runs={tmp_path}", "--output", str(tmp_path))
    assert done.stdout.splitlines()[-1] == "SUCCESS: all rules hold."
    assert done.returncode == 0
    assert max(map(len, done.stdout.splitlines())) <= 80
    certificate = json.loads((tmp_path / "certificate-C.json").read_text())
    page = (tmp_path / "certificate-C" / "index.html").read_text()
    assert "Certificate of group C" in page
    assert "SUCCESS: all rules hold." in page
    assert certificate["success"] is True
    assert certificate["runs"].keys() == groups()["C"].experiments.keys()
    assert {row["verdict"] for row in certificate["verdicts"]} == {"agrees"}
    assert [row["verdict"] for row in certificate["claims"]] == ["confirmed", "confirmed", "open"]


def edited(file: Path, change: Callable[[dict], None]) -> None:  # type: ignore[type-arg]
    config = yaml.safe_load(file.read_text())
    change(config)
    file.write_text(yaml.safe_dump(config))


def test_whatever_does_not_hold_is_listed(group_c: dict[str, Path], tmp_path: Path, kenyan13: Command) -> None:
    edited(group_c["CAA"] / CONFIG, lambda config: config["settings"]["optim"].update(lr=0.01))
    edited(group_c["CAB"] / CONFIG, lambda config: config["data"]["train"].update(images=5000))
    edited(group_c["CAC"] / CONFIG, lambda config: config.update(commit="c" * 40 + "+changes"))
    edited(group_c["CBA"] / CONFIG, lambda config: config["versions"].update(torch="1.0"))
    for id_, change in {
        "CBB": {"precision": "bf16-mixed"}, "CBC": {"epochs": 34},
    }.items():  # fmt: skip
        result = read_result(group_c[id_])
        assert result is not None
        write_result(group_c[id_], replace(result, **change))  # type: ignore[arg-type]
    epochs = group_c["CBC"] / METRICS
    epochs.write_text("".join(epochs.read_text().splitlines(keepends=True)[:-1]))
    (group_c["CCB"] / RESULT).unlink()
    edited(group_c["CDA"] / CONFIG, lambda config: config["settings"]["model"].update(options={}))
    done = kenyan13("study", "verify", "C", f"runs={tmp_path}", "--output", str(tmp_path))
    assert done.returncode == 1
    expected = [
        "CAA: is the study's: optim.lr=0.01 there, 0.0001 now",
        "CAB: saw the images: [5000, 1308] images to train and validate on, of [5228, 1308]",
        "CAC: made by clean code: uncommitted changes",
        "CBB: computed as asked: computed in bf16-mixed, not 32-true",
        "CBC: trained as planned: 34 epochs of 35",
        "CCB: has finished: interrupted",
        "C: 2 sets of versions of the libraries",
    ]
    problems = verify("C", [f"runs={tmp_path}"])[0]["does_not_hold"]
    assert [line for line in problems if not line.startswith("CDA")] == expected
    (options,) = [line for line in problems if line.startswith("CDA")]
    assert "model.options.drop_rate" in options
    assert done.stdout.splitlines()[-1] == "8 things do not hold."
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_verdicts_have_both_directions_and_say_what_a_run_can_tell(make: Make) -> None:
    """At 82 % of 1,308 images the standard error of a difference is 1.50 points."""
    runs = {"CBC": read_run(make("CBC", 235)), "CAC": read_run(make("CAC", 100)), "CCC": read_run(make("CCC", 500))}
    rows = {row["id"]: row for row in verdicts_table(groups()["C"], runs).rows}
    assert rows["CBC"]["verdict"] == "agrees"
    assert rows["CBC"]["band"] == pytest.approx(2 * 1.502, abs=0.002)
    assert rows["CBC"]["power"] == pytest.approx(2.8 * 1.502, abs=0.003)
    assert rows["CAC"]["verdict"].startswith("better")
    assert rows["CCC"]["verdict"] == "worse"


def test_seeds_have_an_interval(make: Make) -> None:
    """Of 82, 83 and 84 %: mean 83, standard error 1 / sqrt(3), t with two degrees of freedom 4.303."""
    ids = ("HAA", "HAB", "HAC")
    runs = {
        id_: read_run(make(id_, round(VALIDATED * share))) for id_, share in zip(ids, (0.18, 0.17, 0.16), strict=True)
    }
    notes = verdicts_table(groups()["H"], runs).notes
    assert "Mean of 3 seeds: 83.03 %, 95 % interval 80." in notes[-1]


@pytest.mark.parametrize(
    ("claim", "first_only", "second_only", "expected"),
    [
        ({}, 30, 10, "confirmed"),  # p = 0.002
        ({}, 10, 30, "refuted"),
        ({}, 12, 10, "open"),
        ({"expect": "not_better", "margin": 1}, 30, 10, "refuted"),
        ({"expect": "not_better", "margin": 1}, 10, 30, "confirmed"),
        ({"expect": "not_better", "margin": 1}, 12, 10, "open"),  # +0.2 points, the interval ends at 1.12
        ({"expect": "not_better", "margin": 1}, 5, 4, "confirmed"),  # +0.1, at 0.69
    ],
)
def test_claims_by_hand(claim: dict[str, object], first_only: int, second_only: int, expected: str) -> None:
    first, second = np.ones(1000, dtype=bool), np.ones(1000, dtype=bool)
    second[:first_only] = False
    first[first_only : first_only + second_only] = False
    found = verdict(claim, first, second)
    assert found["lead"] == pytest.approx((first_only - second_only) / 10)
    assert found["images"] == 1000
    assert found["verdict"] == expected


def test_claims_take_the_best_of_the_runs_that_there_are(make: Make) -> None:
    runs = {"CAC": read_run(make("CAC", 200)), "CBC": read_run(make("CBC", 203)), "CAA": read_run(make("CAA", 600))}
    rows = claims_table(groups()["C"], runs).rows
    assert [(row["verdict"], row.get("runs")) for row in rows[1:]] == [
        ("confirmed", "CAC and CAA"), ("open", "CBC and CAC"),
    ]  # fmt: skip
    assert rows[0]["verdict"] == "open"


def test_many_models_together_against_one(make: Make) -> None:
    """Three runs are wrong on 100 images each, never two on the same: together they are wrong on none."""
    runs = {id_: read_run(make(id_, 100, 100 * k)) for k, id_ in enumerate(("HAA", "HAB", "HAC"))}
    (row,) = claims_table(groups()["H"], runs).rows
    assert (row["verdict"], row["images"], row["runs"]) == ("confirmed", VALIDATED, "3 runs")
    assert row["lead"] == pytest.approx(100 * 100 / VALIDATED)


def test_ids_in_claims_are_the_studys() -> None:
    for group in groups().values():
        for claim in group.claims:
            named = {*claim.get("first", []), *claim.get("second", [])}
            assert named <= experiments().keys()
            assert {id_[0] for id_ in claim.get("first", [])} <= {group.letter}


def test_a_pack_gives_the_same_tables(group_c: dict[str, Path], tmp_path: Path, kenyan13: Command) -> None:
    (group_c["CAA"] / "checkpoints").mkdir()
    (group_c["CAA"] / "checkpoints" / "best.ckpt").write_bytes(b"weights")
    done = kenyan13("study", "pack", "C", f"runs={tmp_path}", "-o", str(tmp_path / "C.zip"))
    assert done.stdout == f"12 runs: {tmp_path / 'C.zip'}\n"
    with ZipFile(tmp_path / "C.zip") as archive:
        assert {Path(name).suffix for name in archive.namelist()} == {".yaml", ".csv", ".json"}
        archive.extractall(tmp_path / "unpacked")
    here, there = (tables_of_settings("C", [f"runs={runs}"]) for runs in (tmp_path, tmp_path / "unpacked"))
    assert [table.csv() for table in here] == [table.csv() for table in there]
    assert [table.text() for table in here] == [table.text() for table in there]
    assert kenyan13("study", "pack", "D", f"runs={tmp_path}").returncode == 2
