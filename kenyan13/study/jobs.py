"""What the study's experiments do that train nothing: draw contact sheets, put two trained stages together."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from torch.utils.tensorboard import SummaryWriter

from kenyan13.analysis.cascade import compose, read_stages, write_cascade
from kenyan13.config.compose import compose_settings
from kenyan13.errors import BusyError, UserError
from kenyan13.metrics.classification import standard_error
from kenyan13.runs import directory
from kenyan13.runs.config_file import write_config
from kenyan13.runs.locate import check_same, run_directory
from kenyan13.runs.predictions import classes_of, scores
from kenyan13.study.definitions import CASCADE, SHEETS, TRAINING, Experiment, groups
from kenyan13.terminal import console
from kenyan13.training.board import remove_events
from kenyan13.training.contact_sheets import write_contact_sheets
from kenyan13.training.inference import open_data


def draw_contact_sheets(experiment: Experiment, overrides: Sequence[str]) -> None:
    """Write the contact sheets into sheets/ of the run directory, and to TensorBoard.

    overrides: what Hydra composes the experiment from, experiment=AAA among them. Raises UserError for data that cannot
    be used, or a folder of another run.
    """
    settings = compose_settings(overrides)
    folder, data = run_directory(settings), open_data(settings)
    described = data.describe()
    check_same(folder, settings, described)
    with directory.only_process(folder):
        write_config(folder, settings, described)
        files = write_contact_sheets(data, folder / "sheets")
        remove_events(folder)  # of an earlier time
        with SummaryWriter(folder) as writer:
            for file in files:
                name = file.relative_to(folder / "sheets").with_suffix("").as_posix()
                writer.add_image(name, np.asarray(Image.open(file).convert("RGB")), 0, dataformats="HWC")
    console.print(f"{len(files)} contact sheets: {folder / 'sheets'}")


def compose_stages(experiment: Experiment, overrides: Sequence[str]) -> None:
    """Write the two-stage classifier's predictions and confusion matrices into the run directory.

    overrides: what Hydra composes the experiment from; the stages are its group's other experiments with the same.
    Raises UserError where a stage is not finished, or the run directory is another run's; BusyError while a stage is
    trained.
    """
    composed = compose(read_stages(stage_folders(experiment, overrides)))
    settings = compose_settings(overrides)
    folder, data = run_directory(settings), {"classes": list(classes_of(composed.hard))}
    check_same(folder, settings, data)
    with directory.only_process(folder):
        write_config(folder, settings, data)
        write_cascade(folder, composed)
    for name, table in (("hard", composed.hard), ("soft", composed.soft)):
        one = scores(table)
        accuracy = f"{one['accuracy']:.2%} (standard error {standard_error(one['accuracy'], len(table)):.2%})"
        console.print(f"{experiment.id}, {name} gating: {accuracy}, macro F1 {one['macro_f1']:.3f}")


def stage_folders(experiment: Experiment, overrides: Sequence[str]) -> list[Path]:
    """Return the run directories of an experiment's stages, all of them finished."""
    others = [word for word in overrides if not word.lstrip("+").startswith(("experiment=", "name="))]
    stages = [one.id for one in groups()[experiment.group].experiments.values() if one.kind == TRAINING]
    folders = {id_: run_directory(compose_settings([f"experiment={id_}", *others])) for id_ in stages}
    for id_, folder in folders.items():
        state = directory.read_state(folder)
        if state is directory.State.running:
            raise BusyError(f"{folder} is still being trained.", "the same command again, when it has finished")
        if state is not directory.State.finished:
            step = f"train the stages first: python train.py -m experiment={','.join(stages)} ..."
            raise UserError(f"There is no finished run of {id_} with these settings: {folder}.", step)
    return list(folders.values())


JOBS: dict[str, Callable[[Experiment, Sequence[str]], None]] = {
    SHEETS: draw_contact_sheets,
    CASCADE: compose_stages,
}
