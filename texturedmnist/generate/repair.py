"""Making exactly the broken shards of a finished folder again."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from texturedmnist.common.executors import local, sole_writer
from texturedmnist.generate.build import ROLES, Build
from texturedmnist.generate.cards import write_cards
from texturedmnist.generate.folder import check_space
from texturedmnist.generate.make import make_shards
from texturedmnist.generate.verify import find_broken
from texturedmnist.manifest import DatasetError, Manifest, ShardEntry, read_manifest
from texturedmnist.recipe import NAMED_SOURCES, Recipe
from texturedmnist.shards import read_label, shard_spec
from texturedmnist.sources import open_sources


def repair(
    folder: Path,
    *,
    textures: str | None = None,
    data_root: Path | None = None,
    cache_dir: Path | None = None,
    jobs: int = 1,
    show: bool = False,
) -> tuple[str, ...]:
    """Make the broken and missing shards again, and write nothing else.

    The manifest, which must be whole, and the cards are written again only if another
    version of HDF5 gives a shard of the same samples other bytes. `textures` is the
    folder of textures that the dataset was made from, if it was; all else is as for
    `plan_build`.

    Returns:
        Names of the shards that were made again.

    Raises:
        DatasetError: the manifest is broken, or the sources aren't those it was made
            from: nothing is changed.
        SourceError: a source is absent.
        UnreadableError: a shard can't be read, whatever it holds.
    """
    manifest = read_manifest(folder)
    broken = find_broken(folder, manifest, jobs=jobs, show=show)
    if not broken:
        return ()
    recipe = _find_recipe(folder, manifest, textures)
    sources = open_sources(
        recipe, data_root=data_root, cache_dir=cache_dir, check=True, jobs=jobs
    )
    if sources.identity(recipe) != manifest.identity:
        raise DatasetError(
            f"{folder} was made from other sources, or by another decoder, than those "
            "found here: its shards can't be made again from these"
        )
    specs = tuple(shard_spec(manifest, entry) for entry in broken)
    compression = _compression(folder, manifest)
    build = Build(folder, recipe, sources, specs, compression, manifest.repeats)
    made = _make(build, manifest, jobs, show=show)
    _update(folder, manifest, made)
    return tuple(entry.file for entry in broken)


def _find_recipe(folder: Path, manifest: Manifest, textures: str | None) -> Recipe:
    fields = dict(manifest.recipe)
    for role in ROLES:
        if fields[role] not in NAMED_SOURCES:
            if textures is None:
                raise DatasetError(
                    f"{folder} was made from a folder of textures, whose place it "
                    "doesn't know: say it with --textures"
                )
            fields[role] = textures
    return Recipe(**fields)


def _compression(folder: Path, manifest: Manifest) -> str:
    """Return the compression of any shard that can still be opened."""
    for entry in manifest.shards:
        with suppress(DatasetError):
            return read_label(folder / entry.file).compression
    # The manifest doesn't name it; without compression no shard is that small.
    entry = manifest.shards[0]
    pixels = 4 * entry.count * int(manifest.recipe["image_size"]) ** 2
    return "none" if entry.bytes >= pixels else "gzip"


def _make(
    build: Build, manifest: Manifest, jobs: int, *, show: bool
) -> Sequence[ShardEntry]:
    check_space(build.out, build.specs, build.recipe.image_size)
    leftovers = [f".{spec.file}.*.tmp" for spec in build.specs]
    with sole_writer(build.out, leftovers=leftovers):
        records = make_shards(
            build,
            build.specs,
            local(jobs),
            known={entry.file: entry.sha256 for entry in manifest.shards},
            package_version=manifest.package_version,  # the same bytes as at first
            title="repair",
            show=show,
        )
    return [record.entry for record in records]


def _update(folder: Path, manifest: Manifest, made: Sequence[ShardEntry]) -> None:
    by_file = {entry.file: entry for entry in made}
    shards = tuple(by_file.get(entry.file, entry) for entry in manifest.shards)
    if shards != manifest.shards:
        write_cards(folder, manifest.model_copy(update={"shards": shards}))
