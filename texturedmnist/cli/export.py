"""`texturedmnist export`: a dataset in formats that others read."""

import time
from pathlib import Path

import click

from texturedmnist.card.statements import missing_groups
from texturedmnist.cli.options import jobs_option
from texturedmnist.common.cli import FOLDER
from texturedmnist.common.console import say
from texturedmnist.common.progress import show_bytes

LAYOUTS = ("folder", "parquet")


@click.command()
@click.argument("folder", metavar="DIR", type=FOLDER)
@click.option(
    "--layout",
    type=click.Choice(LAYOUTS),
    required=True,
    help="folder: PNG files and metadata.csv; parquet: for Hugging Face datasets.",
)
@click.option("--out", type=FOLDER, help="[default: DIR_folder or DIR_parquet]")
@jobs_option
@click.option("--dry-run", is_flag=True, help="Say what would be made; write nothing.")
def export(
    folder: Path, layout: str, out: Path | None, jobs: int, dry_run: bool
) -> None:
    """Write a dataset in a format that others read, or finish what was started.

    A second run keeps every file that holds the dataset's very pixels and writes the
    rest. export.json is written last.
    """
    # The room's other adapters load torch, which this command doesn't need.
    from texturedmnist.interop.errors import MissingPackageError
    from texturedmnist.interop.export import (
        describe_export,
        estimate_export,
        plan_export,
        run_export,
    )

    started = time.monotonic()
    try:
        plan = plan_export(folder, layout, out)
    except MissingPackageError as error:
        raise click.UsageError(str(error)) from None
    if dry_run:
        say(describe_export(plan, estimate_export(plan), jobs))
        return
    for note in missing_groups(plan.manifest):
        say(f"note: {note}", err=True)
    record = run_export(plan, jobs=jobs, show=True)
    say(
        f"{plan.samples} samples, {show_bytes(record.bytes)} in {plan.out}, made in "
        f"{time.monotonic() - started:.0f} s"
    )
