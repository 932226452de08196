"""Sweeps through other launchers: the runs are the same to the last bit, and what fails is listed at the end."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobStatus
from hydra_plugins.hydra_joblib_launcher import joblib_launcher
from omegaconf import OmegaConf
from test_commands import ROOT, TINY, assert_one_screen, call

from hydra_plugins.kenyan13_sweeps import SlurmLauncher, create_executor, job_return
from kenyan13.config.presets import CONF
from kenyan13.errors import UserError, one_screen
from kenyan13.runs import directory
from kenyan13.runs.directory import VALIDATION

RATES = ("1e-3", "1e9", "1e-4")  # with the second, the loss is no number
CLUSTER = {
    "sbatch": """
        last=$(sed -n 's/^#SBATCH --array=0-\\([0-9]*\\)%.*/\\1/p' "$1")
        echo "Submitted batch job 77"
        export SLURM_NTASKS=1 SLURM_NTASKS_PER_NODE=1 SLURM_JOB_NUM_NODES=1 SLURM_NODEID=0 SLURM_PROCID=0 \\
            SLURM_LOCALID=0 SLURM_JOB_NAME=kenyan13 SLURM_ARRAY_JOB_ID=77 SLURM_JOB_NODELIST=node1
        for k in $(seq 0 "$last"); do SLURM_JOB_ID=7$k SLURM_ARRAY_TASK_ID=$k bash "$1"; done > "$1.out" 2>&1 &
        """,
    "srun": """
        while [[ $1 == --* ]]; do [[ $1 == --output ]] && log=$2 && shift; shift; done
        log=${log//%A/$SLURM_ARRAY_JOB_ID} log=${log//%a/$SLURM_ARRAY_TASK_ID}
        exec "$@" >> "${log//%t/0}" 2>&1
        """,
    "squeue": "seq -f 77_%g 0 9; seq -f 7%g 0 9",
}


@pytest.fixture(scope="module")
def common(demo_root: Path, cache: Path) -> list[str]:
    """What the runs of all launchers share."""
    return [*TINY, f"data.root={demo_root}", f"data.cache={cache}", "trainer.max_epochs=1"]


@pytest.fixture(scope="module")
def basic(common: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The runs of the sweep, made by Hydra's own launcher one after the other."""
    place = tmp_path_factory.mktemp("basic")
    assert call("-m", *common, f"optim.lr={','.join(RATES)}", f"runs={place}/runs", cwd=place).returncode == 2
    return place / "runs"


def sweep(launcher: str, number: int, common: list[str], basic: Path, place: Path, **environment: str) -> str:
    """Train the first rates through a launcher; the second has failed, and the others equal the basic launcher's."""
    rates = f"optim.lr={','.join(RATES[:number])}"
    done = call("-m", *common, rates, f"hydra/launcher={launcher}", f"runs={place}/runs", cwd=place, **environment)
    assert_one_screen(
        done, f"1 of {number} runs failed", "optim.lr=1000000000.0: The train loss is nan in epoch 1, step 2"
    )
    assert "Warning" not in done.stderr, "Hydra takes the presets for the plugins' own"
    finished = [file.parent for file in (place / "runs").glob("*/result.json")]
    assert len(finished) == number - 1
    for run in finished:
        expected = basic / run.name
        tables = [pd.read_csv(folder / directory.METRICS).drop(columns="seconds") for folder in (expected, run)]
        pd.testing.assert_frame_equal(tables[0], tables[1], check_exact=True)
        assert (run / VALIDATION).read_bytes() == (expected / VALIDATION).read_bytes()
    return done.stdout


@pytest.mark.slow
def test_joblibs_runs_are_those_of_the_basic_launcher(common: list[str], basic: Path, tmp_path: Path) -> None:
    """Three runs in two processes: one trains two of them."""
    sweep("joblib", 3, [*common, "hydra.launcher.n_jobs=2"], basic, tmp_path)


@pytest.mark.slow
def test_runs_of_a_slurm_array(common: list[str], basic: Path, tmp_path: Path) -> None:
    """Through commands with Slurm's names that run the array's jobs here, with Slurm's variables set."""
    for name, text in CLUSTER.items():
        command = tmp_path / "bin" / name
        command.parent.mkdir(exist_ok=True)
        command.write_text(f"#!/bin/bash\n{text}")
        command.chmod(0o755)
    path = f"{tmp_path}/bin:{os.environ['PATH']}"
    printed = sweep("submitit_slurm", 2, [*common, "hydra.launcher.partition=fast"], basic, tmp_path, PATH=path)
    assert "run 2 of 2: optim.lr=1000000000.0\n  log: " in printed
    logs = [Path(log) for log in re.findall(r"log: (.*)", printed)]
    assert ["finished:" in log.read_text() for log in logs] == [True, False]
    scripts = [file.read_text() for file in (tmp_path / "runs" / ".submitit").rglob("*submission*.sh")]
    assert scripts
    assert all("#SBATCH --partition=fast" in script.splitlines() for script in scripts)


@pytest.mark.slow
def test_a_preempted_run_is_queued_again_and_goes_on(common: list[str], tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "train.py"), "-m", *common, "trainer.max_epochs=12", "name=moved"]
    command += ["hydra/launcher=submitit_local", f"runs={tmp_path}"]  # the plugin's own
    sweep = subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"})
    logs: list[Path] = []
    while not any("epoch   2/12" in log.read_text() for log in logs):
        assert sweep.poll() is None
        time.sleep(0.05)
        logs = list(tmp_path.glob(".submitit/*/*_log.out"))
    (log,) = logs
    controller = log.parent.name
    children = Path(f"/proc/{controller}/task/{controller}/children").read_text().split()
    os.kill(int(children[0]), signal.SIGUSR2)  # as Slurm does before it takes a node back
    assert sweep.wait() == 0
    assert log.read_text().count("going on where it stopped") == 1
    assert pd.read_csv(tmp_path / "moved" / directory.METRICS)["epoch"].tolist() == [*range(1, 13)]


