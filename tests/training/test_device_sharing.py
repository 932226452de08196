"""Runs that share a machine: each has its part of the cores, and a GPU of its own where there are several."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from hydra.types import RunMode
from omegaconf import OmegaConf

from kenyan13.machine import available_cores
from kenyan13.training import device_sharing
from kenyan13.training.device_sharing import launched, runs_at_once, share_machine, take_gpu, visible_gpus


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave this process as it was: no part of the cores, no GPU, no environment."""
    monkeypatch.setattr(device_sharing, "_held", [])
    for name in ("CUDA_VISIBLE_DEVICES", "LOKY_MAX_CPU_COUNT", "OMP_NUM_THREADS", "TTY_COMPATIBLE"):
        monkeypatch.setenv(name, "")  # so that it is restored
        monkeypatch.delenv(name)


def machine(monkeypatch: pytest.MonkeyPatch, cores: int, gpus: str) -> None:
    """Pretend that the machine has so many cores and these GPUs, of which CUDA_VISIBLE_DEVICES may leave some out."""
    monkeypatch.setattr("os.cpu_count", lambda: cores)
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: range(cores), raising=False)

    def count() -> int:
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", gpus)
        return len(visible.split(",")) if visible else 0

    monkeypatch.setattr("torch.cuda.device_count", count)


@pytest.mark.parametrize(
    ("cores", "gpus", "visible", "runs"),
    [(19, "0,1,2", None, 3), (19, "0,1,2", "4, GPU-6f", 2), (1, "", None, 1), (4, "", None, 1), (19, "", None, 4)],
)
def test_one_run_a_gpu_or_four_cores(
    monkeypatch: pytest.MonkeyPatch, alone: None, cores: int, gpus: str, visible: str | None, runs: int
) -> None:
    machine(monkeypatch, cores, gpus)
    if visible:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        assert visible_gpus() == ["4", "GPU-6f"]
    assert runs_at_once() == runs


def test_a_gpu_is_taken_by_one_process_until_it_ends(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = (
        "import sys; from pathlib import Path; from kenyan13.training.device_sharing import take_gpu\n"
        "taken = take_gpu(['2', 'MIG-a/b'], Path(sys.argv[1])); print(taken[0], flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    others = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    first = {other.stdout.readline().strip(): other for other in others if other.stdout}
    assert set(first) == {"2", "MIG-a/b"}
    threading.Timer(0.5, first["MIG-a/b"].send_signal, [signal.SIGKILL]).start()
    name, lock = take_gpu(["2", "MIG-a/b"], tmp_path, seconds=0.05)
    assert name == "MIG-a/b"
    assert capsys.readouterr().out.count("All 2 GPUs are taken") == 1
    lock.release()
    first["2"].kill()
    for other in others:
        other.communicate()


@pytest.mark.parametrize(
    ("trainer", "before", "after"),
    [
        ({"devices": 1, "accelerator": "auto"}, None, "0"),
        ({"devices": 1, "accelerator": "gpu"}, "5,3", "5"),
        ({"devices": 1, "accelerator": "auto"}, "7", "7"),  # allocated already
        ({"devices": 1, "accelerator": "cpu"}, None, None),
        ({"devices": 2, "accelerator": "auto"}, "5,3", "5,3"),
        ({"devices": -1, "accelerator": "auto"}, None, None),
    ],
)
def test_gpus_are_allocated_to_runs_on_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, alone: None,
    trainer: dict[str, Any], before: str | None, after: str | None,
) -> None:  # fmt: skip
    if before is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", before)
    machine(monkeypatch, 9, "0,1")
    monkeypatch.setattr(device_sharing, "lock_folder", lambda: tmp_path)
    for _ in range(2):  # a process of joblib's trains one run after the other, on the same GPU
        share_machine(2, trainer)
        assert os.environ.get("CUDA_VISIBLE_DEVICES") == after
    assert available_cores() == 4
    assert os.environ["OMP_NUM_THREADS"] == "4"


@pytest.mark.parametrize(
    ("launcher", "mode"), [("joblib", RunMode.MULTIRUN), ("basic", RunMode.MULTIRUN), ("joblib", RunMode.RUN)]
)
def test_only_runs_of_parallel_sweeps_are_made_ready(
    launcher: str, mode: RunMode, alone: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine(monkeypatch, 8, "")
    parallel = launcher == "joblib" and mode is RunMode.MULTIRUN
    hydra = OmegaConf.create(
        {"mode": mode, "runtime": {"choices": {"hydra/launcher": launcher}}, "launcher": {"n_jobs": 2}}
    )
    with pytest.raises(ZeroDivisionError) as caught, launched(hydra, {"devices": 1, "accelerator": "cpu"}):  # type: ignore[arg-type]
        _ = 1 / 0
    notes = getattr(caught.value, "__notes__", [])
    assert [("Traceback" in note, "1 / 0" in note) for note in notes] == [(True, True)] * parallel
    assert os.environ.get("TTY_COMPATIBLE") == ("0" if parallel else None)
    assert available_cores() == (4 if parallel else 8)
