"""Command-line arguments as Hydra can read them: ranges, patterns, paths, unlisted settings. Imports no torch."""

import math
import os
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

from kenyan13.config.presets import CONF
from kenyan13.config.settings import BUILT, SEVERAL, Settings
from kenyan13.errors import UserError, shorten


def text_settings(kind: Any, prefix: str = "") -> Iterator[str]:
    """Yield the dotted names of the settings of a dataclass that are texts."""
    for item in fields(kind):
        if is_dataclass(item.type):
            yield from text_settings(item.type, f"{prefix}{item.name}.")
        elif item.type in (str, str | None):
            yield f"{prefix}{item.name}"


TEXTS = frozenset(name for name in text_settings(Settings) if not (CONF / name).is_dir())
PATHS = ("data.root", "data.cache", "model.weights", "runs")
RANGE = re.compile(r"([-+.\de]+?)\.\.([-+.\de]+)(?:/(\d+))?")
MOST = 1000  # more values of a range are a slip of the finger


def translate(arguments: Sequence[str], sweep: bool = False) -> list[str]:
    """Return arguments for Hydra; those that are no key=value, and quoted values, stay as they are.

    Texts are quoted where Hydra would read them as something else (name=1e3), and ~ is filled in. seed=1..5 and
    optim.lr=1e-6..1e-2 become lists of values (see `expand`), model=vgg* Hydra's glob. A part of what Hydra builds may
    be any argument of its target: optim.eps=1e-7 becomes ++optim.eps=1e-7. Raises UserError for a range that is none,
    and, unless it is for a sweep, for one that stands for several runs.

    One's own images get recipe=modern: the study's batches and rates are poor for them.
    """
    keys = {argument.partition("=")[0] for argument in arguments}
    own = {"data=folder", "data=table"} & {*arguments} and not keys & {"recipe", "experiment", "debug"}
    return [translate_one(argument, sweep) for argument in (*arguments, *(["recipe=modern"] if own else []))]


def translate_one(argument: str, sweep: bool) -> str:
    """Return one argument for Hydra."""
    match = re.fullmatch(r"([+~]{0,2})([\w./@-]+)=(.+)", argument, flags=re.DOTALL)
    if match is None or argument.startswith("-"):
        return argument
    prefix, key, value = match.groups()
    if (CONF / key).is_dir() and re.match(r"[/~.\d{]" if key in SEVERAL else r"[/~.\d{[]", value):
        choices = shorten(sorted(file.stem for file in (CONF / key).glob("*.yaml")), 40)
        steps = ["images of your own: data=folder data.root=PATH"] if key == "data" else []
        raise UserError(f"{key}={value} is no choice.", *steps, f"one of: {choices}")
    if key in TEXTS and "," not in value:
        value = quote_text(key, value)
    elif not re.search(r"[\[\]{}'\"$]", value):
        listed = translate_list(key, value)
        if not sweep and (listed != value or re.search(r",|^\w+\(", value)):
            step = f"add -m to train one run a value: python train.py -m {shlex.quote(f'{key}={value}')}"
            raise UserError(f"{key}={value} stands for several runs.", step, "for a list as one value: key=[a,b]")
        texts = key in TEXTS and not re.match(r"\w+\(", listed)
        value = ",".join(quote_text(key, word) for word in listed.split(",")) if texts else listed
    if not prefix and key.partition(".")[0] in BUILT and "." in key:
        prefix = "++"
    return f"{prefix}{key}={value}"


def quote_text(key: str, value: str) -> str:
    """Return the value of a text setting in quotes, where without them it might be read as a number or the like."""
    if re.search(r"['\"$]|\\$|^null$", value):
        return value
    home = os.path.expanduser(value) if key in PATHS else value  # noqa: PTH111 (Path's fails for ~nobody)
    plain = re.fullmatch(r"(?ai)(?!(true|false|inf|nan)$)([a-z_/]|\.{1,2}(?=/|$))[\w./~\\-]*", home)
    return home if plain else f"'{home}'"


def quoted(text: str) -> str:
    """Return a text for Hydra's lists, in quotes unless it is a plain word; backslashes before a quote are doubled."""
    if re.fullmatch(r"(?ai)(?!(null|true|false|nan|inf)$)[a-z_]\w*", text):
        return text
    escaped = re.sub(r'(\\*)"', r'\1\1\\"', text)
    return '"' + re.sub(r"(\\+)$", r"\1\1", escaped) + '"'


def keep_text(override: str) -> str:
    """Return `key=value` as it is fit to be read as YAML: a text stays a text."""
    key, equals, value = override.partition("=")
    return f"{key}={quote_text(key, value)}" if equals and key in TEXTS else override


def translate_list(key: str, value: str) -> str:
    """Return values with commas between, with ranges as their values, or patterns as Hydra's glob."""
    listed = re.fullmatch(r"choice\(([^()]*)\)", value)
    words = [word.strip() for word in (listed[1] if listed else value).split(",")]
    if any(map(RANGE.fullmatch, words)):
        values = [expand(key, word) if RANGE.fullmatch(word) else [word] for word in words]
        return ",".join(str(number) for numbers in values for number in numbers)
    if "*" in value and (CONF / key).is_dir():
        return f"glob([{','.join(words)}])"
    return value


def expand(key: str, text: str) -> list[int] | list[float]:
    """Return the values of a range lo..hi or lo..hi/n, both ends among them.

    Of whole numbers (0..4) without /n, every one; else (1e-6..1e-2) log-spaced values, n a decade or nearly so, by
    default four: whole ones where both ends are, others with six digits. Raises UserError unless 0 < lo < hi (0 may be
    the first of all whole numbers).
    """
    match, whole = RANGE.fullmatch(text), re.fullmatch(r"\d+\.\.\d+(/\d+)?", text) is not None
    try:
        low, high, a_decade = (float(match[1]), float(match[2]), int(match[3] or 4)) if match else (0.0, 0.0, 0)
    except ValueError:
        low = high = a_decade = 0
    every = whole and "/" not in text
    if not (0 < low < high or (every and low < high)) or a_decade == 0:
        step = "data.fold=0..4 gives every whole number, optim.lr=1e-6..1e-2 four values a decade (/8: eight)"
        raise UserError(f"{key}={text} is not a range of numbers.", step)
    steps = round(high - low) if every else max(1, round(math.log10(high / low) * a_decade))
    if steps >= MOST:
        fewer = "/4 at the end gives four values a decade" if every else "give fewer a decade"
        raise UserError(f"{key}={text} stands for {steps + 1:,} values.", f"allowed: {MOST}; {fewer}")
    if every:
        return list(range(round(low), round(high) + 1))
    values = [float(f"{low * (high / low) ** (k / steps):.6g}") for k in range(steps + 1)]
    return sorted({round(value) for value in values}) if whole else values


def differing(job: Sequence[str], jobs: Sequence[Sequence[str]]) -> list[str]:
    """Return the overrides of a job that not all jobs have; of a single job, all."""
    common = set(jobs[0]).intersection(*jobs) if len(jobs) > 1 else set()
    return [word.lstrip("+") for word in job if word not in common]
