"""Images decoded once, at the size that a run needs, in one memory-mapped file shared by all runs and workers.

A store is a folder <cache>/<length>px-<digest of the paths>/ with images.bin (one image after the other: uint8
pixels, JPEG, or nothing) and index.npz. It is built beside its folder and renamed: it is there whole or not at all.
"""

import hashlib
import shutil
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from zlib import crc32

import cv2
import numpy as np
from filelock import FileLock
from PIL import Image

from kenyan13.config.settings import MAX_PIXELS, StoreKind
from kenyan13.data.images import MAX_ASPECT, Pixels, load, read_file, stored_size
from kenyan13.errors import UserError, first_line, naming
from kenyan13.machine import available_cores
from kenyan13.terminal import print_note, progress

QUALITY = [cv2.IMWRITE_JPEG_QUALITY, 95]
BYTES = {StoreKind.raw: 3, StoreKind.jpeg: 0.4, StoreKind.off: 0}  # a pixel, about


class Store:
    """The pixels of many images: `store[row]` is uint8 [height, width, 3]; raw, a view into the mapped file.

    bad: row -> reason, for the files that could not be read.
    """

    def __init__(
        self, folder: Path, paths: Sequence[Path], length: int, kind: StoreKind, max_pixels: int = MAX_PIXELS
    ) -> None:
        self.folder, self.paths, self.length, self.kind, self.max_pixels = folder, paths, length, kind, max_pixels
        with np.load(folder / "index.npz", allow_pickle=False) as index:
            names = ("shapes", "offsets", "stats", "digests", "reasons")
            self.shapes, self.offsets, self.stats, self.digests, reasons = (index[name] for name in names)
            checksum = index.get("checksum")  # none in stores of before 2026-11-28
        self.bad = {row: str(reason) for row, reason in enumerate(reasons) if reason}
        if (folder / "images.bin").stat().st_size != self.offsets[-1]:
            raise OSError(f"{folder / 'images.bin'} has been cut short")
        if checksum is not None and checksum != file_checksum(folder / "images.bin"):  # 2 GB/s, and read anyway
            raise OSError(f"{folder / 'images.bin'} has a wrong checksum")
        self.pixels: np.memmap[tuple[int], np.dtype[np.uint8]] | None = None

    def __getitem__(self, row: int) -> Pixels:
        if self.kind is StoreKind.off:
            return self.load(row)
        if self.pixels is None:
            self.pixels = np.memmap(self.folder / "images.bin", np.uint8, mode="r")
        stored = self.pixels[self.offsets[row] : self.offsets[row + 1]]
        if self.kind is StoreKind.jpeg:
            return cv2.imdecode(stored, cv2.IMREAD_COLOR_RGB)  # type: ignore[return-value]
        height, width = self.shapes[row]
        return stored.reshape(height, width, 3)

    def load(self, row: int) -> Pixels:
        """Decode an image anew. Raises UserError where its file is no longer what it was when the store was made."""
        path = self.paths[row]
        try:
            contents = read_file(path)
            if digest_of(contents) == self.digests[row]:
                return load(contents, self.length, self.max_pixels)
            problem = "has changed since training began"
        except OSError as error:
            problem = f"cannot be read any more: {error}"
        raise UserError(f"{path} {problem}.", "put it back as it was, or start again", "data.store=raw keeps pixels")

    def __getstate__(self) -> dict[str, object]:
        # A pickled memmap would carry all pixels to every worker; each maps the file itself instead.
        return {**self.__dict__, "pixels": None}


def open_store(
    paths: Sequence[Path], length: int, cache: Path, kind: StoreKind = StoreKind.raw, max_pixels: int = MAX_PIXELS
) -> Store:
    """Return the store of these files with short sides of `length` pixels; built first where it is missing or stale.

    Stale, too, where a file can be read now. Of two processes, one waits. Raises UserError where the disk is too small.
    """
    cache.mkdir(parents=True, exist_ok=True)
    names = "\n".join(str(path.absolute()) for path in paths)
    suffix = "" if kind is StoreKind.raw else f"-{kind.name}"
    folder = cache / f"{length}px-{hashlib.blake2b(names.encode(), digest_size=8).hexdigest()}{suffix}"
    with FileLock(f"{folder}.lock"):
        try:
            store = Store(folder, paths, length, kind, max_pixels)
            # unchanged size and time are trusted; of other files the contents decide
            changed = np.flatnonzero((file_stats(paths) != store.stats).any(axis=1)).tolist()
            again = decode_all([paths[row] for row in store.bad], length, max_pixels)
            same = all(content_digest(paths[row]) == store.digests[row] for row in changed)
            if same and all(pixels is None for pixels, _, _ in again):
                return store
        except Exception as error:  # not there yet, torn or changed: numpy and zip each raise their own
            if folder.exists():
                print_note(f"Decoded images are damaged, and made anew: {first_line(error)}")
        with naming(folder):
            build(paths, length, folder, kind, max_pixels)
        return Store(folder, paths, length, kind, max_pixels)


