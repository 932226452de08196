"""What is wrong or odd in a data set's images and labels: found before anything is trained, without torch."""

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from sklearn.model_selection import cross_val_predict
from sklearn.tree import DecisionTreeClassifier

from kenyan13.config.settings import DataSettings
from kenyan13.data.catalogue import Catalogue
from kenyan13.data.images import Pixels, decode, opened, read_file, resize_short_side
from kenyan13.data.store import digest_of, file_stats, kept_arrays
from kenyan13.errors import shorten
from kenyan13.machine import available_cores
from kenyan13.metrics.classification import wilson
from kenyan13.terminal import progress

NEAR = 4  # of 64 bits of their hashes that nearly equal images may differ in
NO_HASH = 0  # of an image without contrast: it looks like all others of its kind
SIDE = 256  # pixels of the short side at which images are looked at
# EXIF tags by the block that they are in (Exif 2.32), and what they tell of a person
PERSONAL = {
    0x8825: {2: "GPS position"}, 0x8769: {0xA430: "owner", 0xA431: "camera's number"},
    0: {0x013B: "artist", 0x9C9D: "author"},
}  # fmt: skip
# kind -> whether a look has it, and its words; dark, bright and aspect are cleanvision's limits
ODD = {
    "unreadable": ("problem != ''", "cannot be read"),
    "personal": ("personal != ''", "carry personal data in their tags"),
    "tiny": ("0 < short < 0.5 * crop", "are smaller than half the crop"),
    "aspect": ("short > 0 and short / long < 0.35", "are very long or very high"),
    "uniform": ("short > 0 and contrast < 6", "are nearly of one colour"),
    "dark": ("short > 0 and contrast >= 6 and light < 82", "are nearly black"),
    "bright": ("contrast >= 6 and dark > 240", "are nearly white"),
    "blurred": ("contrast >= 6 and sharpness < 15", "are blurred"),
}
UNSEEN = {
    "short": 0, "long": 0, "aspect": 0.0, "bytes": 0, "type": "", "brightness": 0.0, "contrast": 0.0, "light": 0.0,
    "dark": 0.0, "sharpness": 0.0, "personal": "", "problem": "", "digest": "", "hash": NO_HASH,
}  # fmt: skip
FEW, IMBALANCE = 3, 20  # images of a class; of the largest class for one of the smallest
SHORTCUTS = {
    "size": ["long", "short", "bytes"], "aspect": ["aspect"], "brightness": ["brightness"], "file type": ["type"],
}  # fmt: skip


class Finding(NamedTuple):
    """Something found: its kind, a line about it, and groups of images, by their rows in the table."""

    kind: str
    text: str
    groups: Sequence[Sequence[int]] = ()


def table_of(parts: dict[str, Catalogue], looks: pd.DataFrame) -> pd.DataFrame:
    """Return a row an image: id, path, part, label ("" for none), and its looks, which are in the parts' order."""
    rows = [
        (id_, path, part, images.classes[target] if target >= 0 else "")
        for part, images in parts.items()
        for id_, path, target in zip(images.ids, images.paths, images.targets, strict=True)
    ]
    return pd.DataFrame(rows, columns=["id", "path", "part", "label"]).join(looks.reset_index(drop=True))


def look(path: Path, max_pixels: int) -> dict[str, Any]:
    """Return what is seen of an image file; only the problem, where it cannot be read.

    light, dark: what 1 and 95 % of its pixels exceed; contrast: their standard deviation; sharpness: the Laplacian's.
    """
    try:
        contents = read_file(path)
        header = opened(contents)
        exif = header.getexif()
        blocks = {block: exif.get_ifd(block) if block else exif for block in PERSONAL}
        told = [word for block, tags in PERSONAL.items() for tag, word in tags.items() if blocks[block].get(tag)]
        image = decode(contents, SIDE, max_pixels)
        pixels = np.asarray(resize_short_side(image, min(SIDE, *image.size)))
        grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
        dark, light = np.percentile(grey, (5, 99))
        short, long = sorted(header.size)
        return UNSEEN | {
            "short": short, "long": long, "aspect": header.width / header.height, "bytes": len(contents),
            "type": header.format, "brightness": float(grey.mean()), "contrast": float(grey.std()), "light": light,
            "dark": dark, "sharpness": cv2.Laplacian(grey, cv2.CV_64F).var(), "personal": ", ".join(told),
            "digest": digest_of(contents), "hash": perceptual_hash(pixels),
        }  # fmt: skip
    except Exception as error:  # Pillow's formats raise nearly everything
        return UNSEEN | {"problem": str(error) or type(error).__name__}


def look_at(paths: Sequence[Path], settings: DataSettings) -> pd.DataFrame:
    """Return a row a file, see `look`; kept in data.cache as long as no file changes."""
    names = "\n".join(map(str, paths)) + str(settings.max_pixels) + file_stats(paths).tobytes().hex()
    digest = hashlib.blake2b(names.encode(errors="replace"), digest_size=8).hexdigest()

    def make() -> dict[str, NDArray[Any]]:
        with ThreadPoolExecutor(available_cores()) as pool:
            seen = pool.map(partial(look, max_pixels=settings.max_pixels), paths)
            rows = [*progress(seen, "Looking at images", len(paths))]
        types = {"hash": np.uint64}
        return {name: np.array([row[name] for row in rows], dtype=types.get(name)) for name in UNSEEN}

    return pd.DataFrame(kept_arrays(Path(settings.cache).expanduser() / f"looks-{digest}.npz", make))


def check(table: pd.DataFrame, crop: int) -> list[Finding]:
    """Return everything found in a table of images with their looks (`table_of`, `look_at`)."""
    return [*of_classes(table), *duplicates(table), *odd_images(table, crop), *shortcuts(table)]


