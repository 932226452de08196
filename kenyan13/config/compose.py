"""From conf/ and the command line to checked Settings; what is wrong on the way is said in the user's words.

Imports no torch, so that `python train.py --help` and `--cfg job` answer at once.
"""

import re
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import fields, is_dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, cast

from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, MissingMandatoryValue, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from kenyan13.config.arguments import teach_hydra
from kenyan13.config.identity import decisive, digits, run_name
from kenyan13.config.limits import check, leaves
from kenyan13.config.settings import Settings
from kenyan13.errors import UserError, did_you_mean
from kenyan13.study import definitions as ids
from kenyan13.study.dataset import is_other_data
from kenyan13.study.smoke import toy
from kenyan13.training.device_sharing import runs_at_once

CONF = Path(__file__).parents[2] / "conf"

PATHS = ("data.root", "data.cache", "model.weights", "runs")

schema = OmegaConf.structured(Settings)
OmegaConf.set_struct(schema.data.groups, False)  # Hydra lets no setting get new keys, but these are names to be chosen
ConfigStore.instance().store(name="schema", node=schema)
teach_hydra(CONF)
ids.register()


def list_choices() -> str:
    """Return a line a config group with its choices, for --help; the study's many experiments are listed elsewhere."""
    lines = {folder.name: sorted(file.stem for file in folder.glob("*.yaml")) for folder in sorted(CONF.iterdir())}
    lines["experiment"].append("and the study's, AAA to HAO: kenyan13 study list")
    return "\n".join(f"{group}: {', '.join(choices)}" for group, choices in lines.items() if choices)


OmegaConf.register_new_resolver("list_choices", list_choices, replace=True)
OmegaConf.register_new_resolver("runs_at_once", runs_at_once, use_cache=True, replace=True)  # conf/hydra/launcher


def quote_paths(arguments: Sequence[str]) -> list[str]:
    """Return command-line arguments with paths as Hydra can read them: ~ filled in, and quoted where they need to be.

    Hydra's grammar knows neither ~ nor blanks, brackets or = in a value. Lists (with commas) and quoted values stay.
    """
    quoted = []
    for argument in arguments:
        key, _, value = argument.partition("=")
        if value and key in PATHS and not re.search(r"[,'\"$]", value):
            home = str(Path(value).expanduser())
            argument = f"{key}='{home}'" if re.search(r"[^\w./\\-]", home) else f"{key}={home}"
        quoted.append(argument)
    return quoted


def to_settings(config: DictConfig) -> Settings:
    """Return composed configuration as checked Settings.

    Raises UserError for an unknown key or an impossible value, OmegaConf's own errors for a missing or mistyped one
    (`explain` turns those into UserErrors).
    """
    refuse_unknown(config)
    settings = cast(Settings, OmegaConf.to_object(config))
    check(settings)
    return settings


def refuse_unknown(node: Any, known: Any = Settings, prefix: str = "") -> None:
    """Raise UserError for a key that is no setting, as one added with `+key=value` may be."""
    types = {item.name: item.type for item in fields(known)}
    for key, value in node.items():
        if key not in types:
            raise unknown_setting(f"{prefix}{key}")
        if is_dataclass(types[key]):
            refuse_unknown(value, types[key], f"{prefix}{key}.")


def compose_settings(overrides: Sequence[str] = ()) -> Settings:
    """Compose conf/train.yaml with Hydra overrides, as `python train.py OVERRIDES` does."""
    try:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            return own_name(to_settings(compose("train", overrides=quote_paths(overrides))))
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        raise (explain(error) or error) from error


def own_name(settings: Settings) -> Settings:
    """Return settings whose name and experiment say what they are: the study's experiment only if nothing differs.

    With any setting changed that matters to the result, or on other images than KenyanFood13, the run is named by
    that: CBC_EfficientNetB4_PT5-1a2b3c4d. With smoke=true, the settings are those of the toy run, and its name says so.
    Raises UserError for an experiment's name on another run.
    """
    if settings.experiment is not None:
        reference = composed(f"experiment={settings.experiment}")  # as the study has it
        same = is_same_experiment(settings, reference)
        if not same:
            settings.experiment = None
            if settings.name == reference.name:
                workers = f"-W{settings.data.workers}" if reference.data.workers else ""  # which group A times
                settings.name = f"{reference.name}-{digits(settings)}{workers}"
    owner = next((id_ for id_, one in ids.experiments().items() if one.name == settings.name), None)
    if owner not in (None, settings.experiment):
        raise UserError(f"name={settings.name} is the name of experiment {owner}.", "choose another name=")
    return toy(settings, run_name(settings)) if settings.smoke else settings