def build(paths: Sequence[Path], length: int, folder: Path, kind: StoreKind, max_pixels: int) -> None:
    """Decode all files into a new store and put it at `folder`, instead of an older one."""
    sizes = np.array([size for path in paths if (size := header_size(path))], dtype=np.int64).reshape(-1, 2)
    pixels = sum(map(np.prod, (stored_size(width, height, length) for width, height in sizes.tolist())))
    expected, free = int(pixels * BYTES[kind]), shutil.disk_usage(folder.parent).free
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
    if longer := int((sizes.max(axis=1) > MAX_ASPECT * sizes.min(axis=1)).sum()):
        print_note(f"Cut to the middle, as longer than {MAX_ASPECT} times their short side: {longer:,} images")
    for left in folder.parent.glob(f"{folder.name}.*/"):  # by a process that was killed; the lock is ours now
        shutil.rmtree(left, ignore_errors=True)
    with TemporaryDirectory(prefix=f"{folder.name}.", dir=folder.parent) as unfinished:
        fresh = Path(unfinished) / folder.name
        fresh.mkdir()
        write(paths, length, fresh, kind, max_pixels)
        if folder.exists():
            shutil.rmtree(folder)  # a run that has it mapped keeps its view
        fresh.rename(folder)


def header_size(path: Path) -> tuple[int, int] | None:
    """Return an image's width and height, by its header; None for what is none, which decoding will name."""
    try:
        if not path.is_file():
            return None  # a named pipe would be waited for
        with Image.open(path) as image:
            return image.size
    except Exception:  # Pillow's formats raise nearly everything
        return None


def write(paths: Sequence[Path], length: int, folder: Path, kind: StoreKind, max_pixels: int = MAX_PIXELS) -> None:
    """Write images.bin and index.npz; unreadable files get an empty shape and a reason."""
    stats = file_stats(paths)  # before the contents are read: a file that changes meanwhile is read again later
    shapes, offsets = np.zeros((len(paths), 2), dtype=np.int64), np.zeros(len(paths) + 1, dtype=np.int64)
    reasons, digests = [], []
    with (folder / "images.bin").open("wb") as file:
        decoded = progress(decode_all(paths, length, max_pixels), "Decoding", len(paths))
        for row, (pixels, reason, digest) in enumerate(decoded):
            shapes[row] = (0, 0) if pixels is None else pixels.shape[:2]
            if pixels is not None and kind is StoreKind.raw:
                file.write(pixels.tobytes())
            elif pixels is not None and kind is StoreKind.jpeg:
                file.write(cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), QUALITY)[1].tobytes())
            offsets[row + 1] = file.tell()
            reasons.append(reason)
            digests.append(digest)
    index = {"shapes": shapes, "offsets": offsets, "stats": stats, "digests": digests, "reasons": reasons}
    np.savez(folder / "index.npz", **index, checksum=file_checksum(folder / "images.bin"))  # type: ignore[arg-type]


def decode_all(
    paths: Sequence[Path], length: int, max_pixels: int = MAX_PIXELS
) -> Iterator[tuple[Pixels | None, str, str]]:
    """Yield (pixels, why there are none, content digest) of each file in turn, decoded on all cores."""

    def one(path: Path) -> tuple[Pixels | None, str, str]:
        digest = ""
        try:
            contents = read_file(path)
            digest = digest_of(contents)
            return load(contents, length, max_pixels), "", digest
        except Exception as error:  # Pillow's formats raise nearly everything
            return None, f"{error or type(error).__name__}".replace(str(path), path.name), digest

    # Threads, for Pillow decodes and resizes without holding the interpreter; a few images ahead, to bound the memory.
    workers, ahead = available_cores(), deque[Future[tuple[Pixels | None, str, str]]]()
    with ThreadPoolExecutor(workers) as pool:
        for path in paths:
            ahead.append(pool.submit(one, path))
            if len(ahead) > 4 * workers:
                yield ahead.popleft().result()
        yield from (future.result() for future in ahead)


def file_stats(paths: Sequence[Path]) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    """Return size in bytes and time of change in nanoseconds of each file, int64 [n, 2]; -1 for a missing file."""
    found = [path.stat() if path.exists() else None for path in paths]
    rows = [(status.st_size, status.st_mtime_ns) if status else (-1, -1) for status in found]
    return np.array(rows, dtype=np.int64).reshape(-1, 2)


def file_checksum(file: Path) -> int:
    """Return the CRC-32 of a file."""
    checksum = 0
    with file.open("rb") as opened:
        while part := opened.read(2**20):
            checksum = crc32(part, checksum)
    return checksum


def content_digest(path: Path) -> str:
    """Return a digest of a file's bytes, 32 hex digits; empty for a file that cannot be opened."""
    try:
        return digest_of(read_file(path))
    except OSError:
        return ""


def digest_of(contents: bytes) -> str:
    """Return a digest of bytes, 32 hex digits."""
    return hashlib.blake2b(contents, digest_size=16).hexdigest()