def preset(*overrides: str) -> dict[str, Any]:
    """Return hydra.launcher as a sweep with these overrides has it."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("train", overrides=list(overrides), return_hydra_config=True)
        HydraConfig.instance().set_config(config)
        return OmegaConf.to_container(config.hydra.launcher, resolve=True)  # type: ignore[return-value]


def test_the_slurm_script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "srun").write_text("#!/bin/sh\n")
    (tmp_path / "srun").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    settings = preset("hydra/launcher=submitit_slurm", f"runs={tmp_path}", "hydra.launcher.account=food")
    del settings["_target_"]
    executor = create_executor(settings)._executor
    assert executor.max_num_timeout == 10
    executor.parameters["map_count"] = 40
    lines = executor._make_submission_file_text("python work", "id").splitlines()
    given = dict(
        line.removeprefix("#SBATCH --").split("=", 1) for line in lines if line.startswith("#SBATCH") and "=" in line
    )
    assert given == {
        "account": "food", "array": "0-39%16", "cpus-per-task": "8", "gpus-per-node": "1", "job-name": "kenyan13",
        "mem": "32GB", "nodes": "1", "ntasks-per-node": "1", "open-mode": "append", "signal": "USR2@60",
        "time": "1440", "wckey": "submitit",
        "output": f"{tmp_path}/.submitit/%A_%a/%A_%a_0_log.out",
    }  # fmt: skip
    assert any(line.startswith("srun ") and line.endswith(" python work") for line in lines)


def test_slurm_is_missed_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    settings = preset("hydra/launcher=submitit_slurm", f"runs={tmp_path}/runs")
    with pytest.raises(UserError, match="There is no Slurm here"):
        SlurmLauncher(**settings).launch([["seed=1"]], 0)
    assert not (tmp_path / "runs").exists()


def test_a_killed_job_of_submitit_has_failed(tmp_path: Path) -> None:
    import submitit

    executor = submitit.AutoExecutor(folder=tmp_path / "%j", cluster="local")
    job = executor.submit(os.kill, 0, 0)
    job.wait()
    (tmp_path / job.job_id / f"{job.job_id}_0_result.pkl").unlink()
    job._results_timeout_s = 0
    job.task(0)._results_timeout_s = 0
    result = job_return(job, ["seed=1"])
    assert result.status is JobStatus.FAILED
    assert result.overrides == ["seed=1"]
    with pytest.raises(UserError, match=f"The run was killed; its log: {tmp_path}/{job.job_id}/{job.job_id}_0_log.out"):
        _ = result.return_value


def test_a_killed_process_of_joblib_is_reported(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from hydra_plugins.hydra_joblib_launcher import _core
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    def killed(*arguments: object, **named: object) -> None:
        raise TerminatedWorkerError("A worker process managed by the executor was unexpectedly terminated.")

    monkeypatch.setattr(_core, "launch", killed)
    with pytest.raises(SystemExit), one_screen():
        joblib_launcher.JoblibLauncher(n_jobs=2).launch([["seed=1"]], 0)
    told = capsys.readouterr().err
    assert "A process of the sweep was killed" in told
    assert "the same command goes on" in told
