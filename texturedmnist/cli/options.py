"""The options that say what to make, and those that several commands share."""

import os

import click

from texturedmnist.common.cli import (
    FOLDER,
    address_option,
    executor_option,
    join_options,
)
from texturedmnist.recipe import PRESETS

MOST_JOBS = 8  # more outrun any one disk, and each holds the digits in memory


def _usable_cores() -> int:
    """Count the cores that this process may use, not all that the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


jobs_option = click.option(
    "--jobs",
    type=click.IntRange(1),
    default=min(_usable_cores(), MOST_JOBS),
    show_default=f"all cores, at most {MOST_JOBS}",
    help="Number of processes.",
)

executor_options = (
    executor_option,
    address_option,
    click.option(
        "--part",
        metavar="I/N",
        help="Make only the I-th of N equal parts; in the end run the command without "
        "it, which finishes the folder.",
    ),
)


recipe_options = join_options(
    click.option(
        "--preset",
        type=click.Choice([*PRESETS]),
        help="A frozen recipe that can be cited by name (docs/presets.md); other flags "
        "and --recipe beat it.",
    ),
    click.option("--bg", type=float, help="Background randomness, 0 to 1."),
    click.option("--tex", type=float, help="Digit-texture randomness, 0 to 1."),
    click.option("--test-bg", type=float, help="--bg of the test split.  [default: 1]"),
    click.option(
        "--test-tex", type=float, help="--tex of the test split.  [default: --tex]"
    ),
    click.option("--seed", type=int, help="Seed of every draw.  [default: 0]"),
    click.option("--train", type=int, help="Training samples.  [default: 54000]"),
    click.option("--val", type=int, help="Validation samples.  [default: 6000]"),
    click.option("--test", type=int, help="Test samples.  [default: 10000]"),
    click.option(
        "--val-shifted",
        is_flag=True,
        default=None,
        help="Store val under the test randomness too.",
    ),
    click.option(
        "--image-size", type=int, help="Height and width in px.  [default: 224]"
    ),
    click.option(
        "--digit-size",
        type=int,
        help="The digit's square in px; a smaller one is placed at random.  "
        "[default: --image-size]",
    ),
    click.option(
        "--embedded",
        is_flag=True,
        help="Digits and textures that come with this package: no files needed.",
    ),
    click.option(
        "--digits",
        type=click.Choice(["mnist", "embedded"]),
        help="Source of the digits.  [default: mnist]",
    ),
    click.option(
        "--textures",
        metavar="dtd|embedded|DIR",
        help="Source of both textures; DIR has one sub-folder per class.  "
        "[default: dtd]",
    ),
    click.option(
        "--digit-textures", metavar="dtd|embedded|DIR", help="Of the digits alone."
    ),
    click.option(
        "--background-textures",
        metavar="dtd|embedded|DIR",
        help="Of the backgrounds alone.",
    ),
    click.option(
        "--embedded-instances",
        type=int,
        help="Images per class of the embedded textures.  [default: 24]",
    ),
    click.option(
        "--dtd-partition",
        type=int,
        help="Which of DTD's partitions splits its files, 1 to 10.  [default: 1]",
    ),
    click.option(
        "--recipe",
        "recipe_file",
        type=FOLDER,
        help="YAML file of recipe fields, `ties` among them; flags beat it.",
    ),
)
