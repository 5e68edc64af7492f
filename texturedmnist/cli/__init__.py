"""The `texturedmnist` command; a command of it is imported when it is used."""

from collections.abc import Mapping
from typing import ClassVar

import click

from texturedmnist import __version__
from texturedmnist.common.cli import Commands, Errors

__all__ = ["main"]


class _Commands(Commands):
    module = "texturedmnist.cli.commands"
    interrupted = (
        "Interrupted: finished files are kept. Run the same command again to continue."
    )
    summaries: ClassVar[Mapping[str, str]] = {
        "audit": "Check leakage, realized randomness, groups; exit code 1 if a "
        "check fails.",
        "card": "Write README.md and croissant.json again, from the manifest.",
        "download": "Fetch MNIST and DTD (both by default) into the data root.",
        "export": "Write a dataset in a format that others read, or finish "
        "what was started.",
        "generate": "Make a dataset, or finish one that was started.",
        "info": "Say what a dataset is.",
        "preview": "Draw a labeled contact sheet.",
        "sources": "Say what is found where, what can be had, and under which license.",
        "verify": "Compare every byte of a dataset with its manifest; exit "
        "code 1 if one is wrong.",
    }

    def misuse(self) -> Errors:
        # `--help` needs none of these.
        from texturedmnist.manifest import DatasetError
        from texturedmnist.recipe import RecipeError
        from texturedmnist.sources import SourceError

        return (*super().misuse(), RecipeError, SourceError, DatasetError)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="texturedmnist")
def main() -> None:
    """Make Textured MNIST: digits of one texture on a background of another.

    Two numbers say how far texture gives the digit away: --bg for the background, --tex
    for the digit's own texture. 0: the texture names the digit; 1: it says nothing.

    \b
    texturedmnist generate --bg 0.2 --tex 0.5 --embedded
    texturedmnist audit textured_mnist_bg0.2_tex0.5
    """  # noqa: D301 (click's mark of lines that stay lines)
