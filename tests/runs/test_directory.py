"""How far a run is, read from its directory."""

from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

from kenyan13.config.settings import Settings
from kenyan13.errors import BusyError
from kenyan13.runs.directory import CONFIG, RESULT, SHEETS, SOFT, TEST, State, only_process, read_state
from kenyan13.runs.locate import run_directory
from kenyan13.training import run
from kenyan13.training.run import train


@pytest.mark.parametrize("end", [RESULT, SHEETS, SOFT])
def test_states_of_a_run(tmp_path: Path, end: str) -> None:
    folder = tmp_path / "run"
    assert read_state(folder) is State.not_started
    with only_process(folder):
        assert read_state(folder) is State.not_started
        (folder / CONFIG).write_text("settings: {}")
        assert read_state(folder) is State.running
    assert read_state(folder) is State.interrupted
    (folder / end).parent.mkdir(exist_ok=True)
    with pytest.raises(ValueError, match="no luck"), only_process(folder):
        raise ValueError("no luck")
    assert read_state(folder) is State.failed
    with only_process(folder):
        assert not (folder / "failed.txt").exists(), "it is tried again"
    (folder / end).write_text("{}")
    assert read_state(folder) is State.finished


def test_ctrl_c_is_no_failure(tmp_path: Path) -> None:
    (tmp_path / CONFIG).write_text("settings: {}")
    with pytest.raises(KeyboardInterrupt), only_process(tmp_path):
        raise KeyboardInterrupt
    assert read_state(tmp_path) is State.interrupted


def test_the_lock_is_anothers(tmp_path: Path) -> None:
    with FileLock(tmp_path / ".lock"), pytest.raises(BusyError), only_process(tmp_path):
        pass


def test_a_failing_run_says_why_and_can_be_tried_again(
    compose: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = compose("trainer.max_epochs=1")
    folder = run_directory(settings)
    with monkeypatch.context() as broken:
        broken.setattr(run, "summarise", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            train(settings)
    assert read_state(folder) is State.failed
    assert "ZeroDivisionError" in (folder / "failed.txt").read_text()
    train(settings)
    assert read_state(folder) is State.finished


def test_test_images_are_predicted_by_one_process(compose: Callable[..., Settings]) -> None:
    """Of a finished run, too: two processes would write into one temporary file."""
    settings = compose("trainer.max_epochs=1", "data.test=true")
    folder = run_directory(settings)
    train(settings)
    (folder / TEST).rename(folder / "before.csv")
    with FileLock(folder / ".lock"), pytest.raises(BusyError):
        train(settings)
    train(settings)
    assert (folder / TEST).read_text() == (folder / "before.csv").read_text()
    with FileLock(folder / ".lock"):
        train(settings)  # nothing left to do: nobody is waited for


def test_a_folder_that_cannot_be_written_to_is_not_running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a disk that is mounted to be read only, where a lock cannot be made."""
    (tmp_path / CONFIG).touch()
    (tmp_path / ".lock").touch()

    def forbidden(self: FileLock) -> None:
        raise PermissionError("read-only file system")

    monkeypatch.setattr(FileLock, "_acquire", forbidden)
    assert read_state(tmp_path) is State.interrupted
