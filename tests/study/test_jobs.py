"""What the study's experiments do that train nothing: contact sheets, and stages put together."""

from pathlib import Path

import pytest
from filelock import FileLock
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from test_commands import call

from kenyan13.config.compose import compose_settings
from kenyan13.errors import BusyError, UserError
from kenyan13.runs import directory
from kenyan13.runs.config_file import write_config
from kenyan13.runs.locate import run_directory
from kenyan13.study.definitions import experiments
from kenyan13.study.jobs import compose_stages, draw_contact_sheets, stage_folders


def test_contact_sheets_are_a_run_of_their_own(demo_root: Path, cache: Path, tmp_path: Path) -> None:
    given = ["debug=smoke", f"data.root={demo_root}", f"data.cache={cache}", f"runs={tmp_path}"]
    overrides = ["experiment=AAA", *given]
    for _ in range(2):  # once more does no harm
        draw_contact_sheets(experiments()["AAA"], overrides)
    folder = run_directory(compose_settings(overrides))
    assert directory.read_state(folder) is directory.State.finished
    listed = [file.stem for file in (folder / "sheets/augmented").iterdir()]
    assert len(listed) == 13
    assert (folder / "sheets/original/ugali.png").is_file()
    board = EventAccumulator(str(folder), size_guidance={"images": 0}).Reload()
    kinds = ("original", "augmented")
    assert sorted(board.Tags()["images"]) == sorted(
        ["presets", *(f"{kind}/{name}" for kind in kinds for name in listed)]
    )
    assert Image.open(folder / "sheets/presets.png").format == "PNG"
    with pytest.raises(UserError, match="holds a run with other settings"):
        draw_contact_sheets(experiments()["AAB"], ["experiment=AAB", *given, f"name={folder.name}"])


def test_stages_are_the_other_experiments_of_the_group(tmp_path: Path) -> None:
    overrides = ["experiment=EAE", "debug=smoke", f"runs={tmp_path}", "name=both"]
    with pytest.raises(UserError, match="There is no finished run of EAA"):
        stage_folders(experiments()["EAE"], overrides)
    expected = []
    for id_ in ("EAA", "EAB", "EAC", "EAD"):
        settings = compose_settings([f"experiment={id_}", "debug=smoke", f"runs={tmp_path}"])
        expected.append(run_directory(settings))
        expected[-1].mkdir()
        write_config(expected[-1], settings, {"classes": []})
        (expected[-1] / directory.RESULT).write_text("{}")
    assert stage_folders(experiments()["EAE"], overrides) == expected
    (expected[2] / directory.RESULT).unlink()
    with FileLock(expected[2] / directory.LOCK), pytest.raises(BusyError, match="is still being trained"):
        compose_stages(experiments()["EAE"], overrides)


@pytest.mark.slow
def test_a_sweep_puts_stages_together_last(demo_root: Path, cache: Path, tmp_path: Path) -> None:
    """With all runs at the same time, too."""
    places = [f"data.root={demo_root}", f"data.cache={cache}", f"runs={tmp_path}", "data.workers=0"]
    launcher = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]
    done = call("-m", "experiment=EAE,EAA,EAB,EAC,EAD", "debug=smoke", *places, *launcher, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert list(tmp_path.glob(f"EAE_EfficientNetB4_TwoStage-*/{directory.SOFT}"))
    assert max(map(len, done.stdout.splitlines())) <= 80
