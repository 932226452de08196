"""The study's groups and experiments, AAA to HAO, read from groups/*.yaml, which hold all that is known of them.

An experiment's id is group, set, experiment. A group's file gives settings at four depths, each overriding the one
before: what all groups share (all.yaml), what the group shares (`all`), its sets (B's first is BA), their experiments
(BA's first is BAA). Experiments are a list, the group's or a set's own, or one setting that is varied: {vary: KEY,
over: VALUES}. A key is a config group with a choice (model: resnet18) or a setting with a value (optim.lr: 1e-4);
beside them stand `label`, a part of the name, and Experiment's `kind` and `series`.
"""

import csv
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from string import ascii_uppercase
from typing import Any

from hydra.core.config_store import ConfigNode, ConfigStore
from omegaconf import OmegaConf

from kenyan13.config import compose
from kenyan13.config.arguments import expand
from kenyan13.config.compose import composed
from kenyan13.config.identity import config_hash, differences
from kenyan13.config.presets import load_plain, presets
from kenyan13.config.settings import Settings
from kenyan13.errors import UserError

FILES = Path(__file__).parent / "groups"
GROUPS = tuple("ABCDEFGH")
TRAINING, SHEETS, CASCADE = "training", "contact_sheets", "cascade"  # kinds of experiments
Level = Mapping[str, Any]


@dataclass(frozen=True)
class Experiment:
    """One experiment: its id, the study's name for it, how it differs from conf/train.yaml, what the study reported.

    kind: what is done, one of TRAINING, SHEETS, CASCADE. series: what its group's tables and plots group it by.
    images: how many there are to train and to validate on.
    reported: min_val_loss, accuracy (percent), overfitting, auc_loss, seconds_per_epoch; what is not there, it did not.
    """

    id: str
    name: str  # with the id, as in CBC_EfficientNetB4_PT5: the run's folder
    settings: Mapping[str, Any]  # config group -> choice, dotted setting -> value
    group: str
    kind: str = TRAINING
    series: str = ""
    images: Sequence[int] = ()
    reported: Mapping[str, float] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """The name without the id."""
        return self.name.removeprefix(f"{self.id}_")


@dataclass(frozen=True)
class Group:
    """One group of the study, with its experiments by id, in the order of ids; the rest is as its file gives it.

    tables: see kenyan13/study/group_tables.py. ensembles_of: the group whose models its ensembles combine, or "".
    reported: id -> the experiment's values, in the order of the study's tables. claims: see kenyan13/study/verify.py.
    """

    letter: str
    experiments: Mapping[str, Experiment]
    title: str
    question: str
    tables: Sequence[Mapping[str, Any]]
    reference: Mapping[str, Any]
    ensembles_of: str = ""
    reported: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    reported_tables: Mapping[str, Any] = field(default_factory=dict)
    claims: Sequence[Mapping[str, Any]] = ()


GIVEN = ("title", "question", "tables", "reference", "ensembles_of", "reported", "reported_tables", "claims")


@cache
def groups() -> dict[str, Group]:
    """Return all groups by letter."""
    shared = load_plain(FILES / "all.yaml")
    found = {}
    for letter in GROUPS:
        definition = load_plain(FILES / f"{letter}.yaml")
        own = {one.id: one for one in read_experiments(letter, definition, shared)}
        found[letter] = Group(letter, own, **{key: definition[key] for key in GIVEN if key in definition})
    return found


@cache
def experiments() -> dict[str, Experiment]:
    """Return all experiments by id, in the order of ids."""
    return {id_: one for group in groups().values() for id_, one in group.experiments.items()}


def read_experiments(group: str, definition: Level, shared: Level) -> Iterator[Experiment]:
    """Yield the experiments that a group's file defines."""
    reported = definition.get("reported", {})
    for set_letter, whole_set in zip(ascii_uppercase, definition["sets"], strict=False):
        ones = axis(whole_set.get("experiments", definition.get("experiments")))
        in_set = {key: value for key, value in whole_set.items() if key != "experiments"}
        for letter, one in zip(ascii_uppercase, ones, strict=False):
            levels = (shared, definition["all"], in_set, one)
            settings = {key: value for level in levels for key, value in level.items() if key != "label"}
            kind, series = settings.pop("kind", TRAINING), settings.pop("series", "")
            id_ = group + set_letter + letter
            name = "_".join([id_, *(level["label"] for level in levels if "label" in level)])
            images = definition.get("images", {}).get(id_, definition["reference"]["images"])
            yield Experiment(id_, name, settings, group, kind, series, images, reported.get(id_, {}))


