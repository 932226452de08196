"""What can be added from outside the package: optimiser, loss, callback, logger, transform, Trainer argument, parts."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from test_commands import ROOT, TINY, Command, call

from kenyan13.config.settings import Settings
from kenyan13.data.batches import ImageDataset
from kenyan13.data.sampling import Draw
from kenyan13.errors import UserError
from kenyan13.runs.locate import run_directory
from kenyan13.training.inference import open_data
from kenyan13.training.run import train

Compose = Callable[..., Settings]
SHORT = ("trainer.max_epochs=1", "data.subset=60")

PARTS = '''
    """One's own parts, in a file beside the command."""
    from pathlib import Path

    import torch
    from pytorch_lightning import Callback
    from torchmetrics.classification import MulticlassAccuracy


    class Diary(Callback):
        """Notes each epoch in the run directory."""

        def __init__(self, word: str) -> None:
            self.word = word

        def on_train_epoch_end(self, trainer, pl_module):
            with (Path(trainer.default_root_dir) / "diary.txt").open("a") as file:
                file.write(f"{self.word} {trainer.current_epoch}\\n")


    class Brier(torch.nn.Module):
        """Mean squared error of the probabilities."""

        def forward(self, logits, targets):
            return (logits.softmax(1) - torch.nn.functional.one_hot(targets, logits.shape[1])).square().sum(1).mean()


    class Darker:
        """A transform."""

        def __call__(self, image):
            return (image.float() * torch.rand(1)).to(torch.uint8)


    def plain_sgd(network, lr):
        """An optimiser that is made from a network."""
        return torch.optim.SGD(network.parameters(), lr)


    class TopTwo(Callback):
        """Adds a metric."""

        def setup(self, trainer, pl_module, stage):
            top_two = MulticlassAccuracy(len(pl_module.classes), top_k=2, average="micro")
            pl_module.metrics.add_metrics({"val_top_two": top_two})
