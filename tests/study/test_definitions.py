"""The study's experiments against its text: the tables here are typed from the spec, not derived from groups/*.yaml."""

import csv
import json
from collections import Counter
from math import sqrt
from pathlib import Path

import pytest
from hydra import compose as hydra_compose
from hydra import initialize_config_dir

from kenyan13.config.compose import compose_settings, to_settings
from kenyan13.config.identity import run_name
from kenyan13.config.presets import CONF
from kenyan13.config.settings import Fill, Sampling, Settings
from kenyan13.runs.config_file import read_settings
from kenyan13.study import definitions as ids
from kenyan13.study.definitions import experiments, run_key

ROOT = Path(__file__).parents[2]
SPEC = ROOT.parent / "shared" / "spec"
HALF = sqrt(0.1)  # two of these steps make a tenth
LOW = 1e-4 * HALF
# model -> backbone, crop, batch
MODELS = {
    "R18": ("resnet18.tv_in1k", 224, 96), "R34": ("resnet34.tv_in1k", 224, 96), "R50": ("resnet50.tv_in1k", 224, 96),
    "R101": ("resnet101.tv_in1k", 224, 74), "R152": ("resnet152.tv_in1k", 224, 52),
    "X50": ("resnext50_32x4d.tv_in1k", 224, 88), "X101": ("resnext101_32x8d.tv_in1k", 224, 35),
    "W50": ("wide_resnet50_2.tv_in1k", 224, 81), "W101": ("wide_resnet101_2.tv_in1k", 224, 48),
    "V11": ("vgg11_bn.tv_in1k", 224, 96), "V13": ("vgg13_bn.tv_in1k", 224, 66),
    "V16": ("vgg16_bn.tv_in1k", 224, 58), "V19": ("vgg19_bn.tv_in1k", 224, 54),
    "D121": ("densenet121.tv_in1k", 224, 76), "D169": ("densenet169.tv_in1k", 224, 61),
    "D201": ("densenet201.tv_in1k", 224, 47), "D161": ("densenet161.tv_in1k", 224, 39),
    "B0": ("tf_efficientnet_b0.aa_in1k", 224, 94), "B1": ("tf_efficientnet_b1.aa_in1k", 240, 57),
    "B2": ("tf_efficientnet_b2.aa_in1k", 260, 45), "B3": ("tf_efficientnet_b3.aa_in1k", 300, 26),
    "B4": ("tf_efficientnet_b4.aa_in1k", 380, 12), "B5": ("tf_efficientnet_b5.aa_in1k", 456, 6),
    "B6": ("tf_efficientnet_b6.aa_in1k", 528, 3), "B7": ("tf_efficientnet_b7.aa_in1k", 600, 2),
    "CNN": ("small_cnn", 224, 96),
}  # fmt: skip
# of EfficientNet, B0 to B7: dropout before the classifier
DROPOUT = dict(zip([f"B{k}" for k in range(8)], (0.2, 0.2, 0.3, 0.3, 0.4, 0.4, 0.5, 0.5), strict=True))
# preset -> brightness, contrast, shear, erasing probability and fill, noise probability
PRESETS = {
    "none": ([1, 1], [1, 1], 0, 0, Fill.zero, 0),
    "default": ([0.85, 1.15], [0.5, 1.5], 0, 0.5, Fill.zero, 0),
    "enhanced": ([0.85, 1.15], [0.5, 1.5], 20, 0.5, Fill.random, 0.5),
    "untuned": ([0.75, 1.25], [0.75, 1.25], 0, 0.5, Fill.zero, 0),
}
BALANCES = {
    "none": (Sampling.shuffled, False), "weighted_loss": (Sampling.shuffled, True),
    "weighted_sampler": (Sampling.weighted, False), "balanced_sampler": (Sampling.balanced, False),
}  # fmt: skip
CONSTANT, STEP10, STEP20 = ("constant",), ("step", HALF, 10), ("step", 0.5, 20)
C_STEPS, D_STEPS = ("multistep", HALF, [10, 20, 30]), ("multistep", HALF, [20, 30, 40, 50])
PLATEAU = ("plateau", HALF, 10, 1e-3)
NEVER, LOSS15, LOSS25, ACCURACY = ("none",), ("loss", 15), ("loss", 25), ("accuracy", 10, 0.02, 0.3)
SEEDS = [42, 5174, 2123, 6993, 8133, 438, 3708, 888, 2984, 565, 6816, 2956, 1713, 2570, 1541]
G_MODELS = {
    "GA": ["R18", "R34", "R50", "R101", "R152"], "GB": ["X50", "X101"], "GC": ["W50", "W101"],
    "GD": ["V11", "V13", "V16", "V19"], "GE": ["D121", "D169", "D201", "D161"], "GF": [f"B{k}" for k in range(8)],
}  # fmt: skip

