"""`texturedmnist verify`: a dataset against its manifest, and its repair."""

from pathlib import Path

import click

from texturedmnist.cli.options import jobs_option
from texturedmnist.common.cli import FOLDER, cache_dir_option, data_root_option
from texturedmnist.common.console import say
from texturedmnist.generate import describe_check, repair, verify
from texturedmnist.manifest import read_manifest


@click.command(name="verify")
@click.argument("folder", metavar="DIR", type=FOLDER)
@click.option("--quick", is_flag=True, help="Sizes, headers and layout of shards only.")
@click.option("--deep", is_flag=True, help="Deprecated: it is so without it.")
@click.option("--repair", "repairs", is_flag=True, help="Make the broken shards again.")
@click.option(
    "--textures",
    metavar="DIR",
    help="For --repair: the folder of textures that the dataset was made from.",
)
@data_root_option
@cache_dir_option
@jobs_option
def verify_folder(
    folder: Path,
    quick: bool,
    deep: bool,
    repairs: bool,
    textures: str | None,
    data_root: Path | None,
    cache_dir: Path | None,
    jobs: int,
) -> None:
    """Compare every byte of a dataset with its manifest; exit code 1 if one is wrong.

    --repair makes exactly the broken and missing shards again, if the sources that the
    dataset was made from are there, and then compares.
    """
    if quick and (deep or repairs):
        raise click.UsageError("--quick goes with neither --deep nor --repair")
    if deep:
        text = "warning: --deep is deprecated: verify reads every byte without it"
        say(f"{text} (--quick reads less)", err=True)
    if repairs:
        made = repair(
            folder,
            textures=textures,
            data_root=data_root,
            cache_dir=cache_dir,
            jobs=jobs,
            show=True,
        )
        say(
            "\n".join(f"made {folder / name} again" for name in made)
            or "no shard is broken"
        )
    problems = verify(folder, quick=quick, jobs=jobs, show=True)
    for problem in problems:
        say(str(problem), err=True)
    if problems:
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise click.ClickException(f"{count} in {folder}")
    for line in describe_check(read_manifest(folder), quick=quick):
        say(f"checked {line}")
    what = "files and headers fit" if quick else "every byte is as it was written"
    say(f"{folder}: {what}")
