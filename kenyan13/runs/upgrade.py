"""What earlier versions wrote, in today's words: names that have changed since. Pure functions of plain values."""

from collections.abc import Mapping
from typing import Any

RESULT_NAMES = {"train_pictures": "train_images", "validation_pictures": "validation_images"}


def upgrade_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the plain values of a config.yaml of any version as today's version would have written them."""
    data = {key: upgrade_part(value) for key, value in config["data"].items()}
    return {**config, "data": data}


def upgrade_part(part: Any) -> Any:
    """Return what config.yaml says of a part of the data, `pictures` being `images` now."""
    return {"images" if key == "pictures" else key: value for key, value in part.items()} if is_mapping(part) else part


def is_mapping(value: Any) -> bool:
    """Return whether a value has keys."""
    return isinstance(value, Mapping)


def upgrade_result(result: Mapping[str, Any]) -> dict[str, Any]:
    """Return the plain values of a result.json of any version under today's names."""
    return {RESULT_NAMES.get(key, key): value for key, value in result.items()}
