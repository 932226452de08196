"""Lists in Hydra's overrides written as log-spaced ranges, optim.lr=1e-6..1e-2, and as patterns, model=vgg*.

Hydra reads both as text, tries them as a value (a rate that is no number, a choice that does not exist), and fails
before any sweeper is asked. It has no hook for new forms of values, so its parser's one entrance is wrapped: what comes
out of it is one of Hydra's own sweeps, which Hydra, its sweepers and its launchers treat as they do every other.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Glob, Override, QuotedString, ValueType

from kenyan13.config.ranges import expand, is_range


def teach_hydra(conf: Path) -> None:
    """Make Hydra's parser, in this process, understand ranges and patterns; `conf` has a folder a config group."""
    original = OverridesParser.parse_rule
    if hasattr(original, "understands_ranges"):
        return

    def parse_rule(parser: OverridesParser, text: str, rule: str) -> Any:
        parsed = original(parser, text, rule)
        return as_sweep(parsed, conf) if isinstance(parsed, Override) else parsed

    parse_rule.understands_ranges = True  # type: ignore[attr-defined]
    OverridesParser.parse_rule = parse_rule  # type: ignore[method-assign, assignment]


def as_sweep(override: Override, conf: Path) -> Override:
    """Return the override with its ranges and patterns as a sweep of Hydra's; any other as it is.

    Quotes protect a value. Raises UserError for a range that is none.
    """
    key, value = override.key_or_group, override.value()
    elements: list[Any] = value.list if isinstance(value, ChoiceSweep) else [value]
    texts = [element for element in elements if isinstance(element, str) and not isinstance(element, QuotedString)]
    if any(is_range(key, text) for text in texts):
        values: list[Any] = []
        for element in elements:
            values += expand(key, element) if is_range(key, element) else [element]
        sweep = replace(value, list=values) if isinstance(value, ChoiceSweep) else ChoiceSweep(list=values)
        return replace(override, value_type=ValueType.CHOICE_SWEEP, _value=sweep)
    if any("*" in text for text in texts) and len(texts) == len(elements) and (conf / key).is_dir():
        # Hydra's own parser puts a Glob here as well, whatever the field's declared type
        return replace(override, value_type=ValueType.GLOB_CHOICE_SWEEP, _value=cast(Any, Glob(include=texts)))
    return override
