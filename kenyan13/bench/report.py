"""What was measured, where and with what, as a table and as JSON."""

import json
import platform
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import torch

from kenyan13.bench.timing import Figure
from kenyan13.machine import available_cores, git_commit, versions
from kenyan13.terminal import align


def machine() -> str:
    """Describe this machine in a line: processor, cores, graphics card, system."""
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    card = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    processor = names[0] if names else platform.processor() or platform.machine()
    return f"{processor}, {available_cores()} cores, {card}, {platform.system()} {platform.release()}"


def document(figures: Sequence[Figure], facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return everything as plain values for JSON: where, with what, the figures, and further facts."""
    return {
        "date": date.today().isoformat(), "machine": machine(), "versions": versions(), "commit": git_commit(),
        **facts, "figures": [figure.plain() for figure in figures],
    }  # fmt: skip


def write(file: Path, content: Mapping[str, Any]) -> None:
    """Write the JSON file, with the folders above it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content, indent=2) + "\n")


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return aligned lines; columns that hold numbers are aligned right."""
    columns = list(zip(*rows, strict=True))
    numbers = {place for place, cells in enumerate(columns) if all(cell[:1].isdigit() for cell in cells if cell)}
    return align([head, *rows], numbers)


def stage_rows(figures: Sequence[Figure]) -> list[list[str]]:
    """Return a row a stage: name, circumstances, images a second, milliseconds an image, clock."""
    return [
        [figure.name, figure.detail, f"{figure.rate:,.0f}", f"{1000 * figure.seconds:.3f}", figure.clock]
        for figure in figures
    ]


def peer_rows(figures: Sequence[Figure], ratios: Mapping[str, Mapping[str, float]]) -> list[list[str]]:
    """Return a row a road and crop: name, crop, images a second, milliseconds an image, times as long as ours."""
    return [
        [
            figure.name, figure.detail, f"{figure.rate:,.0f}", f"{1000 * figure.seconds:.3f}",
            f"{ratios[figure.detail][figure.name]:.1f} x" if figure.name in ratios[figure.detail] else "",
        ]
        for figure in figures
    ]  # fmt: skip