def of_classes(table: pd.DataFrame) -> Iterator[Finding]:
    """Find classes with few images, and classes of very unequal size."""
    counts = table[(table["label"] != "") & (table["part"] != "test")].groupby("label").size().sort_values()
    if len(counts) and counts.iloc[0] < FEW:
        small = [f"{name} {count}" for name, count in counts[counts < FEW].items()]
        yield Finding("few", f"Classes with fewer than {FEW} images: {shorten(small, 5)}")
    if len(counts) and counts.iloc[-1] > IMBALANCE * counts.iloc[0]:
        largest, smallest = (f"{counts.index[k]} has {counts.iloc[k]:,}" for k in (-1, 0))
        yield Finding("imbalance", f"Classes of very unequal size: {largest} images, {smallest}")


def duplicates(table: pd.DataFrame) -> Iterator[Finding]:
    """Find equal and nearly equal images, above all those of two parts or labels, by digest and hash."""
    same = groups_of_same(table["digest"].to_numpy(str), table["hash"].to_numpy(np.uint64))
    groups: list[list[int]] = [rows.to_list() for _, rows in table.index.to_series().groupby(same) if len(rows) > 1]
    parts, labels, digests = (table[name].to_numpy(str) for name in ("part", "label", "digest"))
    for one, other in combinations(dict.fromkeys(parts.tolist()), 2):
        pairs = [int((parts[rows] == one).sum() * (parts[rows] == other).sum()) for rows in groups]
        if across := [rows for rows, count in zip(groups, pairs, strict=True) if count]:
            text = f"Pairs of equal or nearly equal images in {one} and in {other}: {sum(pairs):,}"
            yield Finding(f"{one}-{other}", text, across)
    if two := [rows for rows in groups if len({*labels[rows]} - {""}) > 1]:
        named = shorten([" / ".join(sorted({*labels[rows]} - {""})) for rows in two], 2)
        yield Finding("labels", f"Groups of equal or nearly equal images with two labels: {len(two):,} ({named})", two)
    for kind, same_file in (("equal", True), ("nearly equal", False)):
        if found := [rows for rows in groups if (len({*digests[rows]}) == 1) is same_file]:
            yield Finding(kind, f"Images that are {kind} to another: {sum(map(len, found)):,}", found)


def odd_images(table: pd.DataFrame, crop: int) -> Iterator[Finding]:
    """Find images that cannot be read, tell of a person, or are hardly images of anything."""
    for kind, (condition, words) in ODD.items():
        rows = table.query(condition.replace("crop", str(crop))).index.tolist()
        if len(rows):
            told = table.loc[rows, "personal" if kind == "personal" else "problem"].value_counts()
            more = [f"{word} {count:,}" for word, count in told.items() if word]
            text = f"Images that {words}: {len(rows):,}" + f" ({shorten(more, 3)})" * bool(more)
            yield Finding(kind, text, [[row] for row in rows])


def shortcuts(table: pd.DataFrame) -> Iterator[Finding]:
    """Find what alone tells the class to a small tree, in five folds, surely ten points above the largest class."""
    known = table[(table["label"] != "") & (table["part"] != "test") & (table["problem"] == "")]
    counts = known["label"].value_counts()
    if len(counts) < 2 or counts.iloc[-1] < 5:
        return
    majority = counts.iloc[0] / len(known)
    tree = DecisionTreeClassifier(max_depth=4, min_samples_leaf=3, random_state=0)
    for name, columns in SHORTCUTS.items():
        features = pd.get_dummies(known[columns]).to_numpy(np.float64)
        accuracy = float((cross_val_predict(tree, features, known["label"], cv=5) == known["label"]).mean())
        low, high = wilson(accuracy, len(known))
        if low > majority + 0.1:
            interval = f"{accuracy:.0%} right ({low:.0%} to {high:.0%}), {majority:.0%} by the largest class"
            yield Finding("shortcut", f"The {name} alone tells the class: {interval}")


def perceptual_hash(pixels: Pixels) -> int:
    """Return pHash's 64 bits of uint8 [height, width, 3], which hardly change by resizing or compression; or NO_HASH.

    Which of the 8 x 8 lowest cosine frequencies of the image, at 32 x 32 grey pixels, are above their median.
    """
    grey = cv2.resize(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), (32, 32), interpolation=cv2.INTER_AREA)
    if grey.std() < 4:
        return NO_HASH
    low = cv2.dct(grey.astype(np.float32))[:8, :8]
    return int.from_bytes(np.packbits(low > np.median(low)).tobytes(), "big")


def groups_of_same(digests: NDArray[np.str_], hashes: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return numbers that (nearly) equal images share, int64 [n]; digests: "" where unknown; hashes: uint64 [n]."""
    equal = pd.Series(np.arange(len(digests))).groupby(digests).transform("first").to_numpy()
    pairs = [np.column_stack([np.arange(len(digests)), np.where(digests == "", np.arange(len(digests)), equal)])]
    known = np.flatnonzero(hashes != NO_HASH)
    for start in range(0, len(known), 512):
        distances = np.bitwise_count(hashes[known[start : start + 512], None] ^ hashes[known])
        i, j = np.nonzero(distances <= NEAR)
        pairs.append(np.column_stack([known[start + i], known[j]]))
    one, other = np.concatenate(pairs).T
    graph = coo_array((np.ones(len(one), dtype=np.int8), (one, other)), shape=(len(digests), len(digests)))
    return connected_components(graph, directed=False)[1].astype(np.int64)  # type: ignore[no-any-return]
