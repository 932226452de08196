"""The study's names are for its own settings and data, which are known by their labels."""

from pathlib import Path

import pytest

from kenyan13.config.compose import compose_settings
from kenyan13.errors import UserError
from kenyan13.runs.locate import run_directory
from kenyan13.study.definitions import TRAIN_ROWS, is_other_data


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


def test_the_reference_run_has_the_reference_name() -> None:
    for overrides in ([], ["runs=elsewhere"], ["data.cache=/tmp/x", "data.workers=3"]):
        settings = compose_settings(["experiment=CBC", *overrides])
        assert (settings.experiment, settings.name) == ("CBC", "CBC_EfficientNetB4_PT5")
        assert run_directory(settings).name == "CBC_EfficientNetB4_PT5"


def test_runs_of_other_images_are_found_without_these(tmp_path: Path) -> None:
    """As those that `kenyan13 study pack` archives, unpacked; data.root= says where these were."""
    overrides = ["experiment=CBC", f"data.root={tmp_path}", f"runs={tmp_path}/runs"]
    write_labels(tmp_path, {"robin": 20})
    there = run_directory(compose_settings(overrides))
    (tmp_path / "train.csv").unlink()
    assert compose_settings(overrides).experiment == "CBC", "nothing tells otherwise"
    there.mkdir(parents=True)
    found = compose_settings(overrides)
    assert (found.experiment, run_directory(found)) == (None, there)


@pytest.mark.parametrize(
    "override",
    [
        "trainer.max_epochs=3",
        "data=demo",
        "seed=7",
        "freeze.frozen_bn=eval",
        "schedule=cosine",
        "data.fold=0",
        "trainer.precision=bf16-mixed",
    ],
)
def test_a_changed_run_never_passes_for_the_reference(override: str) -> None:
    settings = compose_settings(["experiment=CBC", override])
    assert settings.experiment is None
    assert settings.name is not None
    assert len(settings.name) == len("CBC_EfficientNetB4_PT5-12345678")
    assert settings.name.startswith("CBC_EfficientNetB4_PT5-")
    other = compose_settings(["experiment=CBC", override, "model.crop=64"])
    assert other.name != settings.name


def test_ones_own_name_stays_but_an_experiments_name_is_its_own(tmp_path: Path) -> None:
    own = compose_settings(["experiment=CBC", "trainer.max_epochs=3", "name=mine"])
    assert (own.name, own.experiment) == ("mine", None)
    with pytest.raises(UserError, match="is the name of experiment CAA"):
        compose_settings(["experiment=CBC", "name=CAA_EfficientNetB3_PT0"])
    with pytest.raises(UserError, match="is the name of experiment CBC"):
        compose_settings(["name=CBC_EfficientNetB4_PT5"])


def test_a_wrong_id_is_told_what_was_meant() -> None:
    with pytest.raises(UserError, match=r"There is no experiment=CBX\. Did you mean 'CB[ABC]'") as caught:
        compose_settings(["experiment=CBX"])
    assert len(str(caught.value).splitlines()) < 5
