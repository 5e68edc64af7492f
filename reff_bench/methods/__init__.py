"""How each method builds its model, its named loss terms and its further stages."""

from reff_bench.methods.abn import build_attention
from reff_bench.methods.background_swap import swap_backgrounds
from reff_bench.methods.baseline import build_plain
from reff_bench.methods.check import check_trainable
from reff_bench.methods.groups import check_groups
from reff_bench.methods.method import (
    Method,
    MethodError,
    StepContext,
    Terms,
    Training,
    TrainingImages,
)
from reff_bench.methods.registry import find_method
from texturedmnist.common.renamed import warn_renamed

__all__ = [
    "Method",
    "MethodError",
    "StepContext",
    "Terms",
    "Training",
    "TrainingImages",
    "build_attention",
    "build_plain",
    "check_groups",
    "check_trainable",
    "find_method",
    "swap_backgrounds",
]


def __getattr__(name: str) -> object:
    if name != "Step":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    warn_renamed("reff_bench.methods.Step", "reff_bench.StepContext")
    return StepContext
