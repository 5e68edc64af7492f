"""The ReFF benchmark: a grid of methods, trained, evaluated and tabulated.

Importing this package stays light: `read_runs`, which needs pandas, is resolved when it
is first used.
"""

import importlib
from typing import TYPE_CHECKING

from texturedmnist import __version__

if TYPE_CHECKING:
    from reff_bench.results.frame import read_runs

__all__ = ["__version__", "read_runs"]


def __getattr__(name: str) -> object:
    if name != "read_runs":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return importlib.import_module("reff_bench.results.frame").read_runs


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
