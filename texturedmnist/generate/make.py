"""From a build to a finished dataset folder, in parallel, resumably."""

import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

from texturedmnist import __version__
from texturedmnist.common.executors import (
    Executor,
    Part,
    ThisProcess,
    run_tasks,
    sole_writer,
)
from texturedmnist.common.files import TEMPORARY
from texturedmnist.common.progress import Progress
from texturedmnist.generate.build import Build
from texturedmnist.generate.cards import finish_folder
from texturedmnist.generate.folder import check_folder, check_space
from texturedmnist.generate.shard import ShardMaker
from texturedmnist.generate.table import plan_groups, write_table
from texturedmnist.manifest import (
    FORMAT_VERSION,
    TABLE_NAME,
    DatasetError,
    Manifest,
    SplitEntry,
    UnreadableError,
    read_manifest,
)
from texturedmnist.recipe import RECIPE_VERSION
from texturedmnist.shards import ShardPlace, ShardRecord, combine_digests


def run_build(
    build: Build, *, executor: Executor | None = None, show: bool = False
) -> Manifest:
    """Make what is missing, here by default; keep the shards that are there and whole.

    Returns:
        The manifest, which has been written last.

    Raises:
        DatasetError: the disk is too small.
        FolderError: the folder can't be written, or is in use.
        WorkerError: a worker process died.
    """
    out, recipe, places = build.out, build.recipe, build.places
    check_space(out, places, recipe.image_size)
    with sole_writer(out, leftovers=[TEMPORARY]):
        records = _make_missing(build, places, executor, show=show)
        table = write_table(out / TABLE_NAME, recipe, build.sources, places)
        manifest = _manifest(build, records, {TABLE_NAME: table})
        return finish_folder(out, manifest)


def run_part(
    build: Build, part: Part, *, executor: Executor | None = None, show: bool = False
) -> int:
    """Make one part of the shards, beside others who make the rest of the same build.

    The folder isn't finished by it: `run_build` does that, once all parts are there.

    Returns:
        The number of shards.

    Raises:
        DatasetError: the disk is too small.
        FolderError: the folder can't be written, or somebody makes the same part or
            the whole.
        WorkerError: a worker died.
    """
    places = part.take(build.places)
    check_space(build.out, places, build.recipe.image_size)
    leftovers = [f".{place.file}.*.tmp" for place in places]
    with sole_writer(build.out, part, leftovers):
        return len(_make_missing(build, places, executor, show=show))


def _known_digests(out: Path) -> dict[str, str]:
    """Return the sha256 (hex) of the shards that a manifest in the folder lists."""
    try:
        return {entry.file: entry.sha256 for entry in read_manifest(out).shards}
    except UnreadableError:
        raise
    except DatasetError:
        return {}


def make_shards(
    build: Build,
    places: Sequence[ShardPlace],
    executor: Executor,
    *,
    known: Mapping[str, str],
    package_version: str = __version__,
    title: str = "generate",
    show: bool,
) -> list[ShardRecord]:
    """Make shards; return their records in the order of the places.

    `known` are the digests of shards that were finished before, sha256 (hex) by file.
    """
    maker = ShardMaker(build, build.header(package_version), known)
    total = sum(place.count for place in places)
    with Progress(total, title, "samples", show=show) as progress:
        done = run_tasks(executor, maker, places, report=progress)
        records = {record.entry.file: record for record in done}
    return [records[place.file] for place in places]


def _make_missing(
    build: Build, places: Sequence[ShardPlace], executor: Executor | None, *, show: bool
) -> list[ShardRecord]:
    # Again: another process may have written since the build was planned.
    check_folder(build.out, build.identity, build.places, build.compression)
    known = _known_digests(build.out)
    return make_shards(build, places, executor or ThisProcess(), known=known, show=show)


def _manifest(
    build: Build, records: Sequence[ShardRecord], files: dict[str, str]
) -> Manifest:
    ties = build.sources.index.ties
    splits = {}
    for split, count in build.recipe.counts().items():
        digests = [r.digests for r in records if r.entry.split == split]
        splits[split] = SplitEntry(
            count=count,
            digest=combine_digests(digests),
            groups=plan_groups(build.recipe, build.sources.index, split),
        )
    return Manifest(
        format_version=FORMAT_VERSION,
        package_version=__version__,
        recipe_version=RECIPE_VERSION,
        identity=build.identity,
        recipe=build.recipe.canonical(ties),
        sources=build.sources.digests,
        environment=_environment(),
        digit_texture_classes=ties.digit_classes,
        background_texture_classes=ties.background_classes,
        splits=splits,
        shards=tuple(record.entry for record in records),
        files=files,
        repeats=build.repeats,
    )


def _environment() -> dict[str, str]:
    versions = {name: version(name) for name in ("numpy", "pillow", "h5py")}
    return {"python": platform.python_version(), **versions}
