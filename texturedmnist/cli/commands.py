"""All commands of `texturedmnist`: parse, call one function, print."""

import json
import time
from pathlib import Path

import click

from texturedmnist.card.statements import missing_groups
from texturedmnist.cli import main
from texturedmnist.cli.generate import jobs_option
from texturedmnist.common.cli import FOLDER, cache_dir_option, data_root_option, echo
from texturedmnist.common.progress import show_bytes
from texturedmnist.describe import (
    describe_assignment,
    describe_dataset,
    latex_assignment,
)
from texturedmnist.generate import (
    describe_check,
    refresh_preview,
    repair,
    verify,
    write_cards,
)
from texturedmnist.manifest import read_manifest
from texturedmnist.preview import write_preview
from texturedmnist.sources import (
    DOWNLOADS,
    default_data_root,
    describe_sources,
    download,
)

LAYOUTS = ("folder", "parquet")
folder_argument = click.argument("folder", metavar="DIR", type=FOLDER)


@main.command(name="download")
@click.argument("names", nargs=-1, type=click.Choice(DOWNLOADS))
@data_root_option
def download_sources(names: tuple[str, ...], data_root: Path | None) -> None:
    """Fetch MNIST and DTD (both by default) into the data root."""
    root = data_root or default_data_root()
    for name in names or DOWNLOADS:
        download(name, root)
        echo(f"{name} is in {root}")


@main.command()
@folder_argument
@click.option(
    "--assignment", is_flag=True, help="Which textures are assigned to which digit."
)
@click.option("--ties", is_flag=True, hidden=True)
@click.option("--latex", is_flag=True, help="The assignment as a LaTeX table.")
def info(folder: Path, assignment: bool, ties: bool, latex: bool) -> None:
    """Say what a dataset is."""
    if ties:
        echo("warning: --ties is now called --assignment", err=True)
    manifest = read_manifest(folder)
    if not (assignment or ties or latex):
        echo(describe_dataset(folder, manifest))
        return
    echo(latex_assignment(manifest) if latex else describe_assignment(manifest))


@main.command()
@folder_argument
@click.option("--out", type=FOLDER, help="[default: DIR/preview.png]")
def preview(folder: Path, out: Path | None) -> None:
    """Draw a labeled contact sheet."""
    manifest = read_manifest(folder)
    if out is None:
        out = refresh_preview(folder, manifest)
    else:
        write_preview(folder, manifest, out)
    echo(f"wrote {out}")


@main.command()
@folder_argument
def card(folder: Path) -> None:
    """Write README.md and croissant.json again, from the manifest."""
    for path in write_cards(folder, read_manifest(folder)):
        echo(f"wrote {path}")


@main.command(name="audit")
@folder_argument
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def audit_folder(folder: Path, as_json: bool) -> None:
    """Check leakage, realized randomness, groups; exit code 1 if a check fails."""
    # scipy takes long to import, and only this command needs it.
    from texturedmnist.audit import audit, format_report

    report = audit(folder)
    echo(json.dumps(report.to_json()) if as_json else format_report(report))
    if not report.passed:
        raise click.ClickException(f"the audit of {folder} failed")


@main.command(name="sources")
@data_root_option
def show_sources(data_root: Path | None) -> None:
    """Say what is found where, what can be had, and under which license."""
    for row in describe_sources(data_root or default_data_root()):
        echo(f"{row.name}: {row.contents}")
        echo(f"  found:   {row.found}")
        echo(f"  get it:  {row.obtain}")
        echo(f"  license: {row.license}")


@main.command(name="verify")
@folder_argument
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
        echo(f"{text} (--quick reads less)", err=True)
    if repairs:
        made = repair(
            folder,
            textures=textures,
            data_root=data_root,
            cache_dir=cache_dir,
            jobs=jobs,
            show=True,
        )
        echo(
            "\n".join(f"made {folder / name} again" for name in made)
            or "no shard is broken"
        )
    problems = verify(folder, quick=quick, jobs=jobs, show=True)
    for problem in problems:
        echo(str(problem), err=True)
    if problems:
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise click.ClickException(f"{count} in {folder}")
    for line in describe_check(read_manifest(folder), quick=quick):
        echo(f"checked {line}")
    what = "files and headers fit" if quick else "every byte is as it was written"
    echo(f"{folder}: {what}")


@main.command()
@folder_argument
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
        echo(describe_export(plan, estimate_export(plan), jobs))
        return
    for note in missing_groups(plan.manifest):
        echo(f"note: {note}", err=True)
    record = run_export(plan, jobs=jobs, show=True)
    echo(
        f"{plan.samples} samples, {show_bytes(record.bytes)} in {plan.out}, made in "
        f"{time.monotonic() - started:.0f} s"
    )
