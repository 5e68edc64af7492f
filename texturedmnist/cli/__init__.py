"""The `texturedmnist` command."""

from texturedmnist.cli.group import main

__all__ = ["main"]
