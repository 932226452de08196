"""Hydra's launchers for `python train.py -m hydra/launcher=...`, made to report a killed run, and registered presets.

The plugins' own launchers raise for it, and the results of the other runs are lost. The presets in conf/hydra/launcher
have the names of the plugins' own and choose these.
"""

import re
from collections.abc import Sequence
from dataclasses import fields, replace
from shutil import which
from typing import Any, cast

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.config_store import ConfigStore
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.search_path_plugin import SearchPathPlugin
from hydra_plugins.hydra_joblib_launcher import joblib_launcher
from hydra_plugins.hydra_submitit_launcher import submitit_launcher
from hydra_plugins.hydra_submitit_launcher.config import BaseQueueConf
from omegaconf import OmegaConf
from submitit.slurm.slurm import SlurmInfoWatcher

import kenyan13.study.naming  # noqa: F401 (checks the names after each composition)
from kenyan13.errors import UserError, first_line
from kenyan13.study.definitions import register_experiments
from kenyan13.terminal import print_note
from kenyan13.training.device_sharing import runs_at_once


class Presets(SearchPathPlugin):
    """Registers the study's experiments as choices like the files of conf/, and what the launchers' presets ask for.

    The plugins' own launchers are renamed: joblib to joblib_plugin, from which ours inherits: Hydra would check ours
    against those of the same name. This hook is the first moment at which all plugins have registered theirs.
    """

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Register and rename, and leave the search path as it is."""
        register_experiments()
        OmegaConf.register_new_resolver("runs_at_once", runs_at_once, use_cache=True, replace=True)
        presets: Any = ConfigStore.instance().repo["hydra"]["launcher"]
        for name in ("joblib", "submitit_slurm"):
            if f"{name}.yaml" in presets:
                inherited = f"{name}_plugin.yaml"
                presets[inherited] = replace(presets.pop(f"{name}.yaml"), name=inherited)


class JoblibLauncher(joblib_launcher.JoblibLauncher):  # type: ignore[misc]
    """`n_jobs` runs at the same time, in processes that take one run after the other."""

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run all jobs. Raises UserError where a process was killed: joblib then ends the others."""
        from joblib.externals.loky.process_executor import TerminatedWorkerError

        try:
            return super().launch(job_overrides, initial_job_idx)  # type: ignore[no-any-return]
        except TerminatedWorkerError as error:
            problem = "A process of the sweep was killed, perhaps for want of memory, and with it all others."
            step = "the same command goes on; with fewer runs at once: hydra.launcher.n_jobs=1"
            raise UserError(problem, step) from error


class SlurmLauncher(submitit_launcher.SlurmLauncher):  # type: ignore[misc]
    """A Slurm job a run: one array, `array_parallelism` of it at the same time."""

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Submit all jobs and wait for them; one that is killed is a failed one. Raises UserError without Slurm."""
        from kenyan13.cli.sweep import differing

        if which("sbatch") is None or which("srun") is None:
            steps = "run this on a login node of the cluster", "on one machine: hydra/launcher=joblib"
            raise UserError("There is no Slurm here: sbatch or srun is not found.", *steps)
        state = Singleton.get_state()
        arguments = [
            (list(overrides), "hydra.sweep.dir", k, f"job_id_for_{k}", state)
            for k, overrides in enumerate(job_overrides, start=initial_job_idx)
        ]
        from submitit.core.utils import FailedJobError

        try:
            jobs = create_executor(self.params).map_array(self, *zip(*arguments, strict=True))
        except FailedJobError as error:
            told = re.findall(r"sbatch: (?:error: )?(.+)", str(error)) or [first_line(error)]
            raise UserError(f"sbatch refuses the jobs: {'; '.join(told)}", "hydra.launcher.*: docs/sweeps.md") from None
        for k, job in enumerate(jobs):  # nothing of it is seen here otherwise
            words = " ".join(differing(job_overrides[k], job_overrides))
            print(f"run {k + 1} of {len(jobs)}: {words}\n  log: {job.paths.stdout}", flush=True)
        try:
            return [job_return(job, overrides) for job, overrides in zip(jobs, job_overrides, strict=True)]
        except KeyboardInterrupt:
            array = jobs[0].job_id.partition("_")[0]
            print_note(f"The jobs go on without this command. To see them: squeue -j {array}; to end: scancel {array}")
            raise


class QueueWatcher(SlurmInfoWatcher):
    """Knows by squeue which jobs are still to end: sacct, which submitit asks, needs accounting."""

    def _make_command(self) -> list[str]:
        return ["squeue", "--me", "--noheader", "--array", "--format=%i"]

    def read_info(self, string: bytes | str) -> dict[str, dict[str, str]]:
        """Return the state of each job, from the numbers of those that are queued or at work."""
        queued = (string if isinstance(string, str) else string.decode()).split()
        return {number: {"State": "RUNNING" if number in queued else "ENDED"} for number in self._registered}


def create_executor(parameters: dict[str, Any]) -> Any:
    """Return submitit's executor for Slurm with a preset's parameters."""
    import submitit

    submitit.SlurmJob.watcher = QueueWatcher(delay_s=60)
    general = {field.name for field in fields(BaseQueueConf)}
    given = {key if key in general else f"slurm_{key}": value for key, value in parameters.items()}
    start = {key: given.pop(key) for key in ("slurm_max_num_timeout",) if key in given}
    executor = submitit.AutoExecutor(folder=given.pop("submitit_folder"), cluster="slurm", **start)
    executor.update_parameters(**given)
    return executor


def job_return(job: Any, overrides: Sequence[str]) -> JobReturn:
    """Wait for a job of submitit's and return what came of it; a killed one has failed."""
    from submitit.core.utils import UncompletedJobError

    try:
        return cast(JobReturn, job.results()[0])
    except UncompletedJobError:
        failed = JobReturn(overrides=overrides, status=JobStatus.FAILED)
        problem = f"The run was killed; its log: {job.paths.stdout}"
        failed.return_value = UserError(problem, "the same command goes on with it")
        return failed
