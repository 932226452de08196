"""Images decoded once, at the size that a run needs, in one memory-mapped file shared by all runs and workers.

A store is a folder <cache>/<length>px-<digest of the paths>/ with images.bin (one image after the other: uint8
pixels, JPEG, or nothing) and index.npz, whose checksum says whether the two belong together.
"""

import hashlib
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any
from zlib import crc32

import cv2
import numpy as np
from filelock import FileLock
from numpy.typing import NDArray
from PIL import Image

from kenyan13.config.settings import MAX_PIXELS, StoreKind
from kenyan13.data.images import MAX_ASPECT, Pixels, load, read_file, stored_size
from kenyan13.errors import UserError, first_line
from kenyan13.machine import available_cores
from kenyan13.runs.directory import replacing
from kenyan13.terminal import print_note, progress

QUALITY = [cv2.IMWRITE_JPEG_QUALITY, 95]
BYTES = {StoreKind.raw: 3, StoreKind.jpeg: 0.4, StoreKind.off: 0}  # a pixel, about


class Store:
    """The pixels of many images: `store[row]` is uint8 [height, width, 3]; raw, a view into the mapped file.

    shapes, digests: of each file's image and contents; bad: row -> reason, for the files that could not be read.
    """

    def __init__(
        self, paths: Sequence[Path], length: int, cache: Path, kind: StoreKind = StoreKind.raw,
        max_pixels: int = MAX_PIXELS,
    ) -> None:  # fmt: skip
        """Find these files decoded, with short sides of `length` pixels, or decode them where any has changed."""
        names = "\n".join(str(path.absolute()) for path in paths)
        suffix = "" if kind is StoreKind.raw else f"-{kind.name}"
        self.folder = cache / f"{length}px-{hashlib.blake2b(names.encode(), digest_size=8).hexdigest()}{suffix}"
        self.paths, self.length, self.kind, self.max_pixels = paths, length, kind, max_pixels
        self.pixels: np.memmap[tuple[int], np.dtype[np.uint8]] | None = None
        cache.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{self.folder}.lock"):
            try:
                self.read_index()
                if self.is_current():
                    return
            except Exception as error:  # not there yet, or torn: numpy and zip each raise their own
                if not isinstance(error, FileNotFoundError):
                    print_note(f"Decoded images are damaged, and made anew: {first_line(error)}")
            self.build()
            self.read_index()

    def read_index(self) -> None:
        """Read what is known of the images. Raises OSError where their pixels are not those that were written."""
        with np.load(self.folder / "index.npz", allow_pickle=False) as index:
            names = ("shapes", "offsets", "stats", "digests", "reasons")
            self.shapes, self.offsets, self.stats, self.digests, reasons = (index[name] for name in names)
            checksum = index.get("checksum")  # none in stores of before 2026-11-28
        self.bad = {row: str(reason) for row, reason in enumerate(reasons) if reason}
        file = self.folder / "images.bin"
        if file.stat().st_size != self.offsets[-1]:
            raise OSError(f"{file} has been cut short")
        pixels = np.memmap(file, np.uint8, mode="r").data if self.offsets[-1] else b""  # nothing cannot be mapped
        if checksum is not None and checksum != crc32(pixels):  # 2 GB/s, and read anyway
            raise OSError(f"{file} has a wrong checksum")

    def is_current(self) -> bool:
        """Return whether the files are those decoded: by size and time, else by contents; the bad ones are tried."""
        changed = np.flatnonzero((file_stats(self.paths) != self.stats).any(axis=1)).tolist()
        again = decode_all([self.paths[row] for row in self.bad], self.length, self.max_pixels)
        try:
            same = all(digest_of(read_file(self.paths[row])) == self.digests[row] for row in changed)
        except OSError:
            return False
        return same and all(pixels is None for pixels, _, _ in again)

    def build(self) -> None:
        """Decode all files, in the place of an older store; those that cannot be read get no pixels, and a reason."""
        self.announce()
        self.folder.mkdir(exist_ok=True)
        stats = file_stats(self.paths)  # before the contents are read: a file that changes meanwhile is read again
        decoded, rows, checksum = decode_all(self.paths, self.length, self.max_pixels), [], 0
        with replacing(self.folder / "images.bin") as temporary, temporary.open("wb") as file:
            for pixels, reason, digest in progress(decoded, "Decoding", len(self.paths)):
                packed = b""
                if pixels is not None and self.kind is StoreKind.raw:
                    packed = pixels.tobytes()
                elif pixels is not None and self.kind is StoreKind.jpeg:
                    packed = cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), QUALITY)[1].tobytes()
                checksum = crc32(packed, checksum)
                file.write(packed)
                rows.append(((0, 0) if pixels is None else pixels.shape[:2], file.tell(), reason, digest))
        shapes, ends, reasons, digests = zip(*rows, strict=True)
        index = {"shapes": shapes, "offsets": [0, *ends], "stats": stats, "digests": digests, "reasons": reasons}
        with replacing(self.folder / "index.npz") as temporary, temporary.open("wb") as file:
            np.savez(file, **index, checksum=checksum)  # type: ignore[arg-type]

    def announce(self) -> None:
        """Say how much is going to be decoded, by the files' headers. Raises UserError where the disk is too small."""
        sizes: list[tuple[int, int]] = []  # of what can be opened; decoding will name the others
        for path in filter(Path.is_file, self.paths):  # a named pipe would be waited for
            with suppress(Exception), Image.open(path) as image:  # Pillow's formats raise nearly everything
                sizes.append(image.size)
        pixels = sum(map(np.prod, (stored_size(width, height, self.length) for width, height in sizes)))
        cache, expected = self.folder.parent, int(pixels * BYTES[self.kind])
        if expected > (free := shutil.disk_usage(cache).free):
            problem = f"Decoded images need about {expected / 1e9:.1f} GB in {cache}, where {free / 1e9:.1f} are free."
            raise UserError(problem, "data.cache= on a larger disk, data.store=jpeg (a tenth) or data.store=off")
        kept = f"about {expected / 1e6:,.0f} MB in {cache}" if expected else "nothing is kept"
        print_note(f"Decoding {len(self.paths):,} images once, to {self.length} px: {kept}")
        if longer := sum(max(size) > MAX_ASPECT * min(size) for size in sizes):
            print_note(f"Cut to the middle, as longer than {MAX_ASPECT} times their short side: {longer:,} images")

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
    cores = available_cores()
    with ThreadPoolExecutor(cores) as pool:
        for start in range(0, len(paths), 8 * cores):
            yield from pool.map(one, paths[start : start + 8 * cores])


