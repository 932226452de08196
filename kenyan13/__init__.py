"""kenyan13: fine-tune ImageNet models on a small, unbalanced set of photographs, with one machine."""

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kenyan13.api import Run, load, train

__all__ = ["Run", "load", "train"]  # and runs, the package of that name, which can be called

# Threads that have nothing to do wait asleep. By default they spin, and take the cores from loader processes and from
# other runs on the machine, which can make both many times slower. OpenMP reads this once, when torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def __getattr__(name: str) -> object:
    """Return train, load and Run of kenyan13.api, which takes a second to import, when they are asked for."""
    if name in __all__:
        from kenyan13 import api

        return getattr(api, name)
    raise AttributeError(f"module 'kenyan13' has no attribute '{name}'")
