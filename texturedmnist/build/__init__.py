"""The loop from recipe to a finished dataset folder, resume, verify."""

from texturedmnist.build.cards import write_cards
from texturedmnist.build.make import (
    SHARD_SIZE,
    Build,
    Estimate,
    estimate,
    plan_build,
    plan_shards,
    run_build,
    run_part,
)
from texturedmnist.build.verify import verify

__all__ = [
    "SHARD_SIZE",
    "Build",
    "Estimate",
    "estimate",
    "plan_build",
    "plan_shards",
    "run_build",
    "run_part",
    "verify",
    "write_cards",
]
