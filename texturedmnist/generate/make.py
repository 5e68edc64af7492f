"""From a recipe to a finished dataset folder, in parallel, resumably."""

import json
import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np

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
from texturedmnist.compose import compose
from texturedmnist.generate.cards import finish_folder
from texturedmnist.generate.folder import (
    check_folder,
    check_space,
    free_bytes,
    missing_bytes,
)
from texturedmnist.generate.repeats import find_repeats
from texturedmnist.generate.shard import ShardMaker
from texturedmnist.generate.table import count_groups, write_table
from texturedmnist.manifest import (
    FORMAT_VERSION,
    TABLE_NAME,
    DatasetError,
    Manifest,
    Repeats,
    SplitEntry,
    UnreadableError,
    read_manifest,
)
from texturedmnist.plan import plan_samples
from texturedmnist.recipe import RECIPE_VERSION, Recipe
from texturedmnist.shards import (
    ShardHeader,
    ShardPlace,
    ShardRecord,
    combine_digests,
    cut_splits,
)
from texturedmnist.sources import Sources, open_sources

SHARD_SIZE = 2_000


@dataclass(frozen=True, slots=True)
class Build:
    """A dataset to be made.

    Attributes:
        out: the folder.
        recipe: what to make.
        sources: of what, opened.
        places: its shards.
        compression: `none` or `gzip`.
        repeats: pictures of the sources that stand in more than one of train, val and
            test, under several names.
    """

    out: Path
    recipe: Recipe
    sources: Sources
    places: tuple[ShardPlace, ...]
    compression: str
    repeats: Repeats

    @property
    def identity(self) -> str:
        """Sha256 (hex) of the recipe without paths and the sources' pixels."""
        return self.sources.identity(self.recipe)


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a build would take.

    Attributes:
        total_bytes: of all shards.
        missing_bytes: of those that aren't there yet.
        free_bytes: on the disk.
        seconds: to render what is missing with one core, without the disk.
    """

    total_bytes: int
    missing_bytes: int
    free_bytes: int
    seconds: float


def plan_build(
    recipe: Recipe,
    out: Path,
    *,
    data_root: Path | None = None,
    cache_dir: Path | None = None,
    download: bool = False,
    jobs: int = 1,
    shard_size: int = SHARD_SIZE,
    compression: str = "none",
    show: bool = False,
) -> Build:
    """Open the sources and check the folder; nothing is written to it.

    Args:
        recipe: what to make.
        out: the folder, new or a part of the same dataset.
        data_root: where the sources are; see `open_sources`.
        cache_dir: where decoded textures are kept; see `open_sources`.
        download: fetch absent sources.
        jobs: number of processes that decode.
        shard_size: samples per shard.
        compression: `none` or `gzip`.
        show: show progress.

    Raises:
        RecipeError: the ties don't fit the sources.
        SourceError: a source is absent or damaged.
        DatasetError: the folder holds something else.
    """
    sources = open_sources(
        recipe,
        data_root=data_root,
        cache_dir=cache_dir,
        download=download,
        check=True,
        progress=show,
        jobs=jobs,
    )
    places = tuple(cut_splits(recipe.counts(), shard_size))
    repeats = find_repeats(recipe, sources)
    build = Build(out, recipe, sources, places, compression, repeats)
    check_folder(out, build.identity, places, compression)
    return build


def estimate(build: Build) -> Estimate:
    """Measure on a few samples what the build would take."""
    size = build.recipe.image_size
    total, missing = missing_bytes(build.out, build.places, size)
    split = build.places[0].split
    plan = plan_samples(build.recipe, build.sources.index, split, np.arange(32))
    compose(plan, build.sources)  # the first touch of mapped textures reads the disk
    started = time.perf_counter()
    compose(plan, build.sources)
    seconds = (time.perf_counter() - started) / len(plan)
    count = sum(place.count for place in build.places)
    return Estimate(
        total_bytes=total,
        missing_bytes=missing,
        free_bytes=free_bytes(build.out),
        seconds=seconds * count * missing / total,
    )


def run_build(
    build: Build, *, executor: Executor | None = None, show: bool = False
) -> Manifest:
    """Make what is missing; keep the shards that are there and whole.

    Args:
        build: what to make.
        executor: where; this process by default.
        show: show progress on stderr.

    Returns:
        The manifest, which has been written last.

    Raises:
        DatasetError: the disk is too small.
        FolderError: the folder can't be written, or is in use.
        WorkerError: a worker process died.
    """
    out, recipe, places = build.out, build.recipe, build.places
    check_space(out, missing_bytes(out, places, recipe.image_size)[1])
    with sole_writer(out, leftovers=[TEMPORARY]):
        records = _make_shards(build, places, executor or ThisProcess(), show=show)
        table = write_table(out / TABLE_NAME, recipe, build.sources, places)
        manifest = _manifest(build, records, {TABLE_NAME: table})
        return finish_folder(out, manifest)


def run_part(
    build: Build, part: Part, *, executor: Executor | None = None, show: bool = False
) -> int:
    """Make one part of the shards, beside others who make the rest.

    The folder isn't finished by it: `run_build` does that, once all parts are there.

    Args:
        build: what to make, the same for all parts.
        part: which of its shards.
        executor: where; this process by default.
        show: show progress on stderr.

    Returns:
        The number of shards.

    Raises:
        DatasetError: the disk is too small.
        FolderError: the folder can't be written, or somebody makes the same part or
            the whole.
        WorkerError: a worker died.
    """
    places = part.take(build.places)
    check_space(build.out, missing_bytes(build.out, places, build.recipe.image_size)[1])
    leftovers = [f".{place.file}.*.tmp" for place in places]
    with sole_writer(build.out, part, leftovers):
        return len(_make_shards(build, places, executor or ThisProcess(), show=show))


def _known_digests(out: Path) -> dict[str, str]:
    """Return the sha256 (hex) of the shards that a manifest in the folder lists."""
    try:
        return {entry.file: entry.sha256 for entry in read_manifest(out).shards}
    except UnreadableError:
        raise
    except DatasetError:
        return {}


def make_header(build: Build) -> ShardHeader:
    """Return what all shards of a build repeat."""
    sources, ties = build.sources, build.sources.index.ties
    return ShardHeader(
        identity=build.identity,
        package_version=__version__,
        recipe=json.dumps(build.recipe.canonical(ties), sort_keys=True),
        names={
            "digit_texture_classes": ties.digit_classes,
            "background_texture_classes": ties.background_classes,
            "digit_texture_files": sources.digit_textures.names,
            "background_texture_files": sources.background_textures.names,
        },
    )


def _make_shards(
    build: Build, places: Sequence[ShardPlace], executor: Executor, *, show: bool
) -> list[ShardRecord]:
    """Make shards; return their records in the order of the places."""
    # Again: another process may have written since the build was planned.
    check_folder(build.out, build.identity, build.places, build.compression)
    maker = ShardMaker(
        folder=build.out,
        recipe=build.recipe,
        sources=build.sources,
        header=make_header(build),
        compression=build.compression,
        known=_known_digests(build.out),
    )
    total = sum(place.count for place in places)
    with Progress(total, "generate", "samples", show=show) as progress:
        done = run_tasks(executor, maker, places, report=progress)
        records = {record.entry.file: record for record in done}
    return [records[place.file] for place in places]


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
            groups=count_groups(build.recipe, build.sources.index, split),
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