def kept_arrays(file: Path, make: Callable[[], Mapping[str, NDArray[Any]]]) -> dict[str, NDArray[Any]]:
    """Return arrays by name from an .npz in a cache, made and kept there, by one process, if it is none or damaged."""

    def read() -> dict[str, NDArray[Any]]:
        with np.load(file, allow_pickle=False) as saved:
            return dict(saved)  # zipfile looks at their checksums

    file.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{file}.lock"):
        try:
            return read()
        except Exception as error:  # not there yet, or torn: numpy and zip each raise their own
            if file.exists():
                print_note(f"{file} is damaged, and made anew: {first_line(error)}")
        made = make()
        with replacing(file) as temporary, temporary.open("wb") as writing:
            np.savez(writing, allow_pickle=False, **made)
        return read()


def file_stats(paths: Sequence[Path]) -> NDArray[np.int64]:
    """Return size in bytes and time of change in nanoseconds of each file, int64 [n, 2]; -1 for a missing file."""
    found = [path.stat() if path.exists() else None for path in paths]
    rows = [(status.st_size, status.st_mtime_ns) if status else (-1, -1) for status in found]
    return np.array(rows, dtype=np.int64).reshape(-1, 2)


def digest_of(contents: bytes) -> str:
    """Return a digest of bytes, 32 hex digits."""
    return hashlib.blake2b(contents, digest_size=16).hexdigest()
