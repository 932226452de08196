"""Images decoded once, at the size that a run needs, in one memory-mapped file shared by all runs and workers.

A store is a folder <cache>/<length>px-<digest of the paths>/ with images.bin (one image after the other: uint8
pixels, JPEG, or nothing where images are decoded anew each time) and index.npz. It is built beside its folder and
renamed, so it is there whole or not at all.
"""

import hashlib
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import BadZipFile

import cv2
import numpy as np
from filelock import FileLock

from kenyan13.config.settings import StoreKind
from kenyan13.data.images import Pixels, load
from kenyan13.errors import UserError
from kenyan13.machine import available_cores
from kenyan13.terminal import print_note, progress

ASPECT = 1.4  # long to short side of a typical photograph, to estimate a store's size
QUALITY = 95  # of JPEG
BYTES = {StoreKind.raw: 3, StoreKind.jpeg: 0.4, StoreKind.off: 0}  # a pixel, about


class Store:
    """The pixels of many images: `store[row]` is uint8 [height, width, 3]; raw, a view into the mapped file.

    bad: row -> reason, for the files that could not be read.
    """

    def __init__(self, folder: Path, paths: Sequence[Path], length: int, kind: StoreKind) -> None:
        self.folder, self.paths, self.length, self.kind = folder, paths, length, kind
        with np.load(folder / "index.npz", allow_pickle=False) as index:
            names = ("shapes", "offsets", "stats", "digests", "reasons")
            self.shapes, self.offsets, self.stats, self.digests, reasons = (index[name] for name in names)
        self.bad = {row: str(reason) for row, reason in enumerate(reasons) if reason}
        if (folder / "images.bin").stat().st_size != self.offsets[-1]:
            raise OSError(f"{folder / 'images.bin'} has been cut short")
        self.pixels: np.memmap[tuple[int], np.dtype[np.uint8]] | None = None

    def __getitem__(self, row: int) -> Pixels:
        if self.kind is StoreKind.off:
            return load(self.paths[row], self.length)
        if self.pixels is None:
            self.pixels = np.memmap(self.folder / "images.bin", np.uint8, mode="r")
        stored = self.pixels[self.offsets[row] : self.offsets[row + 1]]
        if self.kind is StoreKind.jpeg:
            return cv2.imdecode(stored, cv2.IMREAD_COLOR_RGB)  # type: ignore[return-value]
        height, width = self.shapes[row]
        return stored.reshape(height, width, 3)

    def __getstate__(self) -> dict[str, object]:
        # A pickled memmap would carry all pixels to every worker; each maps the file itself instead.
        return {**self.__dict__, "pixels": None}


def open_store(paths: Sequence[Path], length: int, cache: Path, kind: StoreKind = StoreKind.raw) -> Store:
    """Return the store of these files with short sides of `length` pixels; built first where it is missing or stale.

    Two processes may ask at once: one builds, the other waits. Raises UserError where the disk is too small.
    """
    cache.mkdir(parents=True, exist_ok=True)
    names = "\n".join(str(path.absolute()) for path in paths)
    suffix = "" if kind is StoreKind.raw else f"-{kind.name}"
    folder = cache / f"{length}px-{hashlib.blake2b(names.encode(), digest_size=8).hexdigest()}{suffix}"
    with FileLock(f"{folder}.lock"):
        try:
            store = Store(folder, paths, length, kind)
            # unchanged size and time are trusted; of other files the contents decide
            changed = np.flatnonzero((file_stats(paths) != store.stats).any(axis=1)).tolist()
            if all(content_digest(paths[row]) == store.digests[row] for row in changed):
                return store
        except (OSError, EOFError, KeyError, ValueError, BadZipFile):
            pass  # not there yet, or torn: built anew
        build(paths, length, folder, kind)
        return Store(folder, paths, length, kind)


