"""Hydra's launchers for `python train.py -m hydra/launcher=...`, made to report a killed run, and registered presets.

The plugins' own launchers raise for it, and the results of the other runs are lost; submitit's local one also starts
all runs of a sweep at once. The presets in conf/hydra/launcher have the names of the plugins' own and choose these.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from shutil import which
from time import sleep
from typing import Any, cast

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.config_store import ConfigStore
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.search_path_plugin import SearchPathPlugin
from hydra_plugins.hydra_joblib_launcher import joblib_launcher
from hydra_plugins.hydra_submitit_launcher import submitit_launcher
from hydra_plugins.hydra_submitit_launcher.config import BaseQueueConf, LocalQueueConf
from omegaconf import OmegaConf

import kenyan13.study.naming  # noqa: F401 (checks the names after each composition)
from kenyan13.errors import UserError
from kenyan13.study.definitions import register_experiments
from kenyan13.training.device_sharing import PARENT_GPUS, runs_at_once


@dataclass
class LocalConf(LocalQueueConf):  # type: ignore[misc]
    """The parameters of LocalLauncher: n_jobs, how many runs at the same time, beside the plugin's own."""

    n_jobs: int = 1


class Presets(SearchPathPlugin):
    """Registers the study's experiments as choices like the files of conf/, and what the launchers' presets ask for.

    The plugins' own launchers are renamed: joblib to joblib_plugin, from which ours inherits, and so on. Hydra would
    check ours against those of the same name, and warn of doing so. This hook is the first moment at which all plugins
    have registered theirs.
    """

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Register and rename, and leave the search path as it is."""
        register_experiments()
        OmegaConf.register_new_resolver("runs_at_once", runs_at_once, use_cache=True, replace=True)
        presets: Any = ConfigStore.instance().repo["hydra"]["launcher"]
        for name in ("joblib", "submitit_local", "submitit_slurm"):
            if f"{name}.yaml" in presets:
                inherited = f"{name}_plugin.yaml"
                presets[inherited] = replace(presets.pop(f"{name}.yaml"), name=inherited)
        ConfigStore.instance().store("submitit_local_plugin", LocalConf, group="hydra/launcher")


class JoblibLauncher(joblib_launcher.JoblibLauncher):  # type: ignore[misc]
    """`n_jobs` runs at the same time, in processes that take one run after the other."""

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run all jobs. Raises UserError where a process was killed: joblib then ends the others."""
        from joblib.externals.loky.process_executor import TerminatedWorkerError

        try:
            return super().launch(job_overrides, initial_job_idx)  # type: ignore[no-any-return]
        except TerminatedWorkerError as error:
            raise UserError(
                "A process of the sweep was killed, perhaps for want of memory, and with it all others.",
                "the same command goes on; with fewer runs at once: hydra.launcher.n_jobs=1",
                "hydra/launcher=submitit_local keeps the others when one is killed",
            ) from error


class LocalLauncher(submitit_launcher.LocalLauncher):  # type: ignore[misc]
    """A process a run on this machine, `n_jobs` at the same time."""

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run all jobs; one that is killed is a failed one."""
        os.environ[PARENT_GPUS] = os.environ.get("CUDA_VISIBLE_DEVICES", "all")  # which submitit is about to clear
        parameters = dict(self.params)
        at_once = max(1, parameters.pop("n_jobs"))
        executor = create_executor("local", parameters)
        jobs: list[Any] = []
        for arguments in job_arguments(job_overrides, initial_job_idx):
            while sum(not job.done() for job in jobs) >= at_once:
                sleep(0.2)
            jobs.append(executor.submit(self, *arguments))
            announce(jobs[-1], len(jobs), job_overrides)
        return [job_return(job, overrides) for job, overrides in zip(jobs, job_overrides, strict=True)]


class SlurmLauncher(submitit_launcher.SlurmLauncher):  # type: ignore[misc]
    """A Slurm job a run: one array, `array_parallelism` of it at the same time."""

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Submit all jobs and wait for them; one that is killed is a failed one. Raises UserError without Slurm."""
        if which("sbatch") is None or which("srun") is None:
            raise UserError(
                "There is no Slurm here: sbatch or srun is not found.",
                "run this on a login node of the cluster",
                "on one machine: hydra/launcher=joblib",
            )
        arguments = job_arguments(job_overrides, initial_job_idx)
        jobs = create_executor("slurm", self.params).map_array(self, *zip(*arguments, strict=True))
        for number, job in enumerate(jobs, 1):
            announce(job, number, job_overrides)
        return [job_return(job, overrides) for job, overrides in zip(jobs, job_overrides, strict=True)]


def create_executor(cluster: str, parameters: dict[str, Any]) -> Any:
    """Return submitit's executor for "local" or "slurm" with a preset's parameters."""
    import submitit

    general = {field.name for field in fields(BaseQueueConf)}
    given = {key if key in general else f"{cluster}_{key}": value for key, value in parameters.items()}
    start = {key: given.pop(key) for key in ("slurm_max_num_timeout",) if key in given}
    executor = submitit.AutoExecutor(folder=given.pop("submitit_folder"), cluster=cluster, **start)
    executor.update_parameters(**given)
    return executor


def job_arguments(job_overrides: Sequence[Sequence[str]], first: int) -> list[tuple[Any, ...]]:
    """Return what submitit's processes call the launcher with, for each job."""
    state = Singleton.get_state()
    return [
        (list(overrides), "hydra.sweep.dir", number, f"job_id_for_{number}", state)
        for number, overrides in enumerate(job_overrides, first)
    ]


def announce(job: Any, number: int, job_overrides: Sequence[Sequence[str]]) -> None:
    """Print which run a job is, and where its log will be: nothing of it is seen here otherwise."""
    from kenyan13.cli.sweep import differing

    words = " ".join(differing(job_overrides[number - 1], job_overrides))
    print(f"run {number} of {len(job_overrides)}: {words}\n  log: {job.paths.stdout}", flush=True)


def job_return(job: Any, overrides: Sequence[str]) -> JobReturn:
    """Wait for a job of submitit's and return what came of it; a killed one has failed."""
    from submitit.core.utils import UncompletedJobError

    try:
        return cast(JobReturn, job.results()[0])
    except UncompletedJobError:
        failed = JobReturn(overrides=overrides, status=JobStatus.FAILED)
        failed.return_value = UserError(
            f"The run was killed; its log: {job.paths.stdout}", "the same command goes on with it"
        )
        return failed
