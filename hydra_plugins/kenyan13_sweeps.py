"""Hydra's plugins for `python train.py -m`: a sweeper that goes on after failures, and a launcher that reports kills.

Hydra finds plugins by the name of this folder, which for the same reason has no __init__.py. What may stand in a
sweep's list: kenyan13/config/arguments.py. The presets in conf/hydra choose these classes.
"""

import os
import re
import sys
import traceback
from collections.abc import Sequence
from dataclasses import fields, replace
from fnmatch import fnmatch
from itertools import groupby
from shutil import which
from typing import Any, cast

import submitit
from hydra._internal.core_plugins.basic_launcher import BasicLauncher
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.search_path_plugin import SearchPathPlugin
from hydra_plugins.hydra_submitit_launcher import submitit_launcher
from hydra_plugins.hydra_submitit_launcher.config import BaseQueueConf
from omegaconf import OmegaConf, open_dict
from submitit.core.utils import FailedJobError, UncompletedJobError
from submitit.slurm.slurm import SlurmInfoWatcher

from kenyan13.config.arguments import differing, translate
from kenyan13.config.compose import explain, finish, to_settings
from kenyan13.config.settings import Settings
from kenyan13.errors import BusyError, UserError, did_you_mean, first_line
from kenyan13.study.definitions import Experiment, experiments, register_experiments
from kenyan13.terminal import print_note
from kenyan13.training.device_sharing import runs_at_once


class Presets(SearchPathPlugin):
    """Registers the study's experiments as choices like the files of conf/, and what the launchers' presets ask for.

    The plugins' own presets are renamed: joblib to joblib_plugin, from which ours inherits: Hydra would check ours
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


class SlurmLauncher(submitit_launcher.SlurmLauncher):  # type: ignore[misc]
    """A Slurm job a run: one array, `array_parallelism` of it at the same time."""

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Submit all jobs and wait for them; one that is killed is a failed one. Raises UserError without Slurm."""
        if which("sbatch") is None or which("srun") is None:
            steps = "run this on a login node of the cluster", "on one machine: hydra/launcher=joblib"
            raise UserError("There is no Slurm here: sbatch or srun is not found.", *steps)
        state = Singleton.get_state()
        arguments = [
            (list(overrides), "hydra.sweep.dir", k, f"job_id_for_{k}", state)
            for k, overrides in enumerate(job_overrides, start=initial_job_idx)
        ]
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
    submitit.SlurmJob.watcher = QueueWatcher(delay_s=60)
    general = {field.name for field in fields(BaseQueueConf)}
    given = {key if key in general else f"slurm_{key}": value for key, value in parameters.items()}
    start = {key: given.pop(key) for key in ("slurm_max_num_timeout",) if key in given}
    executor = submitit.AutoExecutor(folder=given.pop("submitit_folder"), cluster="slurm", **start)
    executor.update_parameters(**given)
    return executor


def job_return(job: Any, overrides: Sequence[str]) -> JobReturn:
    """Wait for a job of submitit's and return what came of it; a killed one has failed."""
    try:
        return cast(JobReturn, job.results()[0])
    except UncompletedJobError:
        failed = JobReturn(overrides=overrides, status=JobStatus.FAILED)
        problem = f"The run was killed; its log: {job.paths.stdout}"
        failed.return_value = UserError(problem, "the same command goes on with it")
        return failed


class ResumableSweeper(BasicSweeper):
    """Hydra's basic sweeper (all combinations, through any launcher) that goes on when a run fails."""

    def sweep(self, arguments: list[str]) -> list[Sequence[JobReturn]]:
        """Run all combinations that have not finished; raises UserError at the end where runs have failed.

        All are composed before the first is run, so that a slip in a name or value costs no time. Stages are put
        together when all other runs have ended. No multirun.yaml is left: each run keeps its own configuration.
        """
        from kenyan13.cli import sweep
        from kenyan13.cli.app import DRY_RUN

        assert self.launcher is not None
        assert self.hydra_context is not None
        loader = self.hydra_context.config_loader
        parser = OverridesParser.create(config_loader=loader)
        overrides = parser.parse_overrides(translate([*self._parse_config(), *arguments], sweep=True))
        for override in overrides:
            value = override.value()
            patterns: list[str] = value.include if isinstance(value, Glob) else []  # names beside them, too
            for pattern in patterns:
                options = loader.get_group_options(override.key_or_group)
                if not any(fnmatch(option, pattern) for option in options):
                    problem = f"No {override.key_or_group}= is called '{pattern}'.{did_you_mean(pattern, options)}"
                    raise UserError(problem, "see python train.py --help, for experiments kenyan13 study list")
        jobs = [job for batch in self.split_arguments(overrides, None) for job in batch]
        planned = sweep.make_plan([(job, *self.compose(job)) for job in jobs])
        sweep.print_plan(planned)
        if os.environ.get(DRY_RUN):
            sweep.print_costs(planned)
            return [[]]
        due = sorted((one for one in planned if one.due), key=lambda one: one.is_cascade)
        results: list[JobReturn] = []
        one_by_one = isinstance(self.launcher, BasicLauncher)
        for _, together in groupby(due, lambda one: one.folder if one_by_one else one.is_cascade):
            if one_by_one:
                sweep.print_time_left(planned, due[len(results) :])
            results += self.launcher.launch([one.job for one in together], initial_job_idx=len(results))
        failed, error = find_failures([one.job for one in due], results)
        sweep.print_outcome(planned, [due[index].folder for index in failed])
        if error:
            raise error
        return [results]

    def compose(self, job: Sequence[str]) -> tuple[Settings, Experiment | None]:
        """Return the settings of a job, as the job itself will compose them, and the study's experiment that it is."""
        assert self.hydra_context is not None
        assert self.config is not None
        config = self.hydra_context.config_loader.load_sweep_config(self.config, list(job))
        experiment = experiments().get(config.hydra.runtime.choices.get("experiment"))
        with open_dict(config):
            del config["hydra"]
        return finish(to_settings(config, job)), experiment


def find_failures(jobs: Sequence[Sequence[str]], results: Sequence[JobReturn]) -> tuple[list[int], UserError | None]:
    """Return which jobs have failed, and what is to be said of them; errors of the program itself are printed whole.

    A run that another process has taken is no failure. A job that failed alone, or all for one reason, is told in that
    reason's own words.
    """
    failures: dict[int, UserError] = {}
    for index, result in enumerate(results):
        if result.status is JobStatus.COMPLETED:
            continue
        error = result._return_value  # the property would print the overrides and raise
        reason = explain(error)
        if reason is None:
            traceback.print_exception(error, file=sys.stderr)
            reason = UserError(f"{type(error).__name__}: {first_line(error)}")
        if not isinstance(reason, BusyError):
            failures[index] = reason
    if not failures:
        return [], None
    first = next(iter(failures.values()))
    if len(failures) == len(jobs) and {str(reason) for reason in failures.values()} == {str(first)}:
        start = "" if len(jobs) == 1 else f"All {len(jobs)} runs failed: "
        return list(failures), UserError(start + first.problem, *first.next_steps)
    lines = []
    for index, reason in failures.items():
        told = f"{' '.join(differing(jobs[index], jobs))}: {first_line(reason)}"
        lines.append("\n     ".join([told, *reason.next_steps]))
    again = "the same command tries them again, and does not repeat what has finished"
    return list(failures), UserError(f"{len(failures)} of {len(jobs)} runs failed.", *lines, again)
