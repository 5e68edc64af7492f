"""The options that several commands share."""

import click

from reff_bench.grid.config import GridError
from texturedmnist.common.cli import (
    address_option,
    cache_dir_option,
    data_root_option,
    executor_option,
)

data_options = (
    data_root_option,
    cache_dir_option,
    click.option(
        "--device",
        default="auto",
        show_default=True,
        metavar="auto|cpu|cuda|cuda:N",
        help="auto: every GPU if there is one, else the CPU.",
    ),
)
place_options = (
    click.option(
        "--jobs",
        type=click.IntRange(1),
        help="Runs at once.  [default: as GPUs, or cores, have room for; on Ray, as "
        "the cluster has]",
    ),
    executor_option,
    address_option,
    click.option(
        "--gpu-share",
        type=click.FloatRange(0, 1, min_open=True),
        help="Of a GPU for each run, so that several share one.  [default: 1; 0.25 "
        "for resnet_small up to 64 px]",
    ),
    click.option(
        "--timeout",
        type=click.FloatRange(0, min_open=True),
        metavar="MINUTES",
        help="Give up a run that isn't done by then (it hangs, say); retry goes on "
        "from its last checkpoint.",
    ),
    click.option(
        "--part",
        metavar="I/N",
        help="Run only the I-th of N equal parts of the runs; in the end run the "
        "command without it, for the tables.",
    ),
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
        help="Go on with runs that were started on another kind of device.",
    ),
)


def check_device(device: str) -> None:
    """Refuse a device that torch has no name for."""
    name, colon, number = device.partition(":")
    if device not in ("auto", "cpu", "cuda") and not (
        name == "cuda" and colon and number.isdigit()
    ):
        raise GridError(f"--device {device}: allowed are auto, cpu, cuda and cuda:N")
