"""Hydra's sweeper for `python train.py -m`: all combinations; finished runs are left, failed ones do not stop the rest.

Hydra finds plugins by the name of this folder, which for the same reason has no __init__.py. The sweeper is chosen in
conf/train.yaml (hydra/sweeper: resumable). What may stand in a list: kenyan13/config/arguments.py.
"""

import os
import sys
import traceback
from collections.abc import Sequence
from fnmatch import fnmatch
from itertools import groupby

from hydra._internal.core_plugins.basic_launcher import BasicLauncher
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, Override
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import open_dict

from kenyan13.config.arguments import translate
from kenyan13.config.settings import Settings
from kenyan13.errors import BusyError, UserError, did_you_mean, first_line
from kenyan13.study.definitions import Experiment, experiments


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
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        overrides = parser.parse_overrides(translate([*self._parse_config(), *arguments], sweep=True))
        for override in overrides:
            if isinstance(override.value(), Glob):
                refuse_idle_pattern(override)
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
        failures = find_failures(results)
        sweep.print_outcome(planned, [due[index].folder for index in failures])
        report_failures([one.job for one in due], failures)
        return [results]

    def compose(self, job: Sequence[str]) -> tuple[Settings, Experiment | None]:
        """Return the settings of a job, as the job itself will compose them, and the study's experiment that it is."""
        from kenyan13.config.compose import finish, to_settings

        assert self.hydra_context is not None
        assert self.config is not None
        config = self.hydra_context.config_loader.load_sweep_config(self.config, list(job))
        experiment = experiments().get(config.hydra.runtime.choices.get("experiment"))
        with open_dict(config):
            del config["hydra"]
        return finish(to_settings(config, job)), experiment


def refuse_idle_pattern(override: Override) -> None:
    """Raise UserError for a pattern, or a name beside one, that no choice of the group is called."""
    assert override.config_loader is not None
    options = override.config_loader.get_group_options(override.key_or_group)
    for pattern in override.value().include:  # type: ignore[union-attr]
        if not any(fnmatch(option, pattern) for option in options):
            problem = f"No {override.key_or_group}= is called '{pattern}'.{did_you_mean(pattern, options)}"
            raise UserError(problem, "see python train.py --help, for experiments kenyan13 study list")


def find_failures(results: Sequence[JobReturn]) -> dict[int, UserError]:
    """Return why jobs have failed, by their index; errors of the program itself are printed whole.

    A run that another process has taken is no failure.
    """
    from kenyan13.config.explain import explain

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
    return failures


def report_failures(jobs: Sequence[Sequence[str]], failures: dict[int, UserError]) -> None:
    """Raise UserError that lists the jobs that failed and why.

    A job that failed alone, or all for one reason, is told in that reason's own words.
    """
    from kenyan13.cli.sweep import differing

    reasons = list(failures.values())
    if not reasons:
        return
    if len(reasons) == len(jobs) and len({str(reason) for reason in reasons}) == 1:
        start = "" if len(jobs) == 1 else f"All {len(jobs)} runs failed: "
        raise UserError(start + reasons[0].problem, *reasons[0].next_steps)
    lines = []
    for index, reason in failures.items():
        told = f"{' '.join(differing(jobs[index], jobs))}: {first_line(reason)}"
        lines.append("\n     ".join([told, *reason.next_steps]))
    again = "the same command tries them again, and does not repeat what has finished"
    raise UserError(f"{len(reasons)} of {len(jobs)} runs failed.", *lines, again)
