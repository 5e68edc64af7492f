"""`texturedmnist generate`: what to make, and where."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from texturedmnist.cli import main
from texturedmnist.common.cli import (
    FOLDER,
    address_option,
    cache_dir_option,
    data_root_option,
    echo,
    executor_option,
)
from texturedmnist.common.executors import (
    Executor,
    Part,
    check_executor,
    local,
    open_ray,
)
from texturedmnist.describe import describe_dataset, describe_plan, describe_repeats
from texturedmnist.generate import (
    SHARD_SIZE,
    Build,
    estimate,
    plan_build,
    run_build,
    run_part,
)
from texturedmnist.recipe import PRESETS, load_recipe
from texturedmnist.shards import COMPRESSIONS

MOST_JOBS = 8  # more outrun any one disk, and each holds the digits in memory
_BUILDING = ("data_root", "cache_dir", "download", "shard_size", "compression")


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


@main.command()
@click.option(
    "--preset",
    type=click.Choice([*PRESETS]),
    help="A frozen recipe that can be cited by name (docs/presets.md); other flags "
    "and --recipe beat it.",
)
@click.option("--bg", type=float, help="Background randomness, 0 to 1.")
@click.option("--tex", type=float, help="Digit-texture randomness, 0 to 1.")
@click.option("--test-bg", type=float, help="--bg of the test split.  [default: 1]")
@click.option(
    "--test-tex", type=float, help="--tex of the test split.  [default: --tex]"
)
@click.option("--seed", type=int, help="Seed of every draw.  [default: 0]")
@click.option("--train", type=int, help="Training samples.  [default: 54000]")
@click.option("--val", type=int, help="Validation samples.  [default: 6000]")
@click.option("--test", type=int, help="Test samples.  [default: 10000]")
@click.option(
    "--val-shifted",
    is_flag=True,
    default=None,
    help="Store val under the test randomness too.",
)
@click.option("--image-size", type=int, help="Height and width in px.  [default: 224]")
@click.option(
    "--digit-size",
    type=int,
    help="The digit's square in px; a smaller one is placed at random.  "
    "[default: --image-size]",
)
@click.option(
    "--embedded",
    is_flag=True,
    help="Digits and textures that come with this package: no files needed.",
)
@click.option(
    "--digits",
    type=click.Choice(["mnist", "embedded"]),
    help="Source of the digits.  [default: mnist]",
)
@click.option(
    "--textures",
    metavar="dtd|embedded|DIR",
    help="Source of both textures; DIR has one sub-folder per class.  [default: dtd]",
)
@click.option(
    "--digit-textures", metavar="dtd|embedded|DIR", help="Of the digits alone."
)
@click.option(
    "--background-textures",
    metavar="dtd|embedded|DIR",
    help="Of the backgrounds alone.",
)
@click.option(
    "--embedded-instances",
    type=int,
    help="Images per class of the embedded textures.  [default: 24]",
)
@click.option(
    "--dtd-partition",
    type=int,
    help="Which of DTD's partitions splits its files, 1 to 10.  [default: 1]",
)
@click.option(
    "--recipe",
    "recipe_file",
    type=FOLDER,
    help="YAML file of recipe fields, `ties` among them; flags beat it.",
)
@click.option(
    "--out",
    type=FOLDER,
    help="[default: textured_mnist_bg<bg>_tex<tex> or textured_mnist_<preset>]",
)
@data_root_option
@cache_dir_option
@click.option("--download", is_flag=True, help="Fetch MNIST and DTD if absent.")
@jobs_option
@executor_option
@address_option
@click.option(
    "--part",
    metavar="I/N",
    help="Make only the I-th of N equal parts; in the end run the command without it, "
    "which finishes the folder.",
)
@click.option(
    "--shard-size",
    type=click.IntRange(1),
    default=SHARD_SIZE,
    show_default=True,
    help="Samples per file.",
)
@click.option(
    "--compression",
    type=click.Choice(COMPRESSIONS),
    default="none",
    show_default=True,
    help="none can be memory-mapped; gzip is smaller and slower.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be made; write nothing.")
def generate(
    recipe_file: Path | None,
    out: Path | None,
    jobs: int,
    executor: str,
    address: str | None,
    part: str | None,
    dry_run: bool,
    embedded: bool,
    textures: str | None,
    **options: Any,
) -> None:
    """Make a dataset, or finish one that was started.

    A second run keeps what is whole and makes the rest. Every sample is a function of
    recipe, sources, split and index alone.
    """
    started = time.monotonic()
    check_executor(executor, address)
    share = None if part is None else Part.parse(part)
    building = {name: options.pop(name) for name in _BUILDING}
    given = "embedded" if embedded else None
    for role in ("digit_textures", "background_textures"):
        chosen = (options[role], textures, given)
        options[role] = next((one for one in chosen if one is not None), None)
    options["digits"] = options["digits"] or given
    recipe = load_recipe(recipe_file, **options)
    if out is None:
        name = options["preset"] or f"bg{recipe.bg:g}_tex{recipe.tex:g}"
        out = Path(f"textured_mnist_{name}")
    build = plan_build(recipe, out, jobs=jobs, show=True, **building)
    if build.repeats:
        echo(f"warning: {describe_repeats(build.repeats)}", err=True)
    if dry_run:
        echo(describe_plan(build, estimate(build), jobs))
        return
    with _open_executor(executor, address, jobs) as where:
        _make(build, where, share)
    echo(f"made in {time.monotonic() - started:.0f} s")


@contextmanager
def _open_executor(executor: str, address: str | None, jobs: int) -> Iterator[Executor]:
    if executor == "local":
        yield local(jobs)
        return
    source = click.get_current_context().get_parameter_source("jobs")
    most = None if source is ParameterSource.DEFAULT else jobs
    with open_ray(address, jobs=most) as cluster:
        echo(f"on {cluster.describe()}", err=True)
        yield cluster


def _make(build: Build, executor: Executor, part: Part | None) -> None:
    if part is None:
        manifest = run_build(build, executor=executor, show=True)
        echo(describe_dataset(build.out, manifest))
        echo(f"look at {build.out}/preview.png")
        return
    count = run_part(build, part, executor=executor, show=True)
    echo(
        f"part {part} of {build.out}: {count} of {len(build.specs)} files are there; "
        "when all parts are, the same command without --part finishes the folder"
    )
