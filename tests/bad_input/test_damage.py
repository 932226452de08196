"""Whatever file of a run directory, store or cache is torn, empty, flipped or foreign: named, and mended if it can be.

One run is trained; each case gets a copy of it. Commands run in this process, and are judged by what they print and by
their exit code.
"""

import errno
import json
import os
import pickle
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import timm
import torch
from hand_made import answering

from kenyan13.config.compose import compose_settings
from kenyan13.config.settings import Settings
from kenyan13.data.datamodule import set_up_worker
from kenyan13.errors import MachineError, UserError, explain_machine, one_screen
from kenyan13.model.backbones import check_model, create
from kenyan13.runs import directory
from kenyan13.runs.directory import State, checkpoint_problem, only_process, read_state
from kenyan13.runs.run import read_run
from kenyan13.training.callbacks import RunFiles
from kenyan13.training.features import check_features
from kenyan13.training.inference import open_run
from kenyan13.training.run import train

Command = Callable[..., subprocess.CompletedProcess[str]]
Damage = Callable[[Path], object]


def cut(share: float) -> Damage:
    """Cut a file to a share of its bytes."""
    return lambda file: os.truncate(file, int(file.stat().st_size * share))


def flip(file: Path) -> None:
    """Flip one bit in the middle of a file."""
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 4
    file.write_bytes(data)


def garbage(file: Path) -> None:
    file.write_bytes(b"\x00garbage\xff" * 99)


DAMAGES: dict[str, Damage] = {
    "torn": cut(0.6), "short": cut(0.02), "empty": cut(0), "flipped": flip, "garbage": garbage,
}  # fmt: skip


class KilledError(Exception):
    """Stands for a kill."""


@pytest.fixture(scope="module")
def settings(demo_root: Path, cache: Path) -> Callable[..., Settings]:
    """Settings of a tiny run."""
    common = [
        f"data.root={demo_root}", f"data.cache={cache}", "data.workers=0", "model=small_cnn", "model.crop=32",
        "model.batch_size=16", "trainer=cpu", "trainer.max_epochs=2", "logger=[]", "name=one",
    ]  # fmt: skip
    return lambda *more: compose_settings([*common, *more])


