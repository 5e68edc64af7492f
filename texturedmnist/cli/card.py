"""`texturedmnist card`: the data card and Croissant of a folder made before."""

from pathlib import Path

import click

from texturedmnist.common.cli import FOLDER
from texturedmnist.common.console import say
from texturedmnist.generate import write_cards
from texturedmnist.manifest import read_manifest


@click.command()
@click.argument("folder", metavar="DIR", type=FOLDER)
def card(folder: Path) -> None:
    """Write README.md and croissant.json again, from the manifest."""
    for path in write_cards(folder, read_manifest(folder)):
        say(f"wrote {path}")