# id -> model, level, optimiser, rate, weight decay, schedule, epochs, stop rule, preset, balance, seed
Row = tuple[str, int, str, float, float, tuple[object, ...], int, tuple[object, ...], str, str, int]
TABLE: dict[str, Row] = {
    "ABA": ("R18", 0, "sgd", 5e-4, 1e-4, STEP20, 100, NEVER, "none", "weighted_sampler", 42),
    "ABB": ("R18", 0, "sgd", 5e-4, 1e-4, STEP20, 100, ACCURACY, "none", "weighted_sampler", 42),
    "DAA": ("B4", 5, "adam", LOW, 1e-4, CONSTANT, 20, NEVER, "none", "weighted_sampler", 42),
    "DAB": ("B4", 5, "adam", LOW, 1e-4, CONSTANT, 20, NEVER, "default", "weighted_sampler", 42),
    "DAC": ("B4", 5, "adam", LOW, 1e-4, CONSTANT, 20, NEVER, "enhanced", "weighted_sampler", 42),
    "DBA": ("B4", 5, "adam", LOW, 1e-3, CONSTANT, 20, NEVER, "default", "weighted_sampler", 42),
    "DBB": ("B4", 5, "adam", LOW, 1e-2, CONSTANT, 20, NEVER, "default", "weighted_sampler", 42),
    "DBC": ("B4", 5, "adam", LOW, 1e-1, CONSTANT, 20, NEVER, "default", "weighted_sampler", 42),
    "DBD": ("B4", 5, "adam", LOW, 1.0, CONSTANT, 20, NEVER, "default", "weighted_sampler", 42),
    "DCA": ("B4", 5, "adam", LOW, 1e-4, CONSTANT, 20, NEVER, "default", "none", 42),
    "DCB": ("B4", 5, "adam", LOW, 1e-4, CONSTANT, 20, NEVER, "default", "weighted_loss", 42),
    "DDA": ("B4", 5, "adam", LOW, 1e-3, D_STEPS, 60, NEVER, "default", "weighted_sampler", 42),
    "DDB": ("B4", 5, "adam", LOW, 1e-3, D_STEPS, 60, NEVER, "enhanced", "weighted_sampler", 42),
    "FAA": ("B4", 5, "adam", LOW, 1e-4, STEP10, 50, LOSS15, "untuned", "weighted_sampler", 42),
    "FBA": ("CNN", 5, "adam", 1e-5, 1e-4, PLATEAU, 500, LOSS25, "default", "balanced_sampler", 42),
}
for letter in "ABCDEFGHIJKLMNOP":
    TABLE[f"AC{letter}"] = ("R18", 0, "sgd", 5e-4, 1e-4, STEP20, 11, NEVER, "default", "weighted_sampler", 42)
for set_, model in (("BA", "B0"), ("BB", "B2"), ("BC", "B4")):
    for k, letter in enumerate("ABCDEFGHIJKLMNOPQ"):
        rate = 10 ** (-6 + k / 4)
        TABLE[set_ + letter] = (model, 5, "adam", rate, 0, CONSTANT, 10, NEVER, "default", "weighted_sampler", 42)
for set_, model in (("CA", "B3"), ("CB", "B4"), ("CC", "B5"), ("CD", "B6")):
    for letter, level in (("A", 0), ("B", 2), ("C", 5)):
        TABLE[set_ + letter] = (model, level, "adam", 1e-4, 0, C_STEPS, 35, NEVER, "default", "weighted_sampler", 42)
for letter in "ABCDE":
    TABLE[f"EA{letter}"] = ("B4", 5, "adam", LOW, 1e-4, STEP10, 100, LOSS15, "default", "weighted_sampler", 42)
for set_, models in G_MODELS.items():
    for letter, model in zip("ABCDEFGH", models, strict=False):
        TABLE[set_ + letter] = (model, 5, "adam", LOW, 1e-4, STEP10, 30, LOSS15, "default", "weighted_sampler", 42)
