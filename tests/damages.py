"""What happens to files: cut short, flipped, filled with garbage."""

import os
from collections.abc import Callable
from pathlib import Path

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
