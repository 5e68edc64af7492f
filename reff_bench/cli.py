"""The `reff-bench` command."""

import click

from reff_bench import __version__


@click.group()
@click.version_option(__version__, prog_name="reff-bench")
def main() -> None:
    """Train a grid of methods on Textured MNIST, then write tables and figures.

    This version holds the frame only: the benchmark's commands are not part of it
    yet. The dataset's command, texturedmnist, is complete.
    """
