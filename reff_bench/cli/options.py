"""The options that several commands share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from reff_bench.grid import GridError

FOLDER = click.Path(path_type=Path)

data_options = (
    click.option(
        "--data-root",
        type=FOLDER,
        help="Where the data is.  [default: $TEXTUREDMNIST_DATA, else 'data']",
    ),
    click.option("--cache-dir", type=FOLDER, help="Where decoded textures are kept."),
    click.option(
        "--device",
        default="auto",
        show_default=True,
        metavar="auto|cpu|cuda|cuda:N",
        help="auto: every GPU if there is one, else the CPU.",
    ),
)
jobs_option = click.option(
    "--jobs",
    type=click.IntRange(1),
    help="Cells at once.  [default: one per GPU; on a CPU cores / threads per cell]",
)

train_options = (
    click.option(
        "--tensorboard",
        is_flag=True,
        help="Write event files beside each run; needs the package tensorboard.",
    ),
    click.option(
        "--other-device",
        is_flag=True,
        help="Go on with runs that were begun on another kind of device.",
    ),
)


def join_options(*options: Callable[..., Any]) -> Callable[..., Any]:
    """Join options into one decorator, in the order in which help shows them."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def check_device(device: str) -> None:
    """Refuse a device that torch has no name for."""
    name, colon, number = device.partition(":")
    if device not in ("auto", "cpu", "cuda") and not (
        name == "cuda" and colon and number.isdigit()
    ):
        raise GridError(f"--device {device}: allowed are auto, cpu, cuda and cuda:N")
