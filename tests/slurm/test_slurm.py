"""Sweeps through a real Slurm of one node, without accounting. Skipped without root, or without Slurm's packages."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from shutil import which

import pandas as pd
import pytest
from test_commands import ROOT, TINY

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        os.name != "posix" or os.geteuid() != 0 or not all(map(which, ("slurmctld", "slurmd", "sbatch", "munged"))),
        reason="needs root, and Slurm's packages: tests/slurm/slurm_here.sh",
    ),
]
START = Path(__file__).with_name("slurm_here.sh")
LAUNCHER = (
    "hydra/launcher=submitit_slurm", "hydra.launcher.cpus_per_task=1", "hydra.launcher.gpus_per_node=0",
    "hydra.launcher.mem_gb=1",
)  # fmt: skip
LONG = ("trainer.max_epochs=400", "name=long")


@pytest.fixture(scope="module", autouse=True)
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A cluster for the tests of this module."""
    folder = tmp_path_factory.mktemp("slurm")
    try:
        subprocess.run(["bash", START, "start", folder], check=True, timeout=90)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SLURM_CONF", str(folder / "slurm.conf"))
            patch.setenv("OMP_NUM_THREADS", "1")
            yield
            subprocess.run(["scancel", "--me"], check=False)
    finally:
        subprocess.run(["bash", START, "stop", folder], check=False)


@pytest.fixture
def command(demo_root: Path, cache: Path, tmp_path: Path) -> Callable[..., list[str]]:
    """Return the command of a sweep; through=[]: not through Slurm."""

    def made(*more: str, through: tuple[str, ...] = LAUNCHER) -> list[str]:
        data = [f"data.root={demo_root}", f"data.cache={cache}", f"runs={tmp_path}/runs"]
        return [sys.executable, str(ROOT / "train.py"), "-m", *TINY, *data, *through, *more]

    return made


@pytest.fixture
def at_work(
    command: Callable[..., list[str]], tmp_path: Path
) -> Iterator[Callable[..., tuple[subprocess.Popen[str], str]]]:
    """Start a long run and wait for its first epoch: its command, at work, and its job."""
    started: list[subprocess.Popen[str]] = []

    def start(*more: str) -> tuple[subprocess.Popen[str], str]:
        process = subprocess.Popen(
            command(*LONG, *more), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )  # fmt: skip
        started.append(process)
        wait_until(lambda: (tmp_path / "runs/long/checkpoints/last.ckpt").exists())
        return process, queue("%A")

    yield start
    for process in started:
        process.kill()
    subprocess.run(["scancel", "--me"], check=False)
    wait_until(lambda: not queue("%A"))


def queue(form: str, *more: str) -> str:
    listed = subprocess.run(["squeue", "--me", "-h", "-o", form, *more], capture_output=True, text=True, check=True)
    return listed.stdout.strip()


def wait_until(true: Callable[[], bool], seconds: int = 180) -> None:
    for _ in range(2 * seconds):
        if true():
            return
        time.sleep(0.5)
    pytest.fail("it did not happen")


def test_an_array_gives_the_bits_of_the_basic_launcher(command: Callable[..., list[str]], tmp_path: Path) -> None:
    words = ["optim.lr=1e-3,1e-4", "trainer.max_epochs=2"]
    for place, through in ((f"runs={tmp_path}/basic", ()), (f"runs={tmp_path}/array", LAUNCHER)):
        subprocess.run(command(*words, place, through=through), check=True, timeout=300)
    folders = sorted((tmp_path / "basic").glob("*/"))
    folders = [folder for folder in folders if (folder / "config.yaml").is_file()]
    assert len(folders) == 2
    for folder in folders:
        for name in ("metrics.csv", "predictions.csv"):
            one, other = (pd.read_csv(where / name) for where in (folder, tmp_path / "array" / folder.name))
            pd.testing.assert_frame_equal(
                one.drop(columns="seconds", errors="ignore"), other.drop(columns="seconds", errors="ignore"),
                check_exact=True,
            )  # fmt: skip


def test_two_processes_of_a_job_train_one_run(command: Callable[..., list[str]], tmp_path: Path) -> None:
    more = ["trainer.devices=2", "hydra.launcher.tasks_per_node=2", "trainer.max_epochs=1", "name=two"]
    subprocess.run(command(*more), check=True, timeout=300)
    assert len(pd.read_csv(tmp_path / "runs/two/metrics.csv")) == 1


def test_what_sbatch_refuses_is_one_screen(command: Callable[..., list[str]]) -> None:
    done = subprocess.run(command("hydra.launcher.partition=nowhere"), capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "Error: sbatch refuses the jobs: invalid partition specified: nowhere" in done.stderr
    assert "Traceback" not in done.stderr


def test_usr2_queues_a_run_with_loader_processes_again(
    at_work: Callable[..., tuple[subprocess.Popen[str], str]], tmp_path: Path
) -> None:
    process, job = at_work("data.workers=2")
    subprocess.run(["scancel", "-s", "USR2", job], check=True)
    wait_until(lambda: queue("%T", "-j", job) == "PENDING")
    assert process.poll() is None
    assert "Requeued job" in "".join(log.read_text() for log in tmp_path.glob("runs/.submitit/*/*_log.out"))


def test_a_cancelled_run_has_failed_and_can_be_tried_again(
    at_work: Callable[..., tuple[subprocess.Popen[str], str]],
) -> None:
    process, job = at_work()
    subprocess.run(["scancel", job], check=True)
    printed = process.communicate(timeout=180)[0]
    assert process.returncode == 2
    assert "The run was killed; its log: " in printed


def test_a_preempted_run_trains_on_in_the_grace_time_and_is_queued_again(
    at_work: Callable[..., tuple[subprocess.Popen[str], str]],
) -> None:
    process, job = at_work()
    urgent = ["sbatch", "-p", "urgent", "--exclusive", "--mem=100", "-o", "/dev/null", "--wrap", "sleep 5"]
    subprocess.run(urgent, check=True, capture_output=True)
    wait_until(lambda: queue("%T", "-j", job) == "PENDING")
    assert process.poll() is None


def test_ctrl_c_says_that_jobs_go_on(at_work: Callable[..., tuple[subprocess.Popen[str], str]]) -> None:
    process, job = at_work()
    process.send_signal(signal.SIGINT)
    printed = process.communicate(timeout=60)[0]
    assert process.returncode == 130
    assert f"To see them: squeue -j {job}; to end: scancel {job}" in printed
    assert queue("%T", "-j", job) == "RUNNING"
