"""The configuration as a user interface: every choice composes, and every mistake is said in the user's words."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

from kenyan13.config.compose import LIMITS, compose_settings
from kenyan13.config.identity import config_hash, differences, plain, run_name
from kenyan13.config.presets import CONF, known_settings
from kenyan13.config.settings import BUILT, Fill, Layout, Sampling, Settings
from kenyan13.config.targets import arguments
from kenyan13.errors import UserError
from kenyan13.runs.config_file import read_settings, write_config
from kenyan13.runs.directory import CONFIG
from kenyan13.runs.locate import run_directory

ROOT = Path(__file__).parents[2]
GROUPS = ("data", "augment", "balance", "model", *BUILT, "experiment")
CHOICES = [(group, file.stem) for group in GROUPS for file in sorted((CONF / group).glob("*.yaml"))]


@pytest.mark.parametrize(("group", "choice"), CHOICES)
def test_every_choice_composes_and_is_listed_where_people_look(group: str, choice: str) -> None:
    overrides = [f"{group}={choice}"] + (["data.root=there"] if choice in ("folder", "table") else [])
    assert isinstance(compose_settings(overrides), Settings)
    text = (CONF / group / f"{choice}.yaml").read_text()
    assert text.startswith("# "), "a file says in its first line what it is for"
    if group not in ("model", "experiment"):
        line = next(line for line in (CONF / "train.yaml").read_text().splitlines() if f"- {group}:" in line)
        assert re.search(rf"\b{choice}\b", line), f"{choice} is missing in the table of contents"


def test_defaults_are_the_documented_ones() -> None:
    settings = compose_settings()
    assert (settings.data.layout, settings.data.root) == (Layout.competition, "data/kenyan13")
    assert (settings.data.validation_fraction, settings.data.split_seed, settings.seed) == (0.2, 42, 42)
    assert settings.balance.sampling is Sampling.weighted
    assert settings.freeze["frozen_bn"] == "eval"
    assert settings.optim["_target_"] == "torch.optim.Adam"
    assert settings.augment.erasing.fill is Fill.zero


def test_seed_seeds_the_split_unless_told_otherwise() -> None:
    assert compose_settings(["seed=7"]).data.split_seed == 7
    assert compose_settings(["seed=7", "data.split_seed=42"]).data.split_seed == 42


def test_limits_are_of_settings_that_exist() -> None:
    assert set(LIMITS) <= {*known_settings(), "freeze.views", "trainer.accumulate_grad_batches"}


MISTAKES = [
    ("model=efficientnetb4", "There is no model=efficientnetb4. Did you mean 'efficientnet_b4'?"),
    ("model=regnety_008", "any other timm architecture: model.backbone=regnety_008"),
    ("augment=enchanced", "There is no augment=enchanced. Did you mean 'enhanced'?"),
    ("optim.lrr=1", "There is no setting 'optim.lrr'. Did you mean 'optim.lr'?"),
    ("lr=1", "There is no setting 'lr'. Did you mean 'optim.lr'?"),
    ("optm=sgd", "There is no setting 'optm'. Did you mean 'optim'?"),
    ("modl.crop=64", "There is no setting 'modl'. Did you mean 'model'?"),
    ("+optim.lrr=1", "There is no setting 'optim.lrr'. Did you mean 'optim.lr'?"),
    ("+colour=red", "There is no setting 'colour'."),
    ("optim.lr=fast", "optim.lr=fast is no number."),
    ("optim.lr=", "optim.lr= is no number."),
    ("stop=loss stop.patience=null", "stop.patience=null is no number.\n  -> allowed: whole numbers, at least 1"),
    ("trainer.max_epochs=null", "trainer.max_epochs=null is no number."),
    ("~loss", "There is no loss, which every run needs.\n  -> loss=cross_entropy, focal"),
    ("stop=los", "There is no stop=los. Did you mean 'loss'?"),
    ("optim.momentum=0.9", "There is no setting 'optim.momentum'."),
    ("optim.momentum=0.9", "torch.optim.Adam takes: params, lr, betas"),
    ("schedule.milestones=[3]", "There is no setting 'schedule.milestones'."),
    ("optim._target_=torch.optim.Adm", "Did you mean 'Adam'?"),
    ("trainer.gradient_clip=1", "Did you mean 'trainer.gradient_clip_val'?"),
    ("callbacks.devicestats=1", "There is no setting 'callbacks.devicestats'"),
    ("callbacks=[default,device_stat]", "There is no callbacks=device_stat. Did you mean 'device_stats'?"),
    ("logger=tensorbord", "There is no logger=tensorbord. Did you mean 'tensorboard'?"),
    ("optim.lr=-1", "optim.lr=-1 is out of range.\n  -> allowed: at least 1e-12"),
    ("freeze.level=6", "freeze.level=6 is out of range.\n  -> allowed: whole numbers, 0 to 5"),
    ("model.crop=0", "model.crop=0 is out of range"),
    ("model.layer_decay=2", "model.layer_decay=2.0 is out of range.\n  -> allowed: 0 to 1"),
    ("augment.scale=[2,1]", "augment.scale=[2.0, 1.0] is not a range"),
    ("augment.scale=[1]", "augment.scale=[1.0] is not a range"),
    ("augment.horizontal_flip=50", "allowed: 0 to 1"),
    ("freeze=2", "freeze=2 is no choice.\n  -> one of: gradual, pt0"),
    ("optim=[adam,sgd]", "optim=[adam,sgd] is no choice."),
    ("data=/my/birds", "data=folder data.root=PATH"),
    ("callbacks.progres=null", "There is no callbacks.progres to leave out. Did you mean 'progress'?"),
    ("trainer.logger=false", "There is no setting 'trainer.logger'."),
    ("trainer.epochs=3", "Did you mean 'trainer.max_epochs'?"),
    ("stop.patience=5", "stop is not chosen.\n  -> choose first: stop=accuracy, loss"),
    ("callbacks=[device_stats] callbacks.tensorboard.graph=false", "callbacks=default"),
    ("optim._target_=3", "optim._target_=3 names no class."),
    ("name=last", "name=last is no name of a folder."),
    ("name=-x", "name=-x is no name of a folder."),
    ("data.fold=5", "data.fold=5 does not exist.\n  -> folds are counted 0 to 4"),
    ("data=folder", "The setting data.root has no value.\n  -> give it on the command line: data.root=..."),
    ("trainer.devices=0", "leaves nothing to train on"),
    ("just words", "'just words' is not an override that Hydra can read"),
]


@pytest.mark.parametrize(("override", "message"), MISTAKES)
def test_mistakes_are_said_in_the_users_words(override: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        compose_settings([override] if override == "just words" else override.split())
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) < 12


def test_settings_survive_their_config_file(tmp_path: Path) -> None:
    settings = compose_settings(["model=efficientnet_b4", "freeze=gradual", "augment=enhanced", "optim.lr=3e-5"])
    write_config(tmp_path, settings, {"classes": ["a", "b"]})
    assert read_settings(tmp_path) == settings
    assert read_settings(tmp_path, ["data.root=/x"]).data.root == "/x"
    for text in ("${oc.env:HOME}", "\\${x", "\\\\${seed}\\"):
        written = plain(settings) | {"name": text}
        (tmp_path / CONFIG).write_text(yaml.safe_dump({"settings": written, "data": {"classes": ["a", "b"]}}))
        read = read_settings(tmp_path, [f"data.root={text}"])
        assert (read.name, read.data.root) == (text, text), "nothing is looked up"
    with pytest.raises(UserError, match=r"Did you mean 'data\.root'"):
        read_settings(tmp_path, ["data.rot=/x"])


def test_settings_may_name_each_other(tmp_path: Path) -> None:
    assert compose_settings(["optim.lr=${schedule.warmup}"]).optim["lr"] == 1
    given = ["optim.lr=${schedule.warmup}", "logger.tensorboard.save_dir=${run.folder}/x", "data.root=/nowhere"]
    command = [sys.executable, str(ROOT / "train.py"), *given]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert "The data folder /nowhere does not exist" in done.stderr


def test_run_names_tell_backbone_and_level() -> None:
    assert re.fullmatch(
        r"tf_efficientnet_b4_pt2-[0-9a-f]{8}", run_name(compose_settings(["model=efficientnet_b4", "freeze=pt2"]))
    )
    assert run_name(compose_settings(["name=mine"])) == "mine"
    names = {
        "": "resnet18_pt5-d905e156",
        "freeze=gradual": "resnet18_gradual-4362b4a9",
        "schedule=cosine_steps": "resnet18_pt5_cosinesteps-cba194e3",
        "seed=123456": "resnet18_pt5_seed123456-a82c035b",
        "optim._target_=torch.optim.NAdam": "resnet18_pt5_nadam-730409b1",
        "trainer.max_epochs=3 model.crop=96 seed=7": "resnet18_pt5_seed7_crop96_epochs3-f5af440b",
    }
    assert {given: run_name(compose_settings(given.split())) for given in names} == names, "hashes never change"


def test_a_backbone_s_own_rate_counts_only_where_it_is_used() -> None:
    plain = ["model=dinov2_small", "optim=timm"]
    used = [*plain, "optim.lr=${model.rate}", "optim.layer_decay=${model.layer_decay}"]
    settings = compose_settings(used)
    assert (settings.optim["lr"], settings.optim["layer_decay"]) == (settings.model.rate, settings.model.layer_decay)
    assert run_name(settings) == run_name(compose_settings([*plain, "optim.lr=1e-4", "optim.layer_decay=0.75"]))
    names = [run_name(compose_settings([*plain, f"model.rate={rate}"])) for rate in (1e-4, 0.1)]
    assert names[0] == names[1] == run_name(compose_settings(plain)) != run_name(settings)
    chosen = compose_settings(["model=efficientnet_lite0", "recipe=modern"])
    assert (chosen.optim["lr"], chosen.freeze["frozen_bn"]) == (1e-4, "all")
    assert compose_settings(["model=efficientnet_lite0", "recipe=study"]).freeze["frozen_bn"] == "eval"
    assert compose_settings(["model=resnet18", "recipe=modern"]).freeze["frozen_bn"] == "eval"


# a comma makes a sweep, so that it alone must be quoted
PATHS = [
    "~/birds",
    "~",
    "/a b/c",
    "/a(1)/b",
    "/x=y/z",
    "'/a,b'",
    "plain/dir",
    "'/quo ted'",
    "../up-1",
    "/[x]",
    "C:\\\\x",
]


@pytest.mark.parametrize("path", PATHS)
def test_paths_need_no_quotes_of_hydras(path: str) -> None:
    plain = path.strip("'")
    expected = plain.replace("~", str(Path.home())) if plain.startswith("~") else plain
    assert compose_settings(["data=folder", f"data.root={path}"]).data.root == expected


def test_composing_imports_no_torch() -> None:
    code = (
        "import sys; from kenyan13.config.compose import compose_settings; compose_settings(["
        "'callbacks=[default,device_stats]', 'logger=[csv,mlflow]', 'optim=timm', 'loss=focal', 'stop=loss', "
        "'schedule=cosine_steps', 'trainer=ddp', 'freeze=gradual']);"
        "import kenyan13.cli.train, kenyan13.cli;"
        "print(sorted({'torch', 'timm', 'pandas', 'cv2', 'matplotlib', 'sklearn'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert run.stdout == "[]\n"


def test_only_a_lossy_store_makes_another_run() -> None:
    names = [run_name(compose_settings([f"data.store={kind}"])) for kind in ("raw", "off", "jpeg")]
    assert names[0] == names[1] != names[2]


def test_waiting_threads_sleep_unless_told_otherwise() -> None:
    code = "import os, kenyan13; print(os.environ['OMP_WAIT_POLICY'])"
    for given, expected in ((None, "PASSIVE"), ("ACTIVE", "ACTIVE")):
        environment = {key: value for key, value in os.environ.items() if key != "OMP_WAIT_POLICY"}
        environment |= {} if given is None else {"OMP_WAIT_POLICY": given}
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
        assert done.stdout.strip() == expected


def test_options_of_a_network_are_part_of_what_a_run_is() -> None:
    usual = config_hash(compose_settings(["model=resnet18"]))
    assert config_hash(compose_settings(["model=resnet18", "model.toy.backbone=test_vit"])) == usual
    assert config_hash(compose_settings(["model=resnet18", "model.options.drop_rate=0"])) != usual
    one = compose_settings(["model=efficientnet_b0"])
    other = compose_settings(["model=efficientnet_b0", "model.options.drop_rate=0"])
    assert differences(one, other) == {"model.options.drop_rate": (0.2, 0)}


def test_a_smoke_run_is_small_and_kept_apart() -> None:
    settings = compose_settings(["experiment=CBC", "trainer=ddp", "debug=smoke"])
    folder = run_directory(settings)
    assert folder.parent == Path("runs/smoke")
    assert folder.name.startswith("CBC_EfficientNetB4_PT5-")
    assert settings.experiment is None
    assert (settings.data.layout, settings.data.root) == (Layout.demo, "data/demo")
    found, trainer = settings.model, settings.trainer
    assert (found.backbone, found.pretrained, found.crop, found.batch_size) == ("test_efficientnet", False, 32, 32)
    assert found.options["drop_path_rate"] == 0.2  # what the study's has
    assert (trainer["max_epochs"], trainer["accelerator"], trainer["devices"]) == (2, "cpu", 1)
    assert (settings.freeze["level"], settings.optim["lr"]) == (5, 1e-4)  # what is tried out stays
    given = ["data.root=drawings", "trainer.max_epochs=1", "runs=elsewhere"]
    other = compose_settings(["experiment=CBC", "debug=smoke", *given])
    assert (other.data.root, other.trainer["max_epochs"], other.runs) == ("drawings", 1, "elsewhere")


def test_a_module_without_an_init_takes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    class Own(torch.nn.Module):
        pass

    assert arguments(Own) == []
    monkeypatch.setattr(torch.nn.Module, "__init__", lambda *given, **named: None)  # as torch.compile replaces it
    assert arguments(Own) == []
    assert arguments(torch.nn.Dropout) == ["p", "inplace"]