def build(paths: Sequence[Path], length: int, folder: Path, kind: StoreKind) -> None:
    """Decode all files into a new store and put it at `folder`, instead of an older one."""
    expected = int(len(paths) * length * length * ASPECT * BYTES[kind])
    free = shutil.disk_usage(folder.parent).free
    if expected > free:
        raise UserError(
            f"Decoded images need about {expected / 1e9:.1f} GB in {folder.parent}, where {free / 1e9:.1f} are free.",
            "point data.cache= at a larger disk, or choose a smaller model.crop",
            "data.store=jpeg needs a tenth, data.store=off nothing; both are slower",
        )
    print_note(
        f"Decoding {len(paths):,} images once, to {length} px: about {expected / 1e6:,.0f} MB in {folder.parent}"
        if expected
        else f"Reading {len(paths):,} images once, to see whether they can be read"
    )
    for left in folder.parent.glob(f"{folder.name}.*/"):  # by a process that was killed; the lock is ours now
        shutil.rmtree(left, ignore_errors=True)
    with TemporaryDirectory(prefix=f"{folder.name}.", dir=folder.parent) as unfinished:
        fresh = Path(unfinished) / folder.name
        fresh.mkdir()
        write(paths, length, fresh, kind)
        if folder.exists():
            shutil.rmtree(folder)  # a run that has it mapped keeps its view
        fresh.rename(folder)


def write(paths: Sequence[Path], length: int, folder: Path, kind: StoreKind) -> None:
    """Write images.bin and index.npz; unreadable files get an empty shape and a reason."""
    stats = file_stats(paths)  # before the contents are read: a file that changes meanwhile is read again later
    shapes, offsets = np.zeros((len(paths), 2), dtype=np.int64), np.zeros(len(paths) + 1, dtype=np.int64)
    reasons, digests = [], []
    with (folder / "images.bin").open("wb") as file:
        decoded = progress(decode_all(paths, length), "Decoding", len(paths))
        for row, (pixels, reason, digest) in enumerate(decoded):
            if pixels is not None:
                shapes[row] = pixels.shape[:2]
                file.write(encode(pixels, kind))
            offsets[row + 1] = file.tell()
            reasons.append(reason)
            digests.append(digest)
    np.savez(folder / "index.npz", shapes=shapes, offsets=offsets, stats=stats, digests=digests, reasons=reasons)


def encode(pixels: Pixels, kind: StoreKind) -> bytes:
    """Return what a store keeps of an image."""
    if kind is StoreKind.off:
        return b""
    if kind is StoreKind.raw:
        return pixels.tobytes()
    blue_first = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", blue_first, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()


def decode_all(paths: Sequence[Path], length: int) -> Iterator[tuple[Pixels | None, str, str]]:
    """Yield (pixels, why there are none, content digest) of each file in turn, decoded on all cores."""

    def one(path: Path) -> tuple[Pixels | None, str, str]:
        digest = content_digest(path)
        try:
            return load(path, length), "", digest
        except Exception as error:  # Pillow's formats raise nearly everything
            return None, f"{error or type(error).__name__}".replace(str(path), path.name), digest

    # Threads, for Pillow decodes and resizes without holding the interpreter; in pieces, to bound the memory.
    with ThreadPoolExecutor(available_cores()) as pool:
        for start in range(0, len(paths), 256):
            yield from pool.map(one, paths[start : start + 256])


def file_stats(paths: Sequence[Path]) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    """Return size in bytes and time of change in nanoseconds of each file, int64 [n, 2]; -1 for a missing file."""
    found = [path.stat() if path.exists() else None for path in paths]
    rows = [(status.st_size, status.st_mtime_ns) if status else (-1, -1) for status in found]
    return np.array(rows, dtype=np.int64).reshape(-1, 2)


def content_digest(path: Path) -> str:
    """Return a digest of a file's bytes, 32 hex digits; empty for a file that cannot be opened."""
    try:
        return hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()
    except OSError:
        return ""
