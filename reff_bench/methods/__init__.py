"""How each method builds its model and its named loss terms."""

from reff_bench.methods.check import check_trainable
from reff_bench.methods.method import Method, MethodError, Step, Terms
from reff_bench.methods.registry import METHODS, find_method
from reff_bench.methods.swap import swap_backgrounds
from reff_bench.methods.terms import build_attention, build_plain

__all__ = [
    "METHODS",
    "Method",
    "MethodError",
    "Step",
    "Terms",
    "build_attention",
    "build_plain",
    "check_trainable",
    "find_method",
    "swap_backgrounds",
]
