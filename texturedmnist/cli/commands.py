"""The commands of `texturedmnist`: parse, call one function, print."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from texturedmnist.cli import main
from texturedmnist.cli.export import export
from texturedmnist.cli.options import executor_options, jobs_option, recipe_options
from texturedmnist.cli.verify import verify_folder
from texturedmnist.common.cli import (
    FOLDER,
    cache_dir_option,
    data_root_option,
    join_options,
)
from texturedmnist.common.console import say
from texturedmnist.common.executors import (
    Executor,
    Part,
    check_executor,
    local,
    open_ray,
)
from texturedmnist.describe import (
    describe_assignment,
    describe_dataset,
    describe_plan,
    describe_repeats,
    latex_assignment,
)
from texturedmnist.generate import (
    SHARD_SIZE,
    Build,
    estimate,
    plan_build,
    refresh_preview,
    run_build,
    run_part,
    write_cards,
)
from texturedmnist.manifest import read_manifest
from texturedmnist.preview import write_preview
from texturedmnist.recipe import load_recipe
from texturedmnist.shards import COMPRESSIONS
from texturedmnist.sources import (
    DOWNLOADS,
    default_data_root,
    describe_sources,
    download,
)

main.add_command(export)
main.add_command(verify_folder)


@main.command()
@recipe_options
@click.option(
    "--out",
    type=FOLDER,
    help="[default: textured_mnist_bg<bg>_tex<tex> or textured_mnist_<preset>]",
)
@data_root_option
@cache_dir_option
@click.option("--download", is_flag=True, help="Fetch MNIST and DTD if absent.")
@jobs_option
@join_options(*executor_options)
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
        say(f"warning: {describe_repeats(build.repeats)}", err=True)
    if dry_run:
        say(describe_plan(build, estimate(build), jobs))
        return
    with _open_executor(executor, address, jobs) as where:
        _make(build, where, share)
    say(f"made in {time.monotonic() - started:.0f} s")


@contextmanager
def _open_executor(executor: str, address: str | None, jobs: int) -> Iterator[Executor]:
    if executor == "local":
        yield local(jobs)
        return
    source = click.get_current_context().get_parameter_source("jobs")
    most = None if source is ParameterSource.DEFAULT else jobs
    with open_ray(address, jobs=most) as cluster:
        say(f"on {cluster.describe()}", err=True)
        yield cluster


def _make(build: Build, executor: Executor, part: Part | None) -> None:
    if part is None:
        manifest = run_build(build, executor=executor, show=True)
        say(describe_dataset(build.out, manifest))
        say(f"look at {build.out}/preview.png")
        return
    count = run_part(build, part, executor=executor, show=True)
    say(
        f"part {part} of {build.out}: {count} of {len(build.places)} files are there; "
        "when all parts are, the same command without --part finishes the folder"
    )


_BUILDING = ("data_root", "cache_dir", "download", "shard_size", "compression")


@main.command(name="download")
@click.argument("names", nargs=-1, type=click.Choice(DOWNLOADS))
@data_root_option
def download_sources(names: tuple[str, ...], data_root: Path | None) -> None:
    """Fetch MNIST and DTD (both by default) into the data root."""
    root = data_root or default_data_root()
    for name in names or DOWNLOADS:
        download(name, root)
        say(f"{name} is in {root}")


@main.command()
@click.argument("folder", metavar="DIR", type=FOLDER)
@click.option("--assignment", is_flag=True, help="Which textures say which digit.")
@click.option("--ties", is_flag=True, hidden=True)
@click.option("--latex", is_flag=True, help="The assignment as a LaTeX table.")
def info(folder: Path, assignment: bool, ties: bool, latex: bool) -> None:
    """Say what a dataset is."""
    if ties:
        say("warning: --ties is now called --assignment", err=True)
    manifest = read_manifest(folder)
    if not (assignment or ties or latex):
        say(describe_dataset(folder, manifest))
        return
    say(latex_assignment(manifest) if latex else describe_assignment(manifest))


@main.command()
@click.argument("folder", metavar="DIR", type=FOLDER)
@click.option("--out", type=FOLDER, help="[default: DIR/preview.png]")
def preview(folder: Path, out: Path | None) -> None:
    """Draw a labeled contact sheet."""
    manifest = read_manifest(folder)
    if out is None:
        out = refresh_preview(folder, manifest)
    else:
        write_preview(folder, manifest, out)
    say(f"wrote {out}")


@main.command()
@click.argument("folder", metavar="DIR", type=FOLDER)
def card(folder: Path) -> None:
    """Write README.md and croissant.json again, from the manifest."""
    for path in write_cards(folder, read_manifest(folder)):
        say(f"wrote {path}")


@main.command(name="audit")
@click.argument("folder", metavar="DIR", type=FOLDER)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def audit_folder(folder: Path, as_json: bool) -> None:
    """Check leakage, realized randomness, groups; exit code 1 if a check fails."""
    # scipy takes long to import, and only this command needs it.
    from texturedmnist.audit import audit, format_report

    report = audit(folder)
    say(json.dumps(report.to_json()) if as_json else format_report(report))
    if not report.passed:
        raise click.ClickException(f"the audit of {folder} failed")


@main.command(name="sources")
@data_root_option
def show_sources(data_root: Path | None) -> None:
    """Say what is found where, what can be had, and under which license."""
    for row in describe_sources(data_root or default_data_root()):
        say(f"{row.name}: {row.contents}")
        say(f"  found:   {row.found}")
        say(f"  get it:  {row.obtain}")
        say(f"  license: {row.licence}")
