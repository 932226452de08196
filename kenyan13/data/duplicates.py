"""Images that are equal or nearly so: by the digests of their files, and by perceptual hashes of their pixels."""

from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from kenyan13.data.images import Pixels
from kenyan13.data.store import Store
from kenyan13.machine import available_cores

NEAR = 4  # of 64 bits that nearly equal images may differ in
NO_HASH = 0  # of an image without contrast: it looks like all others of its kind


def perceptual_hash(pixels: Pixels) -> int:
    """Return 64 bits that hardly change when an image is resized, compressed or brightened; NO_HASH without contrast.

    pHash: which of the 8 x 8 lowest cosine frequencies of the image, at 32 x 32 grey pixels, are above their median.
    pixels: uint8 [height, width, 3].
    """
    grey = cv2.resize(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), (32, 32), interpolation=cv2.INTER_AREA)
    if grey.std() < 4:
        return NO_HASH
    low = cv2.dct(grey.astype(np.float32))[:8, :8]
    return int.from_bytes(np.packbits(low > np.median(low)).tobytes(), "big")


def stored_hashes(store: Store, rows: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Return the perceptual hashes of decoded images, uint64 [n]."""
    with ThreadPoolExecutor(available_cores()) as pool:
        return np.array([*pool.map(lambda row: perceptual_hash(store[row]), rows)], dtype=np.uint64)


def groups_of_same(digests: NDArray[np.str_], hashes: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return numbers that equal and nearly equal images have in common, int64 [n].

    digests: of the files, "" where unknown; hashes: uint64 [n].
    """
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
