"""The `reff-bench` command."""

from reff_bench.cli.commands import main

__all__ = ["main"]
