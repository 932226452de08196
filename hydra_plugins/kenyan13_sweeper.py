"""Hydra's sweeper for `python train.py -m`: all combinations; finished runs are left, failed ones do not stop the rest.

Hydra finds plugins by the name of this folder, which for the same reason has no __init__.py. The sweeper is chosen in
conf/train.yaml (hydra/sweeper: going_on). What may stand in a list: kenyan13/config/arguments.py.
"""

import sys
import traceback
from collections.abc import Sequence
from fnmatch import fnmatch
from itertools import groupby
from time import perf_counter

from hydra._internal.core_plugins.basic_launcher import BasicLauncher
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, Override
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import open_dict

from kenyan13.config.arguments import translate
from kenyan13.config.settings import Settings, Task
from kenyan13.errors import BusyError, UserError, did_you_mean


class SweeperThatGoesOn(BasicSweeper):
    """Hydra's basic sweeper (all combinations, through any launcher) that goes on when a run fails."""

    def sweep(self, arguments: list[str]) -> list[Sequence[JobReturn]]:
        """Run all combinations that have not finished; raises UserError at the end where runs have failed.

        All are composed before the first is run, so that a slip in a name or value costs no time. Unlike the basic
        sweeper, it leaves no multirun.yaml: each run keeps its own configuration. Stages are put together when all
        other runs have ended, whatever the launcher runs at the same time.
        """
        from kenyan13.training import sweep

        assert self.launcher is not None
        assert self.hydra_context is not None
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        overrides = parser.parse_overrides(translate([*self._parse_config(), *arguments], sweep=True))
        for override in overrides:
            refuse_idle_pattern(override)
        jobs = [job for batch in self.split_arguments(overrides, None) for job in batch]
        planned = sweep.make_plan([(job, self.settings(job)) for job in jobs], named_choices(overrides))
        sweep.print_plan(planned)
        stages_first = sorted(planned, key=lambda one: one.settings.task is Task.cascade)
        due = [one for one in stages_first if one.due]
        results: list[JobReturn] = []
        start = perf_counter()
        one_by_one = isinstance(self.launcher, BasicLauncher)
        for _, together in groupby(due, lambda one: one if one_by_one else one.settings.task is Task.cascade):
            results += self.launcher.launch([one.job for one in together], initial_job_idx=len(results))
            sweep.print_progress(len(results), len(due), perf_counter() - start)
        failures = find_failures(results)
        sweep.print_outcome(planned, [due[place].folder for place in failures])
        report_failures([one.job for one in due], failures)
        return [results]

    def settings(self, job: Sequence[str]) -> Settings:
        """Return the settings of a job, as the job itself will compose them."""
        from kenyan13.config.compose import finish, to_settings

        assert self.hydra_context is not None
        assert self.config is not None
        config = self.hydra_context.config_loader.load_sweep_config(self.config, list(job))
        with open_dict(config):
            del config["hydra"]
        return finish(to_settings(config, job))


def refuse_idle_pattern(override: Override) -> None:
    """Raise UserError for a pattern, or a name beside one, that no choice of the group is called."""
    patterns: object = override.value()
    if not isinstance(patterns, Glob):
        return
    assert override.config_loader is not None
    options = override.config_loader.get_group_options(override.key_or_group)
    for pattern in patterns.include:
        if not any(fnmatch(option, pattern) for option in options):
            close = did_you_mean(pattern, options)
            raise UserError(
                f"No {override.key_or_group}= is called '{pattern}'.{close}",
                "see python train.py --help, for experiments kenyan13 study list",
            )


def named_choices(overrides: Sequence[Override]) -> set[str]:
    """Return the choices that are named whole, rather than by a pattern."""
    named: set[str] = set()
    for override in overrides:
        value: object = override.value()
        if isinstance(value, Glob):
            named |= {pattern for pattern in value.include if "*" not in pattern}
        elif override.is_sweep_override():
            named |= {str(one) for one in override.sweep_iterator()}
        else:
            named.add(str(value))
    return named


def find_failures(results: Sequence[JobReturn]) -> dict[int, UserError]:
    """Return why jobs have failed, by their place; errors of the program itself are printed whole.

    A run that another process has taken is no failure.
    """
    from kenyan13.config.explain import explain

    failures: dict[int, UserError] = {}
    for place, result in enumerate(results):
        if result.status is JobStatus.COMPLETED:
            continue
        error = result._return_value  # the property would print the overrides and raise
        reason = explain(error)
        if isinstance(reason, BusyError):
            continue
        if reason is None:
            traceback.print_exception(error, file=sys.stderr)
            reason = UserError(f"{type(error).__name__}: {str(error).partition(chr(10))[0]}")
        failures[place] = reason
    return failures


def report_failures(jobs: Sequence[Sequence[str]], failures: dict[int, UserError]) -> None:
    """Raise UserError that lists the jobs that failed and why.

    A job that failed alone, or all for one reason, is told in that reason's own words.
    """
    from kenyan13.training.sweep import differing

    if not failures:
        return
    reasons = list(failures.values())
    if len(reasons) == len(jobs) and len({str(reason) for reason in reasons}) == 1:
        said = reasons[0].problem if len(jobs) == 1 else f"All {len(jobs)} runs failed: {reasons[0].problem}"
        raise UserError(said, *reasons[0].next_steps)
    lines = [
        f"{' '.join(differing(jobs[place], jobs))}: {reason.problem.splitlines()[0]}"
        for place, reason in failures.items()
    ]
    again = "the same command tries them again, and does not repeat what has finished"
    raise UserError(f"{len(reasons)} of {len(jobs)} runs failed.", *lines, again)
