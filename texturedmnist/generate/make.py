"""From a build to a finished dataset folder, in parallel, resumably."""

import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from texturedmnist import __version__
from texturedmnist.common.executors import (
    Executor,
    Part,
    Report,
    ThisProcess,
    run_tasks,
    sole_writer,
)
from texturedmnist.common.files import TEMPORARY
from texturedmnist.common.progress import Progress
from texturedmnist.compose import compose, empty_samples
from texturedmnist.generate.build import Build
from texturedmnist.generate.cards import finish_folder, plan_groups, write_table
from texturedmnist.generate.folder import check_folder, check_space
from texturedmnist.manifest import (
    FORMAT_VERSION,
    TABLE_NAME,
    DatasetError,
    Manifest,
    SplitEntry,
    UnreadableError,
    read_manifest,
)
from texturedmnist.plan import SamplePlan, plan_samples
from texturedmnist.recipe import RECIPE_VERSION
from texturedmnist.shards import (
    ShardHeader,
    ShardRecord,
    ShardSpec,
    combine_digests,
    read_header,
    recheck_shard,
    write_shard,
)

BATCH_BYTES = 4 << 20  # small enough to stay in the cache from compose to digest


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
    out, recipe, specs = build.out, build.recipe, build.specs
    check_space(out, specs, recipe.image_size)
    with sole_writer(out, leftovers=[TEMPORARY]):
        records = _make_missing(build, specs, executor, show=show)
        table = write_table(out / TABLE_NAME, recipe, build.sources, specs)
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
    specs = part.take(build.specs)
    check_space(build.out, specs, build.recipe.image_size)
    leftovers = [f".{spec.file}.*.tmp" for spec in specs]
    with sole_writer(build.out, part, leftovers):
        return len(_make_missing(build, specs, executor, show=show))


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
    specs: Sequence[ShardSpec],
    executor: Executor,
    *,
    known: Mapping[str, str],
    package_version: str = __version__,
    title: str = "generate",
    show: bool,
) -> list[ShardRecord]:
    """Make shards; return their records in the order of `specs`.

    `known` are the digests of shards that were finished before, sha256 (hex) by file.
    """
    maker = ShardMaker(build, build.header(package_version), known)
    total = sum(spec.count for spec in specs)
    with Progress(total, title, "samples", show=show) as progress:
        done = run_tasks(executor, maker, specs, report=progress)
        records = {record.entry.file: record for record in done}
    return [records[spec.file] for spec in specs]


def _make_missing(
    build: Build, specs: Sequence[ShardSpec], executor: Executor | None, *, show: bool
) -> list[ShardRecord]:
    # Again: another process may have written since the build was planned.
    check_folder(build.out, build.identity, build.specs, build.compression)
    known = _known_digests(build.out)
    return make_shards(build, specs, executor or ThisProcess(), known=known, show=show)


def _manifest(
    build: Build, records: Sequence[ShardRecord], files: dict[str, str]
) -> Manifest:
    assignment = build.sources.index.assignment
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
        recipe=build.recipe.canonical(assignment),
        sources=build.sources.digests,
        environment=_environment(),
        digit_texture_classes=assignment.digit_classes,
        background_texture_classes=assignment.background_classes,
        splits=splits,
        shards=tuple(record.entry for record in records),
        files=files,
        repeats=build.repeats,
    )


def _environment() -> dict[str, str]:
    versions = {name: version(name) for name in ("numpy", "pillow", "h5py")}
    return {"python": platform.python_version(), **versions}


@dataclass(frozen=True, slots=True)
class ShardMaker:
    """Makes one shard, or keeps the one that is there if it is whole.

    Attributes:
        build: whose shards.
        header: what they share.
        known: sha256 (hex) of shards that were finished before, by file.
    """

    build: Build
    header: ShardHeader
    known: Mapping[str, str]

    def __call__(self, spec: ShardSpec, report: Report) -> ShardRecord:
        """Return the record of a finished shard; `report` counts its samples."""
        kept = self._keep(spec, report)
        if kept is not None:
            return kept
        recipe, sources = self.build.recipe, self.build.sources
        for bank in (sources.digit_textures, sources.background_textures):
            bank.find_pixels(report.fetch)
        indices = np.arange(spec.start, spec.start + spec.count)
        plan = plan_samples(recipe, sources.index, spec.split, indices)
        return write_shard(
            self.build.out,
            spec,
            self.header,
            plan.columns(),
            self._render(plan, report),
            image_size=recipe.image_size,
            compression=self.build.compression,
        )

    def _keep(self, spec: ShardSpec, report: Report) -> ShardRecord | None:
        path, counted = self.build.out / spec.file, 0

        def count(amount: int) -> None:
            nonlocal counted
            counted += amount
            report(amount)

        try:
            if path.exists():
                record = recheck_shard(path, spec, self.header.identity, count)
                if self._is_ours(path, record):
                    return record
        except UnreadableError:
            raise  # it may be whole: what can't be read now isn't made again
        except DatasetError:
            pass
        report(-counted)
        return None

    def _is_ours(self, path: Path, record: ShardRecord) -> bool:
        """Say whether what the samples' digests don't cover is as it was written."""
        sha256 = record.entry.sha256
        if self.known.get(path.name, sha256) != sha256:
            return False
        version = self.header.package_version
        return replace(read_header(path), package_version=version) == self.header

    def _render(
        self, plan: SamplePlan, report: Report
    ) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
        size = self.build.recipe.image_size
        batch = max(1, min(1024, BATCH_BYTES // (4 * size**2)))
        images, masks = empty_samples(batch, size)
        for start in range(0, len(plan), batch):
            part = plan.take(slice(start, start + batch))
            out = images[: len(part)], masks[: len(part)]
            yield compose(part, self.build.sources, out)
            report(len(part))