for letter, seed in zip("ABCDEFGHIJKLMNO", SEEDS, strict=True):
    TABLE[f"HA{letter}"] = ("B5", 5, "adam", LOW, 1e-4, STEP10, 20, LOSS15, "default", "balanced_sampler", seed)


@pytest.fixture(scope="module")
def composed() -> dict[str, Settings]:
    """Every experiment as Hydra composes it, also those that cannot be run yet."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return {id_: to_settings(hydra_compose("train", [f"experiment={id_}"])) for id_ in ids.experiments()}


def schedule_of(settings: Settings) -> tuple[object, ...]:
    """The parts of the schedule that its kind uses."""
    chosen = settings.schedule
    keys = {
        "ConstantLR": ("constant",),
        "StepLR": ("step", "gamma", "step_size"),
        "MultiStepLR": ("multistep", "gamma", "milestones"),
        "ReduceLROnPlateau": ("plateau", "factor", "patience", "threshold"),
    }
    name, *parts = keys[chosen["_target_"].rpartition(".")[2]]
    return name, *(chosen[key] for key in parts)


def stop_of(settings: Settings) -> tuple[object, ...]:
    """The parts of the stop rule that its kind uses."""
    chosen = settings.stop
    if not chosen:
        return ("none",)
    name = chosen["_target_"].rpartition("StopOn")[2].lower()
    return name, *(chosen[key] for key in ("patience", "threshold", "smoothing") if key in chosen)


def test_every_id_of_the_study_and_no_other() -> None:
    assert list(ids.experiments()) == sorted([*TABLE, "AAA", "AAB"])
    counts = Counter(id_[0] for id_ in ids.experiments())
    assert counts == {"A": 2 + 2 + 16, "B": 51, "C": 12, "D": 11, "E": 5, "F": 2, "G": 25, "H": 15}


@pytest.mark.parametrize("id_", TABLE)
def test_settings_are_the_specs(id_: str, composed: dict[str, Settings]) -> None:
    settings = composed[id_]
    model, level, optimiser, rate, decay, schedule, epochs, stop, preset, balance, seed = TABLE[id_]
    found = settings.model
    backbone, crop, batch = MODELS[model]
    assert (found.backbone, found.crop, found.batch_size) == (backbone, crop, 32 if id_[0] == "A" else batch)
    options = {"drop_rate": 0.5} if model[0] == "V" else {}
    if model in DROPOUT:
        options = {"drop_rate": DROPOUT[model], "drop_path_rate": 0.2, "bn_momentum": 0.01}
    assert found.options == options
    assert settings.trainer["precision"] == "32-true"
    assert found.pretrained == (id_ not in ("FAA", "FBA"))
    assert found.weights is None
    assert (settings.freeze["level"], settings.freeze.get("unfreeze", [])) == (level, [])
    assert settings.freeze["frozen_bn"] == "train"
    assert settings.optim["_target_"] == {"adam": "torch.optim.Adam", "sgd": "torch.optim.SGD"}[optimiser]
    assert settings.optim["weight_decay"] == decay
    assert settings.optim["lr"] == pytest.approx(rate, rel=3e-6)  # rates of group B have six digits
    assert (settings.optim.get("momentum", 0.9), settings.optim.get("betas", [0.9, 0.999])) == (0.9, [0.9, 0.999])
    assert schedule_of(settings) == schedule
    assert settings.trainer["max_epochs"] == epochs
    assert stop_of(settings) == stop
    look = settings.augment
    erasing = (look.erasing.probability, look.erasing.fill)
    assert (look.brightness, look.contrast, look.shear, *erasing, look.noise.probability) == PRESETS[preset]
    assert (settings.balance.sampling, settings.balance.weighted_loss) == BALANCES[balance]
    assert (settings.seed, settings.data.split_seed) == (seed, seed)
    assert settings.data.subset == (256 if id_ in ("ABA", "ABB") else None)
    assert (settings.data.validation_fraction, settings.data.fold) == (0.2, None)
    assert settings.trainer["enable_checkpointing"] == (not id_.startswith("AC"))
    assert settings.data.workers == ("ABCDEFGHIJKLMNOP".index(id_[2]) + 1 if id_.startswith("AC") else None)
    assert settings.experiment == id_


STAGES = {"EAA": "first", "EAB": "group1", "EAC": "group2", "EAD": "group3"}
GROUPS = [
    ("group1", ["bhaji", "chapati"]),
    ("group2", ["kachumbari", "kukuchoma", "nyamachoma"]),
    ("group3", ["sukumawiki", "ugali"]),
]


KINDS = {"AAA": ids.SHEETS, "AAB": ids.SHEETS, "EAE": ids.CASCADE}


def test_stages_and_groups_are_the_studys(composed: dict[str, Settings]) -> None:
    for id_, settings in composed.items():
        assert settings.data.stage == STAGES.get(id_)
        assert list(settings.data.groups.items()) == (GROUPS if id_[0] == "E" else [])
        assert ids.experiments()[id_].kind == KINDS.get(id_, ids.TRAINING)


def test_stages_are_composed_and_saved_with_their_groups_in_order(tmp_path: Path) -> None:
    from kenyan13.runs.config_file import write_config

    settings = compose_settings(["experiment=EAC"])
    assert (settings.experiment, settings.name) == ("EAC", "EAC_EfficientNetB4_Stage2b")
    write_config(tmp_path, settings, {"classes": GROUPS[1][1]})
    saved = read_settings(tmp_path)
    assert saved == settings
    assert list(saved.data.groups.items()) == GROUPS


def test_contact_sheets_show_the_default_and_the_untuned_preset(composed: dict[str, Settings]) -> None:
    for id_, preset in (("AAA", "default"), ("AAB", "untuned")):
        assert composed[id_].augment.brightness == PRESETS[preset][0]


NAMES = {
    "BAK": "BAK_EfficientNetB0_PT5_LR3E-4", "BBI": "BBI_EfficientNetB2_PT5_LR1E-4",
    "BCQ": "BCQ_EfficientNetB4_PT5_LR1E-2", "BCB": "BCB_EfficientNetB4_PT5_LR2E-6",
    "CAB": "CAB_EfficientNetB3_PT2", "HAA": "HAA_EfficientNetB5_0042",
    "ACP": "ACP_ResNet18_PT0_W16", "FBA": "FBA_SmallCNN_PT5",
}  # fmt: skip


def test_names_are_the_studys(composed: dict[str, Settings]) -> None:
    for id_, name in NAMES.items():
        assert run_name(composed[id_]) == name
    for id_, settings in composed.items():
        assert run_name(settings) == ids.experiments()[id_].name


def test_reported_values_are_those_of_the_spec() -> None:
    if not SPEC.exists():
        pytest.skip("the spec is not at hand")
    with (SPEC / "reference_results.csv").open() as file:
        rows = {row["id"]: row for row in csv.DictReader(file)}
    measures = ("min_val_loss", "accuracy", "overfitting", "auc_loss")
    groups = ids.groups()
    assert [id_ for group in groups.values() for id_ in group.reported if id_ in rows] == list(rows)
    for id_, row in rows.items():
        one = ids.experiments()[id_]
        assert one.reported == {key: float(row[key]) for key in measures if row[key]}
        assert one.label == row["name"]
        assert not row["learning_rate"] or f"{one.settings['optim.lr']:.2e}" == row["learning_rate"]
    tables = json.loads((SPEC / "reference_tables.json").read_text())
    seconds = {id_: reported["seconds_per_epoch"] for id_, reported in groups["A"].reported.items()}
    times = tables["A1_seconds_per_epoch_by_workers"]
    assert seconds == dict(zip(times["id"], times["seconds"], strict=True))
    assert groups["E"].reported_tables == {"two_stages": tables["E1_two_stage"]}
    assert list(groups["F"].reported["FBA"].values()) == list(tables["F"].values())
    assert groups["H"].reported_tables == {
        "ensembles": tables["H1_ensemble_accuracy"], "public_board": tables["H_final_public_board"]
    }  # fmt: skip


def test_no_two_experiments_have_the_same_settings() -> None:
    for id_, one in ids.experiments().items():
        same = [other for other, two in ids.experiments().items() if two.settings == one.settings]
        assert same == [id_]


def test_no_two_experiments_of_a_group_are_one_run(composed: dict[str, Settings]) -> None:
    """ACA to ACP differ in loader processes alone, which change no result: each is timed all the same."""
    keys = {id_: run_key(one, composed[id_]) for id_, one in experiments().items()}
    assert len(set(keys.values())) == len(keys) == 141


def test_experiments_that_differ_in_the_network_alone_are_one_run_on_another() -> None:
    ids = [id_ for id_ in experiments() if id_.startswith("C")]
    keys = [run_key(experiments()[id_], compose_settings([f"experiment={id_}", "model=resnet18"])) for id_ in ids]
    assert len(set(keys)) == 3
