"""The run directory: training writes it, all else reads it, through this package. Imports no torch."""

import sys
from types import ModuleType
from typing import Any


class Callable(ModuleType):
    """This package, which `kenyan13.runs("runs")` calls as well: the runs below a folder as a DataFrame."""

    def __call__(self, folder: Any = "runs") -> Any:
        """Return what kenyan13.api.list_runs does."""
        from kenyan13.api import list_runs

        return list_runs(folder)


sys.modules[__name__].__class__ = Callable