@cache
def composed(*overrides: str) -> Settings:
    """Return the settings of conf/train.yaml with Hydra overrides, whatever the job is; not to be changed."""
    # in a job of train.py, Hydra is at work already, and on the same conf/
    working = GlobalHydra.instance().is_initialized()
    with nullcontext() if working else initialize_config_dir(str(CONF), version_base="1.3"):
        return to_settings(compose("train", overrides=list(overrides)))


def is_same_experiment(settings: Settings, reference: Settings) -> bool:
    """Return whether settings are those of an experiment as the study has it, wherever KenyanFood13 lies on this disk.

    A toy run has images of its own in any case.
    """
    here = Path(settings.data.root).expanduser()
    data = replace(settings.data, root=reference.data.root)
    if settings.smoke:
        data = replace(data, layout=reference.data.layout)
    elif is_other_data(here):
        return False
    if decisive(replace(settings, data=data, smoke=False)) != decisive(reference):
        return False
    timed = reference.data.workers  # group A times the loader: what is machine's business elsewhere is the point there
    return timed is None or settings.data.workers == timed


def explain(error: Exception) -> UserError | None:
    """Turn what Hydra or OmegaConf raise for a user's mistake into a UserError; None for anything else."""
    if isinstance(error, UserError):
        return error
    if isinstance(error, MissingConfigException):
        return explain_choice(str(error.missing_cfg_file or ""), error.options or [])
    if isinstance(error, OverrideParseException):
        return UserError(
            f"'{error.override}' is not an override that Hydra can read.",
            "write key=value, as in optim.lr=1e-4; quote values with spaces or brackets: 'augment.scale=[0.9, 1.1]'",
        )
    if isinstance(error, ValueError) and "Config group override must be" in str(error):
        return UserError("A config group is given something that is no name.", "write it as in model=resnet18")
    cause = error.__cause__ if isinstance(error, ConfigCompositionException) and error.__cause__ else error
    if isinstance(cause, OmegaConfBaseException):
        return explain_value(cause)
    if isinstance(error, HydraException):
        return explain_hydra(str(error))
    return None


def explain_choice(missing: str, options: Sequence[str]) -> UserError:
    """Say which choice of a config group does not exist, and which do."""
    group, _, choice = missing.rpartition("/")
    if not group:
        return UserError(f"There is no configuration '{choice}'.", "see python train.py --help")
    listed = [option for option in options if group != "experiment" or option not in ids.experiments()]
    steps = [f"choices: {', '.join(sorted(one for one in listed if not one.endswith('_plugin')))}"]
    if group == "experiment":
        steps.insert(0, "the study's: kenyan13 study list")
        options = [option for option in options if option[:2] == choice[:2]] or options  # of the same set, rather
    if group == "model":
        steps.append(f"any other timm architecture: model.backbone={choice}")
    return UserError(f"There is no {group}={choice}.{did_you_mean(choice, options)}", *steps)


def explain_value(error: OmegaConfBaseException) -> UserError:
    """Say which key is unknown, or which value has the wrong type."""
    key = str(getattr(error, "full_key", None) or getattr(error, "key", None) or "")
    first = str(error).splitlines()[0]
    if isinstance(error, MissingMandatoryValue):
        return UserError(f"The setting {key} has no value.", f"give it on the command line: {key}=...")
    if re.match(r"Key '([^']+)' (?:is )?not in", first):
        return unknown_setting(key)
    return UserError(f"{key}: {first}", "all settings and their present values: python train.py --cfg job")


def unknown_setting(key: str) -> UserError:
    """Say that there is no such setting or group, and which one was probably meant."""
    groups = [folder.name for folder in CONF.iterdir() if folder.is_dir() and folder.name != "hydra"]
    settings = [name for name, _ in leaves(Settings)]
    parent, _, last = key.rpartition(".")
    same_name = [name for name in settings if name.rpartition(".")[2] == last]
    siblings = [name for name in settings if parent and name.startswith(f"{parent}.")]
    close = (
        f" Did you mean '{same_name[0]}'?"
        if same_name
        else next(filter(None, (did_you_mean(key, known) for known in (siblings, groups + settings))), "")
    )
    return UserError(f"There is no setting '{key}'.{close}", "all settings: python train.py --cfg job")


def explain_hydra(text: str) -> UserError:
    """Say what Hydra objects to in an override of a config group or an unknown key."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    group = re.search(r"Could not override '([^']+)'\.\s*No match in the defaults list", text)
    if group:
        return unknown_setting(group.group(1))
    several = re.search(r"(?:Sweep parameters|Ambiguous value for argument) '(.+?)'(?: requires|$)", text, re.MULTILINE)
    if several:
        steps = [f"add -m to train one run a value: python train.py -m {several[1]}"]
        steps += ["for a list as one value: key=[a,b]"] if "," in several[1] else []
        return UserError(f"{several[1]} stands for several runs.", *steps)
    return UserError(lines[0], *lines[1:3], "all settings: python train.py --cfg job")
