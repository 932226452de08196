"""What Hydra and OmegaConf raise for a user's mistake, said in the user's words."""

import re
from dataclasses import asdict

from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException, OverrideParseException
from omegaconf import MissingMandatoryValue
from omegaconf.errors import OmegaConfBaseException

from kenyan13.config.presets import CONF, TARGET, flatten, nodes, presets
from kenyan13.config.settings import BUILT, Settings
from kenyan13.errors import UserError, did_you_mean, first_line

ALL = "all settings: python train.py --cfg job"


def explain(error: Exception) -> UserError | None:
    """Turn what Hydra or OmegaConf raise for a user's mistake into a UserError; None for anything else."""
    if isinstance(error, UserError):
        return error
    if isinstance(error, MissingConfigException):
        group, _, choice = str(error.missing_cfg_file or "").rpartition("/")
        options = error.options or list(presets(group))
        steps = [f"choices: {', '.join(sorted(one for one in options if not one.endswith('_plugin')))}"]
        if group == "experiment":
            steps = ["the study's: kenyan13 study list; of conf/experiment: python train.py --help"]
            options = [option for option in options if option[:2] == choice[:2]] or options  # of the same set, rather
        if group == "model":
            steps.append(f"any other timm architecture: model.backbone={choice}")
        return UserError(f"There is no {group}={choice}.{did_you_mean(choice, options)}", *steps)
    if isinstance(error, OverrideParseException):
        step = "write key=value without blanks, as in optim.lr=1e-4; quote brackets: 'augment.scale=[0.9,1.1]'"
        return UserError(f"'{error.override}' is not an override that Hydra can read.", step)
    cause = error.__cause__ if isinstance(error, ConfigCompositionException) and error.__cause__ else error
    key = str(getattr(cause, "full_key", None) or getattr(cause, "key", None) or "")
    if isinstance(cause, MissingMandatoryValue):
        return UserError(f"The setting {key} has no value.", f"give it on the command line: {key}=...")
    if isinstance(cause, OmegaConfBaseException):
        unknown = re.match(r"Key '([^']+)' (?:is )?not in", first_line(cause))
        return unknown_setting(key) if unknown else UserError(f"{key}: {first_line(cause)}", ALL)
    if isinstance(error, HydraException):
        if unmatched := re.search(r"Could not override '([^']+)'\.\s*No match in the defaults list", str(error)):
            return unknown_setting(unmatched[1])
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        return UserError(lines[0], *lines[1:3], ALL)
    return None


def unknown_setting(key: str) -> UserError:
    """Say that there is no such setting or group, and which one was probably meant."""
    groups = [folder.name for folder in CONF.iterdir() if folder.is_dir() and folder.name != "hydra"]
    if key in groups:
        return UserError(f"{key}=... chooses a whole group of settings.", f"one of them: {key}.KEY=VALUE")
    settings = known_settings()
    parent, _, last = key.rpartition(".")
    same_name = [name for name in settings if name.rpartition(".")[2] == last]
    siblings = [name for name in settings if parent and name.startswith(f"{parent}.")]
    close = f" Did you mean '{same_name[-1]}'?" if same_name else did_you_mean(key, siblings)
    return UserError(f"There is no setting '{key}'.{close or did_you_mean(key, groups + settings)}", ALL)


def known_settings() -> list[str]:
    """Return the dotted names of all settings, those of the presets among them."""
    own = [name for name, _ in flatten(asdict(Settings())) if name not in BUILT]
    built = [(key, node) for group in BUILT for values in presets(group).values() for key, node in nodes(group, values)]
    return [*own, *dict.fromkeys(f"{key}.{name}" for key, node in built for name in node if name != TARGET)]
