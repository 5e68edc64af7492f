"""The `reff-bench` command."""

from reff_bench.cli.group import main

__all__ = ["main"]