@pytest.fixture(scope="module")
def trained(settings: Callable[..., Settings], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders with the same run: finished, and killed after its first epoch."""
    places = {name: tmp_path_factory.mktemp(name) for name in ("finished", "killed")}
    train(settings(f"runs={places['finished']}"))
    whole = RunFiles.on_train_epoch_end

    def killed(self: RunFiles, *arguments: Any) -> None:
        whole(self, *arguments)
        raise KilledError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunFiles, "on_train_epoch_end", killed)
        with pytest.raises(KilledError):
            train(settings(f"runs={places['killed']}"))
    return places


@pytest.fixture
def run(trained: dict[str, Path], tmp_path: Path) -> Callable[[str], Path]:
    """Copy a run: its directory."""
    return lambda kind: Path(shutil.copytree(trained[kind], tmp_path / kind)) / "one"


def rows_of(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "metrics.csv").drop(columns="seconds")


def removed(file: Path) -> None:
    file.unlink()


def other_network(file: Path) -> None:
    checkpoint = torch.load(file, weights_only=True)
    checkpoint["state_dict"] = {name: value[:1] for name, value in checkpoint["state_dict"].items() if value.ndim}
    torch.save(checkpoint, file)


def no_checkpoint(file: Path) -> None:
    torch.save({"something": 1}, file)


def weights_alone(file: Path) -> None:
    shutil.copy(file.with_name("best.ckpt"), file)


UNFINISHED = [
    *(pytest.param("checkpoints/last.ckpt", damage, id=f"last-{name}") for name, damage in DAMAGES.items()),
    pytest.param("checkpoints/last.ckpt", other_network, id="last-other-network"),
    pytest.param("checkpoints/last.ckpt", no_checkpoint, id="last-no-checkpoint"),
    pytest.param("checkpoints/last.ckpt", weights_alone, id="last-weights-alone"),
    *(pytest.param("checkpoints/best.ckpt", damage, id=f"best-{name}") for name, damage in DAMAGES.items()),
    pytest.param("checkpoints/best.ckpt", removed, id="best-removed"),
    *(pytest.param("predictions.csv", DAMAGES[name], id=f"predictions-{name}") for name in ("torn", "empty")),
    pytest.param("predictions.csv", removed, id="predictions-removed"),
]


@pytest.mark.parametrize(("file", "damage"), UNFINISHED)
def test_a_run_begins_again_where_it_cannot_go_on(
    run: Callable[[str], Path], trained: dict[str, Path], settings: Callable[..., Settings],
    capsys: pytest.CaptureFixture[str], file: str, damage: Damage,
) -> None:  # fmt: skip
    folder = run("killed")
    damage(folder / file)
    train(settings(f"runs={folder.parent}"))
    told = capsys.readouterr().err
    assert f"{folder / file}" in told
    assert "Training starts again from the first epoch." in told
    pd.testing.assert_frame_equal(rows_of(folder), rows_of(trained["finished"] / "one"), check_exact=True)
    assert not checkpoint_problem(folder / directory.BEST)


@pytest.mark.parametrize("name", ["torn", "empty", "garbage"])
def test_metrics_come_again_from_the_checkpoint(
    run: Callable[[str], Path], trained: dict[str, Path], settings: Callable[..., Settings], name: str
) -> None:
    folder = run("killed")
    DAMAGES[name](folder / "metrics.csv")
    train(settings(f"runs={folder.parent}"))
    pd.testing.assert_frame_equal(rows_of(folder), rows_of(trained["finished"] / "one"), check_exact=True)


@pytest.mark.parametrize("damage", [*DAMAGES.values(), removed], ids=[*DAMAGES, "removed"])
def test_a_lost_network_is_said_at_once(
    run: Callable[[str], Path], settings: Callable[..., Settings], kenyan13: Command,
    capsys: pytest.CaptureFixture[str], damage: Damage,
) -> None:  # fmt: skip
    folder = run("finished")
    damage(folder / directory.BEST)
    train(settings(f"runs={folder.parent}"))
    told = capsys.readouterr()
    assert "This run has finished before" in told.out
    assert f"{folder / directory.BEST} is " in told.err
    assert f"To train it again: remove {folder}" in told.err
    done = kenyan13("evaluate", str(folder))
    assert done.returncode == 2
    assert str(directory.BEST) in done.stderr
    assert "enable_checkpointing" not in done.stderr


def torn_row(file: Path) -> None:
    """Cut the last row behind its third number."""
    *rows, last = file.read_text().splitlines()
    file.write_text("\n".join([*rows, ",".join(last.split(",")[:3])]))


def last_row_lost(file: Path) -> None:
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:-1]))


def cut_inside_a_number(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-2])


def without_classes(file: Path) -> None:
    lines = file.read_text().splitlines(keepends=True)
    start = lines.index("  classes:\n")
    file.write_text("".join([*lines[:start], *(line for line in lines[start + 1 :] if not line.startswith("  - "))]))


def foreign_json(file: Path) -> None:
    file.write_text(json.dumps({"loss": "low"}))


def deep_json(file: Path) -> None:
    file.write_text("[" * 100_000)


TABLES = [
    *((file, f"{file}-{name}", damage) for file in ("metrics.csv", "predictions.csv") for name, damage in (
        ("torn-row", torn_row), ("row-lost", last_row_lost), ("empty", cut(0)), ("garbage", garbage))),
    ("predictions.csv", "predictions.csv-number-cut", cut_inside_a_number),
    *(("result.json", f"result.json-{name}", damage) for name, damage in (
        ("torn", cut(0.6)), ("empty", cut(0)), ("garbage", garbage), ("foreign", foreign_json), ("deep", deep_json))),
    *(("config.yaml", f"config.yaml-{name}", damage) for name, damage in (
        ("torn", cut(0.02)), ("empty", cut(0)), ("garbage", garbage), ("no-classes", without_classes))),
]  # fmt: skip


@pytest.mark.parametrize(("file", "damage"), [pytest.param(file, damage, id=id_) for file, id_, damage in TABLES])
def test_damaged_tables_are_named_in_every_verb(tmp_path: Path, kenyan13: Command, file: str, damage: Damage) -> None:
    folder, other = (answering(tmp_path / "runs", name) for name in ("one", "two"))
    damage(folder / file)
    named = f"{folder / file} is damaged"
    listed = kenyan13("runs", str(tmp_path / "runs"))
    assert listed.returncode == 0
    assert named in listed.stdout
    compared = kenyan13("compare", str(folder), str(other))
    assert compared.returncode == 2
    assert named in compared.stderr
    assert "  -> " in compared.stderr


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
@pytest.mark.parametrize("file", ["images.bin", "index.npz"])
def test_a_damaged_store_is_made_anew(
    demo_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], file: str, damage: Damage
) -> None:
    from kenyan13.data.store import open_store

    paths = sorted(file for file in demo_root.rglob("*") if file.suffix in (".jpg", ".png"))[:5]
    store = open_store(paths, 36, tmp_path)
    expected = [store[row].copy() for row in range(len(paths))]
    damage(store.folder / file)
    again = open_store(paths, 36, tmp_path)
    assert "Decoded images are damaged, and made anew" in capsys.readouterr().err
    assert all(np.array_equal(again[row], expected[row]) for row in range(len(paths)))


def test_a_store_without_checksum_is_taken_as_it_is(
    demo_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from kenyan13.data.store import open_store

    paths = sorted(file for file in demo_root.rglob("*") if file.suffix in (".jpg", ".png"))[:5]
    folder = open_store(paths, 36, tmp_path).folder
    with np.load(folder / "index.npz") as index:
        old = {name: index[name] for name in index if name != "checksum"}
    np.savez(folder / "index.npz", **old)
    capsys.readouterr()
    open_store(paths, 36, tmp_path)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_damaged_features_are_made_anew(
    settings: Callable[..., Settings], tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: Damage
) -> None:
    from kenyan13.training.features import cached

    chosen, made = settings(f"data.cache={tmp_path}/images"), {"train": torch.randn(40, 1, 8)}
    cached(chosen, "key", lambda: made)
    (file,) = tmp_path.glob("features/*.npz")
    damage(file)
    assert torch.equal(cached(chosen, "key", lambda: made)["train"], made["train"])
    assert f"{file} is damaged, and made anew" in capsys.readouterr().err
    cached(chosen, "key", lambda: pytest.fail("they are there"))


LACKS: list[tuple[BaseException, str]] = [
    (OSError(errno.ENOSPC, "No space left on device"), "No space left on device"),
    (OSError(errno.EFBIG, "File too large"), "File too large"),
    (OSError(errno.EDQUOT, "Disk quota exceeded"), "Disk quota exceeded"),
    (OSError(errno.EIO, "Input/output error"), "Input/output error"),
    (OSError(errno.EMFILE, "Too many open files"), "Too many open files"),
    (MemoryError(), "There is too little memory"),
    (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"), "too little memory"),
    (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB"), "too little memory"),
    (RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed."), "A loader process was killed"),
    (RuntimeError("DataLoader worker (pid(s) 7, 8) exited unexpectedly"), "A loader process was killed"),
    (RuntimeError("[enforce fail at inline_container.cc:743] . PytorchStreamWriter failed writing file data/1: file "
                  "write failed"), "could not be written whole"),
]  # fmt: skip


@pytest.mark.parametrize(("error", "told"), LACKS, ids=[str(error)[:30] or "memory" for error, _ in LACKS])
def test_what_the_machine_lacks_is_one_screen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], error: BaseException, told: str
) -> None:
    folder = tmp_path / "one"
    with pytest.raises(SystemExit) as ended, one_screen(), only_process(folder):
        raise error
    assert ended.value.code == 1
    printed = capsys.readouterr().err
    assert told in printed
    assert f"the same command goes on with {folder}" in printed
    assert "Traceback" not in printed
    assert type(error).__name__ in (folder / "failed.txt").read_text()


def test_a_programs_own_error_is_no_lack() -> None:
    assert explain_machine(RuntimeError("shapes do not match")) is None
    assert explain_machine(KeyError("memory")) is None
    found = explain_machine(PermissionError(errno.EACCES, "Permission denied", "x"))
    assert isinstance(found, UserError)
    assert not isinstance(found, MachineError)


def test_a_full_disk_leaves_no_half_a_checkpoint(
    run: Callable[[str], Path], settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = run("killed")
    before = (folder / directory.LAST).read_bytes()

    def full(self: Any, checkpoint: Any, path: Path, *more: Any, **named: Any) -> None:
        Path(path).write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("pytorch_lightning.strategies.Strategy.save_checkpoint", full)
        with pytest.raises(MachineError, match="No space left"):
            train(settings(f"runs={folder.parent}"))
    assert (folder / directory.LAST).read_bytes() == before
    assert {file.name for file in (folder / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}
    assert read_state(folder) is State.failed
    assert train(settings(f"runs={folder.parent}")).epochs == 2


@pytest.mark.parametrize("name", ["SIGUSR2", "SIGTERM"])
def test_loader_processes_leave_slurms_signals_to_the_run(name: str) -> None:
    before = {one: signal.getsignal(one) for one in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM, signal.SIGCONT)}
    try:
        set_up_worker(0)
        assert signal.getsignal(getattr(signal, name)) is signal.SIG_IGN
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


@pytest.mark.parametrize(
    ("more", "parts"),
    [
        (["optim.lr=1e9"], ["The train loss is nan in epoch 1, step 2, seed 42"]),
        (["optim=sgd", "optim.lr=1e30"], ["The train loss is", "in epoch 1, step 2, seed 42"]),
        (
            ["optim=sgd", "optim.lr=1e38", "trainer.limit_train_batches=1"],
            ["The validation loss is", "epoch 1, seed 42"],
        ),
        (["optim.lr=1e9", "seed=7", "data.split_seed=42"], ["step 2, seed 7"]),
    ],
)
def test_a_loss_that_is_no_number_ends_the_run_at_once(
    settings: Callable[..., Settings], tmp_path: Path, more: list[str], parts: list[str]
) -> None:
    with pytest.raises(UserError) as caught:
        train(settings(f"runs={tmp_path}", "trainer.max_epochs=50", *more))
    assert all(part in str(caught.value) for part in parts), str(caught.value)
    assert "images there: " in str(caught.value)
    assert "lower optim.lr" in str(caught.value)
    assert not (tmp_path / "one/metrics.csv").exists()


def weights(folder: Path, kind: str) -> tuple[Path, str]:
    """Write a weights file that cannot be used, or can in spite of its look; return it and what is said."""
    network = timm.create_model("test_resnet", num_classes=2)
    state, file = network.state_dict(), folder / "weights.pth"
    if kind == "nan":
        state["conv1.0.weight" if "conv1.0.weight" in state else "conv1.weight"].flatten()[3] = torch.nan
        torch.save(state, file)
        return file, "has values that are no numbers"
    if kind == "malicious":
        file.write_bytes(pickle.dumps(Malicious(folder / "ran")))
        return file, "is damaged, or holds no weights"
    if kind == "malicious.ckpt":
        torch.save({"state_dict": state, "more": Malicious(folder / "ran")}, folder / "weights.ckpt")
        return folder / "weights.ckpt", "is damaged, or holds no weights"
    if kind == "missing":
        return file, "There is no weights file"
    if kind == "other":
        torch.save(timm.create_model("test_vit").state_dict(), file)
        return file, "holds weights of another network"
    torch.save(state, file)
    DAMAGES[kind](file)
    return file, "is damaged, or holds no weights"


class Malicious:
    """A pickle that would make a file when it is read."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.file),)


@pytest.mark.parametrize("kind", ["nan", "malicious", "malicious.ckpt", "missing", "other", "torn", "empty", "garbage"])
def test_weights_are_looked_at_before_images_are_decoded(
    settings: Callable[..., Settings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr("kenyan13.data.datamodule.open_store", lambda *_: pytest.fail("images were decoded"))
    file, told = weights(tmp_path, kind)
    chosen = settings("model.backbone=test_resnet", f"model.weights={file}", f"runs={tmp_path}/runs")
    with pytest.raises(UserError, match=told) as caught:
        train(chosen)
    assert str(file) in str(caught.value)
    assert "  -> " in str(caught.value)
    assert not (tmp_path / "ran").exists(), "nothing in it is run"
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("prefix", ["model.", "net.", "network.", "module.model.", "_orig_mod.", "model._orig_mod."])
@pytest.mark.parametrize("suffix", [".ckpt", ".pth"])
def test_the_prefix_of_anothers_lightning_checkpoint_is_taken_off(tmp_path: Path, prefix: str, suffix: str) -> None:
    source = timm.create_model("test_resnet", num_classes=7)
    state = {f"{prefix}{name}": value for name, value in source.state_dict().items()}
    loss = {"loss.weight": torch.ones(7)} if suffix == ".ckpt" else {}
    torch.save({"state_dict": {**state, **loss}, "epoch": 3}, tmp_path / f"w{suffix}")
    chosen = compose_settings(["model.backbone=test_resnet", f"model.weights={tmp_path}/w{suffix}"]).model
    loaded = create(chosen, ("a", "b")).state_dict()
    body = [name for name in loaded if not name.startswith("fc.")]
    assert body
    assert all(torch.equal(loaded[name], source.state_dict()[name]) for name in body)


@pytest.mark.parametrize("crop", [96, 128])
def test_position_embeddings_of_another_size_are_resampled(tmp_path: Path, crop: int) -> None:
    torch.save(timm.create_model("test_vit", num_classes=7, img_size=160).state_dict(), tmp_path / "w.pth")
    chosen = compose_settings(["model.backbone=test_vit", f"model.crop={crop}", f"model.weights={tmp_path}/w.pth"])
    assert create(chosen.model, ("a", "b"))(torch.zeros(1, 3, crop, crop)).shape == (1, 2)


@pytest.mark.parametrize("name", ["timm/test_resnet", "hf_hub:timm/test_resnet", "hf-hub:timm/test_resnet"])
def test_the_hubs_prefix_is_taken_off(name: str) -> None:
    assert compose_settings([f"model.backbone={name}"]).model.backbone == "test_resnet"


def test_an_encoder_without_classifier_is_refused() -> None:
    name = "qwen3_vit_88m_enc"
    if name not in timm.list_models():
        pytest.skip("this timm has none")
    with pytest.raises(UserError, match="has no head to classify with"):
        check_model(compose_settings([f"model.backbone={name}", "model.pretrained=false"]).model)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (
            ["model.backbone=crossvit_9_240", "model.crop=240", "freeze.features=cached"],
            "is made of parts side by side",
        ),
        (["model.backbone=deit_tiny_distilled_patch16_224", "head=linear"], "ends in no linear layer"),
        (["model=small_cnn", "freeze.features=cached"], "has dropout in it"),
    ],
)
def test_what_cannot_be_cached_is_refused_before_images_are_decoded(more: list[str], told: str) -> None:
    chosen = compose_settings(["model.pretrained=false", "freeze=pt0", *more])
    with pytest.raises(UserError, match=told):
        check_features(chosen, create(chosen.model, ("a", "b")))


CONFIGS = {
    "aliases": "settings: &a [x, x]\ndata: {classes: [*a, *a]}\n",
    "bomb": "a: &a [x,x,x,x]\nb: &b [*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b]\nsettings: {}\ndata: {classes: *c}\n",
    "deep": f"settings: {'[' * 5000}",
    "large": f"settings: {{}}\ndata: {{classes: [{'x, ' * 2_000_000}x]}}\n",
    "object": "settings: !!python/object/apply:os.getcwd []\ndata: {}\n",
}


@pytest.mark.parametrize("text", CONFIGS.values(), ids=CONFIGS)
@pytest.mark.parametrize("verb", ["runs", "evaluate", "predict", "compare", "report"])
def test_a_foreign_config_neither_hangs_nor_runs(tmp_path: Path, kenyan13: Command, text: str, verb: str) -> None:
    folder = answering(tmp_path / "runs", "one")
    (folder / "config.yaml").write_text(text)
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(b"is looked at last")
    given = {"predict": [str(folder), str(photo)], "compare": [str(folder), str(answering(tmp_path / "runs", "two"))],
             "report": [str(folder), "--output", str(tmp_path / "report")]}.get(verb, [str(folder)])  # fmt: skip
    done = kenyan13(verb, *given)
    assert "config.yaml is damaged" in done.stdout + done.stderr or verb == "report"
    assert done.returncode == (0 if verb == "runs" else 2) or verb == "report"
    assert "Traceback" not in done.stderr


def test_a_foreign_run_directory_reads_no_environment_and_makes_no_folders(
    run: Callable[[str], Path], kenyan13: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TOKEN", "se" + "cret")
    monkeypatch.chdir(tmp_path)
    folder = run("finished")
    file = folder / "config.yaml"
    lines = file.read_text().splitlines()
    changed = {
        "    root:": "    root: ${oc.env:TOKEN}",
        "    cache:": f"    cache: {tmp_path}/elsewhere/${{oc.env:TOKEN}}",
    }
    lines = [next((new for old, new in changed.items() if line.startswith(old)), line) for line in lines]
    file.write_text("\n".join(lines) + "\n")
    for verb in (["evaluate"], ["predict", "--test"], ["runs"], ["compare"], ["report"]):
        done = kenyan13(verb[0], str(folder), *verb[1:])
        assert "secret" not in done.stdout + done.stderr
    assert not (tmp_path / "elsewhere").exists()
    assert "secret" not in str(read_run(folder).settings)


def test_evaluating_draws_no_images(
    run: Callable[[str], Path], kenyan13: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = run("finished")
    text = (folder / "config.yaml").read_text().replace("layout: competition", "layout: demo")
    lines = [f"    root: {tmp_path}/drawn" if line.startswith("    root:") else line for line in text.splitlines()]
    (folder / "config.yaml").write_text("\n".join(lines) + "\n")
    assert kenyan13("evaluate", str(folder)).returncode == 2
    assert not (tmp_path / "drawn").exists()


def test_an_open_run_needs_a_checkpoint_of_its_own_network(run: Callable[[str], Path]) -> None:
    folder = run("finished")
    torch.save({"state_dict": {"network.x": torch.ones(3)}, "classes": ["a", "b"]}, folder / directory.BEST)
    with pytest.raises(UserError, match="holds weights of another network"):
        open_run(folder)


@pytest.mark.parametrize(("more", "told"), [(["freeze=pt0"], True), (["freeze=pt2"], True), ([], False)])
def test_frozen_norms_from_scratch_are_told(
    settings: Callable[..., Settings], tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], told: bool
) -> None:
    network = ["model.backbone=test_resnet", "model.pretrained=false", "trainer.max_epochs=1"]
    train(settings(f"runs={tmp_path}", *network, *more))
    assert ("From scratch, frozen batch norms never see an image" in capsys.readouterr().err) is told


def test_no_level_is_norms_alone() -> None:
    from kenyan13.model.freezing import parameter_levels

    for name in ("crossvit_9_240", "poolformer_s12", "caformer_s18", "pit_ti_224", "efficientvim_m1"):
        if name in timm.list_models():
            with torch.device("meta"):
                network = timm.create_model(name, num_classes=2)
            levels = parameter_levels(network)
            counted = {levels[key] for key, value in network.named_parameters() if value.ndim > 1}
            assert counted == set(range(6)), name
