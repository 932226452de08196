"""task=cascade: finds the stages that were trained with the same settings, and puts them together."""

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from kenyan13.analysis.cascade import compose, read_stages, summary, write_cascade
from kenyan13.config.identity import differences
from kenyan13.config.settings import Settings, Task
from kenyan13.data.stages import FIRST
from kenyan13.errors import BusyError, UserError
from kenyan13.runs import directory
from kenyan13.runs.config_file import read_settings, write_config
from kenyan13.runs.locate import check_same, run_directory
from kenyan13.runs.result import read_result
from kenyan13.training.display import console


def compose_stage_runs(settings: Settings) -> None:
    """Write the two-stage classifier's predictions, confusion matrices and cascade.json into the run directory.

    Raises UserError where a stage has not been trained to its end in the same folder of runs, or the run directory is
    another run's; BusyError while another process trains a stage.
    """
    composed = compose(read_stages([find_run(settings, stage) for stage in (FIRST, *settings.data.groups)]))
    folder, data = run_directory(settings), {"classes": list(composed.classes)}
    check_same(folder, settings, data)
    with directory.only_process(folder):
        write_config(folder, settings, data)
        write_cascade(folder, composed)
        with directory.replacing(folder / directory.CASCADE) as file:
            file.write_text(json.dumps(summary(composed), indent=2) + "\n")
    for name, gating in (("hard", composed.hard), ("soft", composed.soft)):
        accuracy = f"{gating.accuracy:.2%} (standard error {gating.standard_error:.2%})"
        console.print(f"{folder.name}, {name} gating: {accuracy}, macro F1 {gating.macro_f1:.3f}")


def find_run(settings: Settings, stage: str) -> Path:
    """Return the finished run of a stage whose other settings are the given ones.

    Raises UserError when there is none, BusyError while another process trains it.
    """
    stages = [folder for folder, run in readable_runs(Path(settings.runs)) if is_stage(run, settings, stage)]
    for folder in stages:
        if read_result(folder):
            return folder
    for folder in stages:
        if directory.read_state(folder) is directory.State.running:
            raise BusyError(f"{folder} is still being trained.", "the same command again, when it has finished")
    raise UserError(
        f"There is no finished run of data.stage={stage} with these settings in {settings.runs}.",
        "train the stages first; of the study: python train.py -m 'experiment=E*'",
    )


def is_stage(run: Settings, settings: Settings, stage: str) -> bool:
    """Return whether a run is a stage of the two-stage classifier that is configured.

    Runs of the study are all of KenyanFood13, which may have been moved between them.
    """
    of_study = run.experiment is not None and settings.experiment is not None
    data = replace(settings.data, stage=stage, root=run.data.root if of_study else settings.data.root)
    return not differences(run, replace(settings, task=Task.train, data=data))


def readable_runs(runs: Path) -> Iterator[tuple[Path, Settings]]:
    """Yield the run directories in a folder of runs, by name, but for those whose settings cannot be read."""
    for config in sorted(runs.glob(f"*/{directory.CONFIG}")):
        with suppress(UserError):
            yield config.parent, read_settings(config.parent)
