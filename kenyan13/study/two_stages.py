"""task=cascade: finds the stages that were trained with the same settings, and puts them together."""

import json
from dataclasses import replace
from pathlib import Path

from kenyan13.data.stages import FIRST
from kenyan13.errors import UserError
from kenyan13.settings import Settings, Task, decisive, run_directory
from kenyan13.study.cascade import compose, read_stages, summary, write_cascade
from kenyan13.training import directory
from kenyan13.training.display import console


def compose_stage_runs(settings: Settings) -> None:
    """Write the two-stage classifier's predictions, confusion matrices and cascade.json into the run directory.

    Raises UserError where a stage has not been trained to its end in the same folder of runs.
    """
    composed = compose(read_stages([find_run(settings, stage) for stage in (FIRST, *settings.data.groups)]))
    folder = run_directory(settings)
    with directory.only_process(folder):
        directory.write_config(folder, settings, {"classes": list(composed.classes)})
        write_cascade(folder, composed)
        with directory.replacing(folder / directory.CASCADE) as file:
            file.write_text(json.dumps(summary(composed), indent=2) + "\n")
    for name, gating in (("hard", composed.hard), ("soft", composed.soft)):
        accuracy = f"{gating.accuracy:.2%} (standard error {gating.standard_error:.2%})"
        console.print(f"{folder.name}, {name} gating: {accuracy}, macro F1 {gating.macro_f1:.3f}")


def find_run(settings: Settings, stage: str) -> Path:
    """Return the finished run of a stage whose other settings are the given ones."""
    data = replace(settings.data, stage=stage)
    wanted = decisive(replace(settings, task=Task.train, data=data))
    for config in sorted(Path(settings.runs).glob(f"*/{directory.CONFIG}")):
        if decisive(directory.read_settings(config.parent)) == wanted and directory.read_result(config.parent):
            return config.parent
    raise UserError(
        f"There is no finished run of data.stage={stage} with these settings in {settings.runs}.",
        "train the stages first; of the study: python train.py -m 'experiment=E*'",
    )
