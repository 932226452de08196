"""What train.py runs: Hydra composes conf/train.yaml and the command line, then training starts."""

import os
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import cast

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, MissingMandatoryValue, OmegaConf

from kenyan13.cli.app import DRY_RUN, print_next
from kenyan13.cli.export import add_graph
from kenyan13.config.arguments import translate
from kenyan13.config.compose import compose_settings, explain, finish, to_settings
from kenyan13.config.presets import CONF, known_settings, unknown_setting
from kenyan13.config.settings import Settings
from kenyan13.errors import FULL_ERROR, UserError, one_screen
from kenyan13.machine import is_first_process
from kenyan13.runs.directory import BEST
from kenyan13.runs.locate import run_directory
from kenyan13.study.definitions import TRAINING, experiments
from kenyan13.training.device_sharing import launched


@hydra.main(config_path=str(CONF), config_name="train", version_base="1.3")
def job(config: DictConfig) -> float | None:
    """Train one run, or do what the study's experiment is.

    Returns the lowest validation loss, if there is one, for sweepers that search.
    """
    hydra_config = HydraConfig.get()
    # Hydra prints all overrides above an exception that leaves a job; in a sweep, that is how to tell which job it was.
    alone = hydra_config.mode is RunMode.RUN
    if str(Path.cwd()) not in sys.path:  # for a user's own classes: _target_: my_parts.MyCallback
        sys.path.append(str(Path.cwd()))
    # As they are written: those that name ${run.folder} have no value yet.
    overrides = cast(list[str], OmegaConf.to_container(hydra_config.overrides.task, resolve=False))
    with one_screen(explain) if alone else nullcontext():
        settings = finish(to_settings(config, overrides))
        experiment = experiments().get(str(hydra_config.runtime.choices.get("experiment")))
        with launched(hydra_config, settings.trainer):
            # Torch is imported here, so that --help and --cfg need none.
            if experiment is not None and experiment.kind != TRAINING:
                from kenyan13.study.jobs import JOBS

                JOBS[experiment.kind](experiment, overrides)
                return None
            from kenyan13.training.run import train

            result = train(settings, brief=not alone)
        if alone and is_first_process():
            if settings.export and (run_directory(settings) / BEST).is_file():
                add_graph(run_directory(settings))
            print_next(*next_commands(settings))
        return result.min_val_loss


def next_commands(settings: Settings) -> list[list[str]]:
    """Return what can be done with a finished run; it is compared with the newest other one on the same images."""
    from kenyan13.runs.locate import changed, find_runs
    from kenyan13.runs.run import read_all, read_run

    folder, runs = run_directory(settings), Path(settings.runs)
    commands = [["kenyan13", "predict", str(folder), "PHOTO.jpg"], ["kenyan13", "report", str(runs)]]
    own, newest_first = read_run(folder), sorted(find_runs([runs]), key=changed, reverse=True)
    for other in read_all([one for one in newest_first if one != folder]):
        if other.result and all(own.data[part] == other.data.get(part) for part in ("classes", "validation")):
            commands.append(["kenyan13", "compare", str(folder), str(other.folder)])
            break
    if "tensorboard" in settings.logger:
        commands.append(["tensorboard", "--logdir", str(runs)])
    return commands


def main() -> None:
    """Run `job` as Hydra does, with a user's mistakes on one screen and exit code 2."""
    # Hydra would print a user's mistake in its own words and leave with 1; with this it hands the exception on.
    os.environ |= {"KENYAN13_FULL_ERROR": str(int(FULL_ERROR)), "HYDRA_FULL_ERROR": "1"}
    with one_screen(explain):
        if "--dry-run" in sys.argv:
            sys.argv = [*(word for word in sys.argv if word not in ("--dry-run", "-m", "--multirun")), "-m"]
            os.environ[DRY_RUN] = "1"
        given, unknown = get_args_parser().parse_known_intermixed_args(sys.argv[1:])
        for flag in unknown:  # --max_epochs and the like
            name = flag.lstrip("-").partition("=")[0].replace("-", "_")
            known = name in known_settings() or (CONF / name).is_dir()
            meant = f"write {name}=VALUE" if known else unknown_setting(name).problem
            raise UserError(f"There is no flag {flag}: settings are written without dashes.", meant)
        if given.cfg and given.multirun:
            raise UserError("-m and --cfg do not go together.", "leave out -m, and give each setting one value")
        if given.cfg:  # Hydra would show settings that no run can have; a value may be missing yet
            try:
                compose_settings(given.overrides)
            except UserError as error:
                if not isinstance(error.__cause__, MissingMandatoryValue):
                    raise
        # Flags first: argparse wants all settings in one row, and -m may stand between them.
        flags = [word for word in sys.argv[1:] if word not in given.overrides]
        sys.argv[1:] = [*flags, *translate(given.overrides, sweep=given.multirun)]
        job()


if __name__ == "__main__":
    main()
