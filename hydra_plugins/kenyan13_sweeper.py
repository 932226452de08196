"""Hydra's sweeper for `python train.py -m`: all combinations, and a failed run does not stop the others.

Hydra finds plugins by the name of this folder, which for the same reason has no __init__.py. The sweeper is chosen in
conf/train.yaml (hydra/sweeper: going_on). What may stand in a list: kenyan13/overrides.py.
"""

import sys
import traceback
from collections.abc import Sequence
from fnmatch import fnmatch

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, Override
from hydra.core.utils import JobReturn, JobStatus

from kenyan13.errors import UserError, did_you_mean


class SweeperThatGoesOn(BasicSweeper):
    """Hydra's basic sweeper (all combinations, through any launcher) that goes on when a run fails."""

    def sweep(self, arguments: list[str]) -> list[Sequence[JobReturn]]:
        """Run all combinations; raises UserError at the end where runs have failed.

        All are composed before the first is run, so that a slip in a name or value costs no time. Unlike the basic
        sweeper, it leaves no multirun.yaml: each run keeps its own configuration.
        """
        assert self.launcher is not None
        assert self.hydra_context is not None
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        overrides = parser.parse_overrides([*self._parse_config(), *arguments])
        for override in overrides:
            refuse_idle_pattern(override)
        batches = self.split_arguments(overrides, self.max_batch_size)
        for batch in batches:
            self.validate_batch_is_legal(batch)
        returns: list[Sequence[JobReturn]] = []
        for batch in batches:
            done = sum(len(results) for results in returns)
            returns.append(self.launcher.launch(batch, initial_job_idx=done))
        report_failures([job for batch in batches for job in batch], [one for results in returns for one in results])
        return returns


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
            raise UserError(f"No {override.key_or_group}= is called '{pattern}'.{close}", "see python train.py --help")


def report_failures(jobs: Sequence[Sequence[str]], results: Sequence[JobReturn]) -> None:
    """Raise UserError that lists the jobs that failed and why; errors of the program itself are printed whole before.

    A job that failed alone, or all for one reason, is told in that reason's own words.
    """
    from kenyan13.configuration import explain

    common = set(jobs[0]).intersection(*jobs) if len(jobs) > 1 else set()
    lines: list[str] = []
    reasons: list[UserError] = []
    for job, result in zip(jobs, results, strict=True):
        if result.status is JobStatus.COMPLETED:
            continue
        error = result._return_value  # the property would print the overrides and raise
        reason = explain(error)
        if reason is None:
            traceback.print_exception(error, file=sys.stderr)
            reason = UserError(f"{type(error).__name__}: {str(error).partition(chr(10))[0]}")
        reasons.append(reason)
        lines.append(f"{' '.join(item for item in job if item not in common)}: {reason.problem.splitlines()[0]}")
    if not reasons:
        return
    if len(reasons) == len(jobs) and len({str(reason) for reason in reasons}) == 1:
        said = reasons[0].problem if len(jobs) == 1 else f"All {len(jobs)} runs failed: {reasons[0].problem}"
        raise UserError(said, *reasons[0].next_steps)
    again = "the same command tries them again, and does not repeat what has finished"
    raise UserError(f"{len(reasons)} of {len(jobs)} runs failed.", *lines, again)
