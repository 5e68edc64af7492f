"""The loop from recipe to a finished dataset folder, resume, verify."""

from texturedmnist.generate.build import (
    SHARD_SIZE,
    Build,
    Estimate,
    estimate,
    plan_build,
)
from texturedmnist.generate.cards import refresh_preview, write_cards
from texturedmnist.generate.make import run_build, run_part
from texturedmnist.generate.repair import repair
from texturedmnist.generate.verify import describe_check, verify

__all__ = [
    "SHARD_SIZE",
    "Build",
    "Estimate",
    "describe_check",
    "estimate",
    "plan_build",
    "refresh_preview",
    "repair",
    "run_build",
    "run_part",
    "verify",
    "write_cards",
]