'''


@pytest.fixture
def parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current directory with a user's own my_parts.py in it."""
    (tmp_path / "my_parts.py").write_text(dedent(PARTS))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    sys.modules.pop("my_parts", None)
    return tmp_path


def test_ones_own_parts_from_the_command_line(parts: Path, demo_root: Path, cache: Path) -> None:
    done = call(
        *TINY, f"data.root={demo_root}", f"data.cache={cache}", "runs=runs", *SHORT, "name=mine",
        "callbacks.diary._target_=my_parts.Diary", "callbacks.diary.word=epoch",
        "callbacks.metric._target_=my_parts.TopTwo", "loss._target_=my_parts.Brier",
        "optim._target_=my_parts.plain_sgd", "schedule=constant",
        "augment.extra=[{_target_:my_parts.Darker}]", cwd=parts,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (parts / "runs" / "mine" / "diary.txt").read_text() == "epoch 0\n"
    metrics = pd.read_csv(parts / "runs" / "mine" / "metrics.csv").iloc[0]
    assert metrics["train_loss"] < 2, "Brier's highest value"
    assert metrics["val_accuracy"] <= metrics["val_top_two"] <= 1


def test_wrong_parts_end_on_one_screen(parts: Path, compose: Compose) -> None:
    for override, message in (
        ("callbacks.diary._target_=my_parts.Dairy", "Did you mean 'Diary'?"),
        ("callbacks.diary._target_=my_part.Diary", "cannot be imported: "),
        ("optim._target_=my_parts.plain_sgd optim.momentum=0.9", "There is no setting 'optim.momentum'"),
    ):
        with pytest.raises(UserError) as caught:
            compose(*override.split())
        assert message in str(caught.value)
    with pytest.raises(UserError, match=r"callbacks\.diary: my_parts\.Diary cannot be made: .*word"):
        train(compose("callbacks.diary._target_=my_parts.Diary", *SHORT))


AT_WORK = [
    ("optim=sgd optim.lr=1e39", "optim: torch.optim.SGD does not work here: value cannot be converted"),
    ("optim.betas=[0.9]", "optim: torch.optim.Adam cannot be made: list index out of range"),
    ("optim.lr=inf", "optim.lr=inf is out of range"),
    ("loss.reduction=none", r"loss: CrossEntropyLoss does not work here: it gives \[16\] numbers"),
    ("schedule=plateau schedule.monitor=val_los", "schedule.monitor=val_los is no metric here"),
    ("schedule=cosine schedule.interval=batch", "schedule.interval=batch is no choice"),
    ("trainer.limit_val_batches=0", "Epoch 1 ended without val_loss"),
    ("trainer.profiler=smple", "trainer: pytorch_lightning.Trainer cannot be made: .*simple"),
    ("trainer.accelerator=tpu", "trainer.accelerator=tpu trainer.devices=1: "),
    ("callbacks.x._target_=torch.nn.ReLU", "callbacks.x: torch.nn.ReLU makes no Callback."),
    ("optim._target_=builtins.print", "optim: builtins.print makes no Optimizer."),
    ("loss._target_=timm.loss.JsdCrossEntropy", "loss: JsdCrossEntropy does not work here"),
    ("callbacks.epoch_seed.seed=abc", "callbacks.epoch_seed: .*EpochSeed cannot be made: .*'abc'"),
    ("logger=tensorboard trainer.log_every_n_steps=abc", "'<' not supported"),
    (
        "callbacks.x._target_=pytorch_lightning.callbacks.EarlyStopping callbacks.x.monitor=val_los",
        "Early stopping conditioned on metric `val_los`",
    ),
    ("augment.extra=[{_target_:torchvision.transforms.v2.Normalize,mean:[0],std:[1]}]", r"augment\.extra\[0\] fails"),
]


@pytest.mark.parametrize(("overrides", "message"), AT_WORK)
def test_what_parts_object_to_at_work_is_a_users_mistake(overrides: str, message: str, compose: Compose) -> None:
    with pytest.raises(UserError, match=message):
        train(compose(*SHORT, "logger=none", *overrides.split()))


@pytest.mark.slow
def test_kenyan13_train_starts_and_ends_two_processes(demo_root: Path, cache: Path, tmp_path: Path) -> None:
    given = [f"data.root={demo_root}", f"data.cache={cache}", f"runs={tmp_path}", "trainer.devices=2", "optim=sgd"]
    code = "from kenyan13.cli import main; main()"
    command = [sys.executable, "-c", code, "train", *TINY, *SHORT, *given, "optim.lr=1e39"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert "MEMBER: 2/2" in done.stderr
    assert "Error: optim: torch.optim.SGD does not work here" in done.stderr
    assert "Traceback" not in done.stderr


def test_any_trainer_argument(compose: Compose, capfd: pytest.CaptureFixture[str]) -> None:
    arguments = ["trainer.limit_train_batches=3", "trainer.accumulate_grad_batches=2", "trainer.gradient_clip_val=1.0"]
    settings = compose(*SHORT, *arguments, "trainer.profiler=simple", "schedule=cosine_steps", "logger=none")
    train(settings)
    assert "Profiler Report" in "".join(capfd.readouterr())
    checkpoint = torch.load(run_directory(settings) / "checkpoints" / "last.ckpt", weights_only=True)
    assert checkpoint["global_step"] == 2, "three batches, the optimiser's step after two and at the end"
    assert checkpoint["schedule"]["last_epoch"] == 2


def test_extra_transforms_are_decided_by_seed_epoch_and_position(compose: Compose) -> None:
    settings = compose("augment=none", "augment.extra=[{_target_:torchvision.transforms.v2.TrivialAugmentWide}]")
    data = open_data(settings)
    views = ImageDataset(data.train, 32, 1, settings.augment)
    plain = ImageDataset(data.train, 32, 1, compose("augment=none").augment)
    before = torch.get_rng_state()
    drawn = [views.view(Draw(row, 0, position))[0] for row, position in ((0, 0), (0, 1), (0, 0), (5, 7))]
    assert torch.equal(before, torch.get_rng_state())
    assert np.array_equal(drawn[0], drawn[2])
    assert not np.array_equal(drawn[0], drawn[1])
    assert not np.array_equal(drawn[0], plain.view(Draw(0, 0, 0))[0])
    assert drawn[0].shape == (1, 32, 32, 3)
    assert drawn[0].dtype == np.uint8
    resizing = compose("augment.extra=[{_target_:torchvision.transforms.v2.Resize,size:[9,9]}]").augment
    with pytest.raises(UserError, match=r"augment\.extra makes torch\.uint8 \[3, 9, 9\]"):
        ImageDataset(data.train, 32, 1, resizing).view(Draw(0, 0, 0))
    with pytest.raises(UserError, match=r"There is no setting 'augment\.extra\[0\]\.sise'"):
        compose("augment.extra=[{_target_:torchvision.transforms.v2.Resize,sise:9}]")


def test_nothing_is_built_from_a_run_directory(compose: Compose, kenyan13: Command, tmp_path: Path) -> None:
    settings = compose(*SHORT, "name=hostile")
    train(settings)
    file = run_directory(settings) / "config.yaml"
    config = yaml.safe_load(file.read_text())
    mark = tmp_path / "mark"
    bomb = {"_target_": "pathlib.Path.touch", "_args_": [str(mark)], "self": str(mark)}
    for group in ("optim", "schedule", "loss", "freeze", "stop", "trainer"):
        config["settings"][group] = {**config["settings"][group], **bomb}
    config["settings"]["callbacks"]["bomb"] = config["settings"]["logger"]["bomb"] = bomb
    config["settings"]["augment"]["extra"] = [bomb]
    config["settings"]["data"]["root"] = "${oc.env:HOME}"
    file.write_text(yaml.safe_dump(config))
    folder = str(file.parent)
    for arguments in (
        ["evaluate", folder, f"data.root={settings.data.root}"], ["compare", folder, folder],
        ["report", folder, "-o", str(tmp_path / "report")],
        ["predict", folder, str(next(Path(settings.data.root).glob("images/images/*")))],
    ):  # fmt: skip
        assert kenyan13(*arguments).returncode in (0, 1, 2)  # a traceback would be this test's
    assert not mark.exists()


def test_label_smoothing_and_focal_loss_leave_validation_loss_alone(compose: Compose) -> None:
    losses = {}
    for chosen in ("loss.label_smoothing=0", "loss.label_smoothing=0.1", "loss=focal"):
        settings = compose(*SHORT, chosen, "optim.lr=1e-12", "schedule=constant")
        train(settings)
        losses[chosen] = pd.read_csv(run_directory(settings) / "metrics.csv").iloc[0]
    validation = {round(float(row["val_loss"]), 6) for row in losses.values()}
    assert len(validation) == 1, "plain cross entropy, whatever is minimised"
    assert len({round(float(row["train_loss"]), 6) for row in losses.values()}) == 3
