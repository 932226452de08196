"""Ranges of numbers, as in optim.lr=1e-6..1e-2: what is one, and the log-spaced values that it stands for.

Imports no torch.
"""

import math
import re
from typing import get_args

from kenyan13.config.limits import LIMITS, leaves
from kenyan13.config.settings import BUILT, Settings
from kenyan13.errors import UserError

# More values than this are a slip of the finger (lo..hi/800).
MOST = 1000


def is_range(key: str, value: object) -> bool:
    """Whether a value given for the setting `key` is meant as a range: the setting is a number, the value has `..`."""
    return isinstance(value, str) and ".." in value and number_type(key, value) is not None


def number_type(key: str, value: str) -> type | None:
    """Return int or float for the setting's dotted name; None where it is no single number, or does not exist.

    Of what Hydra builds, the type is known of LIMITS' numbers, and else shows in the value: 1..100 is of whole numbers.
    """
    if key.partition(".")[0] in BUILT:
        whole = re.fullmatch(r"\d+\.\.\d+(/\d+)?", value) and not key.startswith("optim.")
        number = key in LIMITS or re.match(r"[-+]?\.?\d", value)
        return int if whole else float if number else None
    declared = dict(leaves(Settings)).get(key)
    kinds = get_args(declared) or (declared,)
    return next((kind for kind in (int, float) if kind in kinds), None)


def expand(key: str, text: str) -> list[int] | list[float]:
    """Return the values of `lo..hi`, four a decade, or of `lo..hi/n`, n a decade; both ends are among them.

    Values are rounded to six significant digits; for a setting of whole numbers to those, each once. Where lo to hi is
    no whole number of steps, the steps are as near to n a decade as they can be. Raises UserError unless 0 < lo < hi.
    """
    match = re.fullmatch(r"(.+?)\.\.(.+?)(?:/(\d+))?", text)
    try:
        low, high = (float(match[1]), float(match[2])) if match else (math.nan, math.nan)
    except ValueError:
        low = high = math.nan
    a_decade = int(match[3]) if match and match[3] else 4
    if not 0 < low < high < math.inf or a_decade == 0:
        raise UserError(
            f"{key}={text} is not a range of numbers.",
            "write lowest..highest, both above 0: optim.lr=1e-6..1e-2 gives four values a decade",
            "for another number a decade: optim.lr=1e-6..1e-2/8",
        )
    steps = max(1, round(math.log10(high / low) * a_decade))
    if steps >= MOST:
        raise UserError(f"{key}={text} stands for {steps + 1:,} values.", f"allowed: {MOST}; give fewer a decade")
    values = [float(f"{low * (high / low) ** (k / steps):.6g}") for k in range(steps + 1)]
    return sorted({round(value) for value in values}) if number_type(key, text) is int else values
