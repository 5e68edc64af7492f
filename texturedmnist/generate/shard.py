"""Making one shard, or keeping the one that is there."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from texturedmnist.common.executors import Report
from texturedmnist.compose import compose, empty_samples
from texturedmnist.generate.build import Build
from texturedmnist.manifest import DatasetError, UnreadableError
from texturedmnist.plan import SamplePlan, plan_samples
from texturedmnist.shards import (
    ShardHeader,
    ShardPlace,
    ShardRecord,
    read_header,
    recheck_shard,
    write_shard,
)

BATCH_BYTES = 4 << 20  # small enough to stay in the cache from compose to digest


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

    def __call__(self, place: ShardPlace, report: Report) -> ShardRecord:
        """Return the record of a finished shard; `report` counts its samples."""
        kept = self._keep(place, report)
        if kept is not None:
            return kept
        recipe, sources = self.build.recipe, self.build.sources
        for bank in (sources.digit_textures, sources.background_textures):
            bank.find_pixels(report.fetch)
        indices = np.arange(place.start, place.start + place.count)
        plan = plan_samples(recipe, sources.index, place.split, indices)
        return write_shard(
            self.build.out,
            place,
            self.header,
            plan.columns(),
            self._render(plan, report),
            image_size=recipe.image_size,
            compression=self.build.compression,
        )

    def _keep(self, place: ShardPlace, report: Report) -> ShardRecord | None:
        path, counted = self.build.out / place.file, 0

        def count(amount: int) -> None:
            nonlocal counted
            counted += amount
            report(amount)

        try:
            if path.exists():
                record = recheck_shard(path, place, self.header.identity, count)
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
