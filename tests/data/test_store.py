"""Decoded images on disk: built once, built anew only when it must be, whole or not at all."""

import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from kenyan13.config.settings import StoreKind
from kenyan13.data import store as module
from kenyan13.data.images import Pixels, load
from kenyan13.data.store import Store, digest_of
from kenyan13.errors import UserError

LENGTH = 16


def image(seed: int) -> Image.Image:
    """Return noise of a size that differs from image to image."""
    size = (20 + 3 * seed, 30, 3)
    return Image.fromarray(np.random.default_rng(seed).integers(256, size=size, dtype=np.uint8))


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    files = [tmp_path / "images" / f"{k}.png" for k in range(5)]
    files[0].parent.mkdir()
    for k, file in enumerate(files):
        image(k).save(file)
    return files


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The digests of the files that are decoded, as long as the test runs."""
    digests: list[str] = []

    def counted(contents: bytes, length: int, max_pixels: int) -> Pixels:
        digests.append(digest_of(contents))
        return load(contents, length, max_pixels)

    monkeypatch.setattr(module, "load", counted)
    return digests


def check(store: Store, paths: list[Path]) -> None:
    """Check that the store holds what the files now hold."""
    assert len(store.shapes) == len(paths)
    for row, path in enumerate(paths):
        assert np.array_equal(store[row], load(path, LENGTH))


def folders(cache: Path) -> list[Path]:
    return [entry for entry in cache.iterdir() if entry.is_dir()]


def test_the_store_holds_what_load_returns(paths: list[Path], tmp_path: Path) -> None:
    store = Store(paths, LENGTH, tmp_path / "deep" / "cache")
    check(store, paths)
    assert store.bad == {}
    assert store[0].dtype == np.uint8
    assert not store[0].flags.writeable
    assert store.folder.parent == tmp_path / "deep" / "cache"
    assert store.folder.name.startswith("16px-")


def test_images_are_decoded_once(paths: list[Path], tmp_path: Path, decoded: list[str]) -> None:
    cache = tmp_path / "cache"
    store = Store(paths, LENGTH, cache)
    assert sorted(decoded) == sorted(digest_of(path.read_bytes()) for path in paths)
    before = (store.folder / "images.bin").stat()
    again = Store(paths, LENGTH, cache)
    after = (again.folder / "images.bin").stat()
    assert len(decoded) == 5
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    check(again, paths)


def test_other_sizes_and_other_files_are_other_stores(paths: list[Path], tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    stores = [Store(paths, LENGTH, cache), Store(paths, 8, cache), Store(paths[1:], LENGTH, cache)]
    assert len({store.folder for store in stores}) == len(folders(cache)) == 3
    check(stores[0], paths)
    check(stores[2], paths[1:])
    assert min(stores[1][4].shape[:2]) == 8


def test_changed_files_are_decoded_again(paths: list[Path], tmp_path: Path, decoded: list[str]) -> None:
    cache = tmp_path / "cache"
    Store(paths, LENGTH, cache)
    os.utime(paths[0], (1, 1))  # one only touched, one really changed
    image(9).save(paths[2])
    check(Store(paths, LENGTH, cache), paths)
    assert len(decoded) == 10
    assert len(folders(cache)) == 1
    os.utime(paths[0], (2, 2))
    check(Store(paths, LENGTH, cache), paths)
    assert len(decoded) == 10, "touched, but not changed"


@pytest.mark.parametrize(
    ("name", "keep"),
    [("images.bin", 0.5), ("images.bin", 0), ("images.bin", None), ("index.npz", None), ("index.npz", 0)]
    + [("index.npz", share) for share in (0.01, 0.5, 0.99)],
)
def test_torn_stores_are_built_anew(
    paths: list[Path], tmp_path: Path, decoded: list[str], name: str, keep: float | None
) -> None:
    """Keep that share of the file, as after a loss of power; None: remove it."""
    file = Store(paths, LENGTH, tmp_path / "cache").folder / name
    content = file.read_bytes()
    if keep is None:
        file.unlink()
    else:
        file.write_bytes(content[: int(keep * len(content))])
    check(Store(paths, LENGTH, tmp_path / "cache"), paths)
    assert len(decoded) == 10
    check(Store(paths, LENGTH, tmp_path / "cache"), paths)
    assert len(decoded) == 10


def test_an_open_store_outlives_its_replacement(paths: list[Path], tmp_path: Path) -> None:
    first = Store(paths, LENGTH, tmp_path / "cache")
    old = first[0].copy()
    image(9).save(paths[0])
    second = Store(paths, LENGTH, tmp_path / "cache")
    assert np.array_equal(first[0], old)
    assert not np.array_equal(second[0], old)


def test_a_build_that_breaks_off_leaves_nothing(
    paths: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*given: object) -> Pixels:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "load", interrupted)
        with pytest.raises(KeyboardInterrupt):
            Store(paths, LENGTH, tmp_path / "cache")
    assert not any(path.is_file() for path in (tmp_path / "cache").glob("*px*/*"))
    check(Store(paths, LENGTH, tmp_path / "cache"), paths)


def test_two_processes_at_once_build_one_store(paths: list[Path], tmp_path: Path) -> None:
    program = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from kenyan13.data import store\n"
        "load = store.load\n"
        "store.load = lambda *given: (time.sleep(0.2), load(*given))[1]\n"
        "opened = store.Store([Path(name) for name in sys.argv[2:]], 16, Path(sys.argv[1]))\n"
        "print(sum(int(opened[row].sum()) for row in range(len(opened.shapes))))\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "cache"), *map(str, paths)]
    pipe = subprocess.PIPE
    runs = [subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) for _ in range(2)]
    outputs = [run.communicate(timeout=60) for run in runs]
    assert [run.returncode for run in runs] == [0, 0]
    total = sum(int(load(path, LENGTH).sum()) for path in paths)
    assert [out.strip() for out, _ in outputs] == [str(total)] * 2
    assert sum("Decoding 5 images once" in messages for _, messages in outputs) == 1
    assert len(folders(tmp_path / "cache")) == 1


def test_unreadable_files_are_named_and_the_others_kept(paths: list[Path], tmp_path: Path) -> None:
    paths[1].write_text("no image")
    paths[3].write_bytes(paths[3].read_bytes()[:200])
    paths[4].unlink()
    store = Store(paths, LENGTH, tmp_path / "cache")
    assert sorted(store.bad) == [1, 3, 4]
    assert "cannot identify" in store.bad[1]
    assert "truncated" in store.bad[3]
    assert store.bad[4] == "the file has gone"
    assert not any(str(tmp_path) in reason for reason in store.bad.values())
    for row in (0, 2):
        assert np.array_equal(store[row], load(paths[row], LENGTH))
    assert store[1].size == 0


def test_the_unreadable_stay_known_until_repaired(paths: list[Path], tmp_path: Path, decoded: list[str]) -> None:
    paths[1].write_text("no image")
    reasons = Store(paths, LENGTH, tmp_path / "cache").bad
    assert Store(paths, LENGTH, tmp_path / "cache").bad == reasons
    assert len(decoded) == 6, "only the bad one is tried again"
    image(1).save(paths[1])
    repaired = Store(paths, LENGTH, tmp_path / "cache")
    assert repaired.bad == {}
    check(repaired, paths)


def test_a_pickled_store_carries_no_pixels(paths: list[Path], tmp_path: Path) -> None:
    Image.effect_noise((600, 600), 50).convert("RGB").save(paths[0])
    store = Store(paths, 600, tmp_path / "cache")
    assert store[0].nbytes == 3 * 600 * 600
    pickled = pickle.dumps(store)
    assert len(pickled) < 10_000
    copy = pickle.loads(pickled)
    for row in range(5):
        assert np.array_equal(copy[row], store[row])
    assert store.pixels is not None  # pickling leaves the original as it was


def test_a_full_disk_is_told_before_decoding(
    paths: list[Path], tmp_path: Path, decoded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = sum(load(path, LENGTH).nbytes for path in paths)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=expected - 1))
    with pytest.raises(UserError, match=r"GB in .*cache, where 0\.0 are free") as error:
        Store(paths, LENGTH, tmp_path / "cache")
    assert "data.cache=" in "".join(error.value.next_steps)
    assert decoded == []
    assert folders(tmp_path / "cache") == []
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=expected))
    check(Store(paths, LENGTH, tmp_path / "cache"), paths)


def test_images_that_are_not_kept_are_the_same(paths: list[Path], tmp_path: Path, decoded: list[str]) -> None:
    store = Store(paths, LENGTH, tmp_path / "cache", StoreKind.off)
    assert (store.folder / "images.bin").stat().st_size == 0
    check(store, paths)
    assert len(decoded) == 2 * len(paths), "once to see whether they can be read, and once more to be used"
    paths[2].write_text("no image")
    assert list(Store(paths, LENGTH, tmp_path / "cache", StoreKind.off).bad) == [2]


def test_images_kept_as_jpeg_are_nearly_the_same_and_smaller(tmp_path: Path) -> None:
    smooth = np.stack(np.meshgrid(np.arange(256), np.arange(200), [90]), axis=-1)[:, :, 0].astype(np.uint8)
    Image.fromarray(smooth).save(tmp_path / "smooth.png")
    paths = [tmp_path / "smooth.png"]
    raw, jpeg = (Store(paths, 128, tmp_path / "cache", kind) for kind in (StoreKind.raw, StoreKind.jpeg))
    assert jpeg[0].shape == raw[0].shape
    assert abs(jpeg[0].astype(int) - raw[0].astype(int)).mean() < 2
    sizes = [(store.folder / "images.bin").stat().st_size for store in (raw, jpeg)]
    assert sizes[1] < sizes[0] / 5
    assert np.array_equal(pickle.loads(pickle.dumps(jpeg))[0], jpeg[0])
