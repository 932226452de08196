"""The study's experiments: ids AAA to HAO, computed from groups/*.yaml, and the same experiments as Hydra's choices.

An id is group, set, experiment. A group's file gives settings at four depths, each overriding the one before: what all
groups share (all.yaml), what the group shares (`all`), its sets (B's first is BA), their experiments (BA's first is
BAA). Experiments are a list, the group's or a set's own, or one setting that is varied: {vary: KEY, over: VALUES}. A
key is a config group with a choice (model: resnet18) or a setting with a value (optim.lr: 1e-4); `label` is a part of
the name.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from string import ascii_uppercase
from typing import Any

from hydra.core.config_store import ConfigNode, ConfigStore
from omegaconf import OmegaConf

from kenyan13.config.ranges import expand
from kenyan13.errors import UserError, did_you_mean

FILES = Path(__file__).parent / "groups"
GROUPS = tuple("ABCDEFGH")
Level = Mapping[str, Any]


@dataclass(frozen=True)
class Experiment:
    """One experiment: its id, the study's name for it, and how it differs from conf/train.yaml."""

    id: str
    name: str  # with the id, as in CBC_EfficientNetB4_PT5: the run's folder
    settings: Mapping[str, Any]  # config group -> choice, dotted setting -> value

    def choices(self) -> dict[str, str]:
        """Return config group -> choice."""
        return {key: value for key, value in self.settings.items() if is_group(key)}

    def values(self) -> dict[str, Any]:
        """Return dotted setting -> value."""
        return {key: value for key, value in self.settings.items() if not is_group(key)}


def is_group(key: str) -> bool:
    """Whether a key of a definition chooses from a config group, rather than setting a value."""
    return "." not in key and key not in ("seed", "task")


@cache
def experiments() -> dict[str, Experiment]:
    """Return all experiments by id, in the order of ids."""
    shared = read("all")
    return {item.id: item for group in GROUPS for item in read_group(group, read(group), shared)}


def read(name: str) -> dict[str, Any]:
    """Read one of groups/*.yaml."""
    return OmegaConf.to_container(OmegaConf.load(FILES / f"{name}.yaml"))  # type: ignore[return-value]


def read_group(group: str, definition: Level, shared: Level) -> Iterator[Experiment]:
    """Yield the experiments that a group's file defines."""
    for set_letter, whole_set in zip(ascii_uppercase, definition["sets"], strict=False):
        ones = axis(whole_set.get("experiments", definition.get("experiments")))
        in_set = {key: value for key, value in whole_set.items() if key != "experiments"}
        for letter, one in zip(ascii_uppercase, ones, strict=False):
            levels = (shared, definition["all"], in_set, one)
            merged = {key: value for level in levels for key, value in level.items()}
            merged.pop("label", None)
            id_ = group + set_letter + letter
            name = "_".join([id_, *(level["label"] for level in levels if "label" in level)])
            yield Experiment(id_, name, merged)


def axis(experiments: Any) -> list[Level]:
    """Return a set's experiments as a list; one setting that is varied becomes one experiment a value."""
    if isinstance(experiments, list):
        return experiments
    key, over, label = experiments["vary"], experiments["over"], experiments["label"]
    values = expand(key, over) if isinstance(over, str) else over
    return [{key: value, "label": label.format(rate_label(value))} for value in values]


def rate_label(value: float) -> str | int:
    """Return a rate as names have it, with one digit: 3E-4 for 3.16e-4. Whole numbers stay."""
    if isinstance(value, int):
        return value
    digit, exponent = f"{value:.0E}".split("E")
    return f"{digit}E{int(exponent)}"


def experiment(id_: str) -> Experiment:
    """Return an experiment by its id. Raises UserError for an id that the study does not have."""
    if id_ not in experiments():
        close = did_you_mean(id_, list(experiments()))
        raise UserError(f"The study has no experiment {id_}.{close}", "see kenyan13 study list")
    return experiments()[id_]


def find(**wanted: Any) -> list[str]:
    """Return the ids of experiments with all the given settings: find(model="efficientnet_b4", freeze="pt5").

    Dots in a setting's name are written as two underscores: find(optim__weight_decay=1e-3).
    """
    pairs = {key.replace("__", "."): value for key, value in wanted.items()}
    return [
        id_ for id_, one in experiments().items() if all(one.settings.get(key) == value for key, value in pairs.items())
    ]


class SharedNode(ConfigNode):
    """A node of Hydra's store that is not copied with the store.

    Hydra copies its whole store for each composition, which takes a third of a second with these nodes, and a node
    again when it is read, which is enough.
    """

    def __deepcopy__(self, memo: dict[int, Any]) -> "SharedNode":
        return self


def register() -> None:
    """Make each experiment a choice of Hydra's, experiment=CBC, as if there were a file for each in conf/experiment."""
    nodes = ConfigStore.instance().repo.setdefault("experiment", {})
    for one in experiments().values():
        node: dict[str, Any] = {
            "defaults": [{f"override /{group}": choice} for group, choice in one.choices().items()],
            "experiment": one.id,
            "name": one.name,
        }
        for key, value in one.values().items():
            *parents, last = key.split(".")
            inner = node
            for parent in parents:
                inner = inner.setdefault(parent, {})
            inner[last] = value
        name = f"{one.id}.yaml"
        nodes[name] = SharedNode(name, OmegaConf.create(node), "experiment", "_global_", "kenyan13.study")
