"""What to make, and what that takes: nothing is written here."""

import json
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np

from texturedmnist import __version__
from texturedmnist.compose import compose
from texturedmnist.generate.folder import check_folder, free_bytes, missing_bytes
from texturedmnist.manifest import Repeats
from texturedmnist.plan import digit_pool, plan_samples
from texturedmnist.recipe import Recipe
from texturedmnist.shards import ShardHeader, ShardSpec, cut_splits
from texturedmnist.sources import Sources, open_sources

SHARD_SIZE = 2_000
SPLITS = ("train", "val", "test")  # by the number of their partition
ROLES = ("digit_textures", "background_textures")

Picture = tuple[str, str, str]  # digest, split, name


@dataclass(frozen=True, slots=True)
class Build:
    """A dataset to be made.

    Attributes:
        out: the folder.
        recipe: what to make.
        sources: of what, opened.
        specs: its shards.
        compression: `none` or `gzip`.
        repeats: pictures of the sources that stand in more than one of train, val and
            test, under several names.
    """

    out: Path
    recipe: Recipe
    sources: Sources
    specs: tuple[ShardSpec, ...]
    compression: str
    repeats: Repeats

    @property
    def identity(self) -> str:
        """Sha256 (hex) of the recipe without paths and the sources' pixels."""
        return self.sources.identity(self.recipe)

    def header(self, package_version: str = __version__) -> ShardHeader:
        """Return what all shards repeat."""
        sources, assignment = self.sources, self.sources.index.assignment
        return ShardHeader(
            identity=self.identity,
            package_version=package_version,
            recipe=json.dumps(self.recipe.canonical(assignment), sort_keys=True),
            names={
                "digit_texture_classes": assignment.digit_classes,
                "background_texture_classes": assignment.background_classes,
                "digit_texture_files": sources.digit_textures.names,
                "background_texture_files": sources.background_textures.names,
            },
        )


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a build takes: bytes of its shards and of the disk, seconds of one core."""

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

    A part of the same dataset may be there. `compression` is `none` or `gzip`; all that
    isn't explained here is as for `open_sources`.

    Raises:
        RecipeError: the assignment doesn't fit the sources.
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
    specs = tuple(cut_splits(recipe.counts(), shard_size))
    repeats = find_repeats(recipe, sources)
    build = Build(out, recipe, sources, specs, compression, repeats)
    check_folder(out, build.identity, specs, compression)
    return build


def estimate(build: Build) -> Estimate:
    """Measure on a few samples what the build would take."""
    size = build.recipe.image_size
    total, missing = missing_bytes(build.out, build.specs, size)
    split = build.specs[0].split
    plan = plan_samples(build.recipe, build.sources.index, split, np.arange(32))
    compose(plan, build.sources)  # the first touch of mapped textures reads the disk
    started = time.perf_counter()
    compose(plan, build.sources)
    seconds = (time.perf_counter() - started) / len(plan)
    count = sum(spec.count for spec in build.specs)
    return Estimate(
        total_bytes=total,
        missing_bytes=missing,
        free_bytes=free_bytes(build.out),
        seconds=seconds * count * missing / total,
    )


def find_repeats(recipe: Recipe, sources: Sources) -> Repeats:
    """Find pictures of equal pixels whose names stand in different partitions.

    Textures are compared as they were decoded, over both roles.

    Returns:
        For each picture its names by partition, `digits/NUMBER` or `ROLE/FILE`.
    """
    found: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for digest, split, name in (*_digits(recipe, sources), *_textures(sources)):
        found[digest][split].append(name)
    return tuple(
        {split: tuple(names) for split, names in by_split.items()}
        for by_split in found.values()
        if len(by_split) > 1
    )


def _digits(recipe: Recipe, sources: Sources) -> Iterator[Picture]:
    """Yield the digit images of which there are several."""
    digests = [sha256(image).hexdigest() for image in sources.digits.images]
    count = Counter(digests)
    if len(count) == len(digests):
        return
    for split in SPLITS:
        for number in digit_pool(recipe.seed, split, sources.index).tolist():
            if count[digests[number]] > 1:
                yield digests[number], split, f"digits/{number}"


def _textures(sources: Sources) -> Iterator[Picture]:
    for role in ROLES:
        bank = getattr(sources, role)
        files = zip(bank.file_digests, bank.partition, bank.names, strict=True)
        for digest, partition, name in files:
            yield digest, SPLITS[partition], f"{role}/{name}"
