"""How each method builds its model, its named loss terms and its further stages."""

from reff_bench.methods.method import Method, StepContext, Terms
from texturedmnist.common.renamed import warn_renamed

__all__ = ["Method", "StepContext", "Terms"]


def __getattr__(name: str) -> object:
    if name != "Step":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    warn_renamed("reff_bench.methods.Step", "reff_bench.StepContext")
    return StepContext
