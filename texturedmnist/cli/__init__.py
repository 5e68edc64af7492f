"""The `texturedmnist` command."""

from texturedmnist.cli.commands import main

__all__ = ["main"]
