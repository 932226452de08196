"""What makes two runs the same run, and the name that follows from it. Imports no torch."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from kenyan13.config.settings import Settings, StoreKind

# Where a run's result does not depend on a setting, the setting does not make it another run.
MACHINE_ONLY: dict[str, set[str] | None] = {
    "runs": None,
    "name": None,
    "experiment": None,
    "data": {"cache", "workers", "test"},
    "trainer": {"model_graph", "accelerator"},
}


def plain(settings: Settings) -> dict[str, object]:
    """Return the settings as nested dicts of plain values (enums by name), fit for JSON and checkpoints."""
    return json.loads(json.dumps(asdict(settings), default=lambda value: value.name))  # type: ignore[no-any-return]


def decisive(settings: Settings) -> dict[str, object]:
    """Return the plain settings that a run's result depends on."""
    return decisive_part(plain(settings))


def decisive_part(settings: Mapping[str, Any]) -> dict[str, object]:
    """Return plain settings without those that a run's result does not depend on."""
    kept: dict[str, object] = {}
    for key, value in settings.items():
        left_out = MACHINE_ONLY.get(key, set())
        if left_out is not None:
            nested = isinstance(value, dict)
            kept[key] = {name: inner for name, inner in value.items() if name not in left_out} if nested else value
    data = kept.get("data")
    if isinstance(data, dict) and data.get("store") != StoreKind.jpeg.name:  # the others give the same pixels
        data.pop("store", None)
    return kept


def run_name(settings: Settings) -> str:
    """Name the run: `name`, or backbone, freezing level and eight hex digits that stand for all other settings.

    So the same command finds its own run again, and any other setting makes another run.
    """
    if settings.name:
        return settings.name
    backbone = settings.model.backbone.split(".")[0].replace("/", "_")
    return f"{backbone}_pt{settings.freeze.level}-{digits(settings)}"


def digits(settings: Settings) -> str:
    """Return eight hex digits that stand for all settings that a run's result depends on."""
    return hashlib.blake2b(json.dumps(decisive(settings), sort_keys=True).encode(), digest_size=4).hexdigest()


def run_directory(settings: Settings) -> Path:
    """Return the folder that the run writes into."""
    return Path(settings.runs) / run_name(settings)
