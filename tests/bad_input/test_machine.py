"""What the machine lacks, and losses that are no number: one screen, the folder named, and the run can go on."""

import errno
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from kenyan13.config.settings import Settings
from kenyan13.data.datamodule import set_up_worker
from kenyan13.errors import MachineError, UserError, explain_machine, one_screen
from kenyan13.runs.directory import only_process
from kenyan13.training.run import train

LACKS: list[tuple[BaseException, str]] = [
    (OSError(errno.ENOSPC, "No space left on device"), "No space left on device"),
    (OSError(errno.EFBIG, "File too large"), "File too large"),
    (OSError(errno.EDQUOT, "Disk quota exceeded"), "Disk quota exceeded"),
    (OSError(errno.EIO, "Input/output error"), "Input/output error"),
    (OSError(errno.EMFILE, "Too many open files"), "Too many open files"),
    (MemoryError(), "There is too little memory"),
    (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"), "too little memory"),
    (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB"), "too little memory"),
    (RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed."), "A loader process was killed"),
    (RuntimeError("DataLoader worker (pid(s) 7, 8) exited unexpectedly"), "A loader process was killed"),
    (RuntimeError("[enforce fail at inline_container.cc:743] . PytorchStreamWriter failed writing file data/1: file "
                  "write failed"), "could not be written whole"),
]  # fmt: skip


@pytest.mark.parametrize(("error", "told"), LACKS, ids=[str(error)[:30] or "memory" for error, _ in LACKS])
def test_what_the_machine_lacks_is_one_screen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], error: BaseException, told: str
) -> None:
    folder = tmp_path / "one"
    with pytest.raises(SystemExit) as ended, one_screen(), only_process(folder):
        raise error
    assert ended.value.code == 1
    printed = capsys.readouterr().err
    assert told in printed
    assert f"the same command goes on with {folder}" in printed
    assert "Traceback" not in printed
    assert type(error).__name__ in (folder / "failed.txt").read_text()


def test_a_programs_own_error_is_no_lack() -> None:
    assert explain_machine(RuntimeError("shapes do not match")) is None
    assert explain_machine(KeyError("memory")) is None
    found = explain_machine(PermissionError(errno.EACCES, "Permission denied", "x"))
    assert isinstance(found, UserError)
    assert not isinstance(found, MachineError)


@pytest.mark.parametrize("name", ["SIGUSR2", "SIGTERM"])
def test_loader_processes_leave_slurms_signals_to_the_run(name: str) -> None:
    before = {one: signal.getsignal(one) for one in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM, signal.SIGCONT)}
    try:
        set_up_worker(0)
        assert signal.getsignal(getattr(signal, name)) is signal.SIG_IGN
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


@pytest.mark.parametrize(
    ("more", "parts"),
    [
        (["optim.lr=1e9"], ["The train loss is nan in epoch 1, step 2, seed 42"]),
        (["optim=sgd", "optim.lr=1e30"], ["The train loss is", "in epoch 1, step 2, seed 42"]),
        (
            ["optim=sgd", "optim.lr=1e38", "trainer.limit_train_batches=1"],
            ["The validation loss is", "epoch 1, seed 42"],
        ),
        (["optim.lr=1e9", "seed=7", "data.split_seed=42"], ["step 2, seed 7"]),
    ],
)
def test_a_loss_that_is_no_number_ends_the_run_at_once(
    settings: Callable[..., Settings], tmp_path: Path, more: list[str], parts: list[str]
) -> None:
    with pytest.raises(UserError) as caught:
        train(settings(f"runs={tmp_path}", "trainer.max_epochs=50", *more))
    assert all(part in str(caught.value) for part in parts), str(caught.value)
    assert "images there: " in str(caught.value)
    assert "lower optim.lr" in str(caught.value)
    assert not (tmp_path / "one/metrics.csv").exists()