def axis(experiments: Any) -> list[Level]:
    """Return a set's experiments as a list; one setting that is varied becomes one experiment a value.

    Rates have one digit in names, as 3E-4 for 3.16e-4; whole numbers stay.
    """
    if isinstance(experiments, list):
        return experiments
    key, over, label = experiments["vary"], experiments["over"], experiments["label"]
    values = expand(key, over) if isinstance(over, str) else over
    short = [one if isinstance(one, int) else f"{one:.0E}".replace("E-0", "E-").replace("E+0", "E") for one in values]
    return [{key: value, "label": label.format(word)} for value, word in zip(values, short, strict=True)]


class SharedNode(ConfigNode):
    """A node of Hydra's store that is not copied with the whole store at each composition, a third of a second each."""

    def __deepcopy__(self, memo: dict[int, Any]) -> "SharedNode":
        return self


def register_experiments() -> None:
    """Make each experiment a choice of Hydra's, experiment=CBC, as if there were a file for each in conf/experiment."""
    nodes = ConfigStore.instance().repo.setdefault("experiment", {})
    for one in [] if nodes else experiments().values():  # Hydra asks at each composition
        choices = {key: value for key, value in one.settings.items() if "." not in key and key != "seed"}
        chosen = [{f"override /{group}": choice} for group, choice in choices.items()]
        node = OmegaConf.create({"defaults": chosen, "experiment": one.id, "name": one.name})
        for key in [key for key in one.settings if key not in choices]:
            OmegaConf.update(node, key, one.settings[key])
        name = f"{one.id}.yaml"
        nodes[name] = SharedNode(name, node, "experiment", "_global_", "kenyan13.study")


# Labelled images of KenyanFood13, by class.
TRAIN_ROWS = {
    "bhaji": 632, "chapati": 862, "githeri": 479, "kachumbari": 494, "kukuchoma": 173, "mandazi": 620,
    "masalachips": 438, "matoke": 483, "mukimo": 212, "nyamachoma": 784, "pilau": 329, "sukumawiki": 402, "ugali": 628,
}  # fmt: skip


def name_experiment(settings: Settings) -> Settings:
    """Return settings whose name and experiment say what they are: the study's experiment only if nothing differs.

    With any setting changed that matters to the result, or on other images than KenyanFood13, the run is named by
    that: CBC_EfficientNetB4_PT5-1a2b3c4d, and by another network's name before the hash. Raises UserError for an
    experiment's name on another run.
    """
    if settings.experiment is not None:
        reference = composed(f"experiment={settings.experiment}")  # as the study has it, wherever its images lie
        there = replace(settings, data=replace(settings.data, root=reference.data.root))
        # group A times the loader: what is the machine's business elsewhere is the point there
        timed = reference.data.workers in (None, settings.data.workers)
        root = Path(settings.data.root).expanduser()
        elsewhere = Path(settings.runs) / f"{reference.name}-{config_hash(replace(settings, experiment=None))}"
        packed = not (root / "train.csv").is_file() and elsewhere.is_dir()  # of other images, without these
        if not timed or packed or differences(there, reference) or is_other_data(root):
            settings.experiment = None
            if settings.name == reference.name:
                before = f"{reference.name}-{config_hash(settings)}"  # of 2026-11-28, whatever the network
                network = other_network(reference.experiment, settings.model.backbone)
                is_there = not network or (Path(settings.runs) / before).is_dir()
                settings.name = before if is_there else f"{reference.name}-{network}-{config_hash(settings)}"
    owner = next((id_ for id_, one in experiments().items() if one.name == settings.name), None)
    if owner not in (None, settings.experiment):
        raise UserError(f"name={settings.name} is the name of experiment {owner}.", "choose another name=")
    return settings


def other_network(id_: str | None, backbone: str) -> str:
    """Return the short name of a network in the place of an experiment's; "" for its own, and its toy."""
    own = presets("model")[experiments()[id_ or ""].settings["model"]]
    is_own = backbone in (own["backbone"], own.get("toy", {}).get("backbone"))
    return "" if is_own else backbone.split(".")[0].replace("/", "_")


def run_key(one: Experiment, settings: Settings) -> tuple[str, ...]:
    """Return what experiments share that are one run with the user's overrides, as all sizes are with model=resnet18.

    settings: the experiment's, with the overrides.
    """
    return *key_without_model(one), config_hash(settings)  # loader processes are in no hash


def key_without_model(one: Experiment) -> tuple[str, ...]:
    """Return what experiments share that differ in their networks only."""
    own = {key: value for key, value in one.settings.items() if key != "model"}
    return one.group, one.kind, str(sorted(own.items()))


def is_other_data(root: Path) -> bool:
    """Return whether root/train.csv is there and lists other images than KenyanFood13's, counted class by class."""
    try:
        with (root / "train.csv").open(newline="") as file:
            classes = Counter((row.get("class") or "").strip() for row in csv.DictReader(file, skipinitialspace=True))
    except (OSError, UnicodeDecodeError, csv.Error):
        return False  # reading it for training will say what is wrong
    return classes != Counter(TRAIN_ROWS)


compose.finishers.append(name_experiment)  # when this module is imported, also in a launcher's processes
