"""Whether a shard is what was written, byte by byte."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

from texturedmnist.common.digest import file_digest
from texturedmnist.manifest import REMAKE, DatasetError, Manifest, ShardEntry
from texturedmnist.shards.format import (
    COLUMNS,
    NAMES,
    ShardRecord,
    ShardSpec,
    combine_digests,
    digest_samples,
    row_bytes,
    shard_record,
    shard_spec,
)
from texturedmnist.shards.open import (
    OpenShard,
    ShardError,
    explain,
    open_entry,
    open_shard,
)
from texturedmnist.shards.read import count_groups, read_checked

CHECKED_AT_ONCE = 64  # samples


class ShardCheck(NamedTuple):
    """What of a whole shard counts for its split: digests (n, 32), groups (20,)."""

    digests: NDArray[np.uint8]
    groups: NDArray[np.int64]


def check_entry(
    folder: Path, manifest: Manifest, entry: ShardEntry, *, quick: bool = False
) -> ShardCheck:
    """Hold a shard against the manifest; pixels and the file's digest unless `quick`.

    A file whose digest is the manifest's is what was written: its samples' digests
    aren't made again, but those of another file are, to name the first bad sample.

    Raises:
        DatasetError: something isn't what the manifest means.
        UnreadableError: the shard can't be read, whatever it holds.
    """
    with open_entry(folder, manifest, entry) as shard:
        columns = read_checked(shard, manifest, entry, tuple(COLUMNS))
        for name in NAMES:  # what is damaged can't be read
            shard.read_strings(name)
        recipe = json.dumps(manifest.recipe, sort_keys=True)
        if shard.read_strings("recipe") != (recipe,):
            raise ShardError("has another recipe than the manifest")
        digests = shard.read("sample_digest")
        if combine_digests([digests]) != entry.digest:
            raise ShardError("has other digests of samples than the manifest")
        if not quick:
            _check_bytes(folder, manifest, entry)
            _check_masks(shard.file["mask"])
    return ShardCheck(digests, count_groups(columns))


def recheck_shard(
    path: Path, spec: ShardSpec, identity: str, progress: Callable[[int], None]
) -> ShardRecord:
    """Read a whole shard again and compare it with the digests that it holds.

    `progress` is called with the number of samples checked.

    Returns:
        The record that its writer returned.

    Raises:
        DatasetError: the shard isn't what was written; names the first bad sample.
    """
    with open_shard(path) as shard:
        _check_header(shard, spec, identity)
        rows = row_bytes({name: shard.read(name) for name in COLUMNS})
        stored, file = shard.read("sample_digest"), shard.file
        for start in range(0, spec.count, CHECKED_AT_ONCE):
            part = slice(start, start + CHECKED_AT_ONCE)
            found = digest_samples(file["image"][part], file["mask"][part], rows[part])
            bad = np.flatnonzero((found != stored[part]).any(axis=1))
            if len(bad):
                sample = spec.start + start + int(bad[0])
                raise DatasetError(
                    f"{path}: the bytes of sample {sample} don't match their digest: "
                    f"the file was changed or damaged; {REMAKE}"
                )
            progress(len(found))
    return shard_record(spec, stored, path.stat().st_size, _file_digest(path))


def _check_bytes(folder: Path, manifest: Manifest, entry: ShardEntry) -> None:
    path = folder / entry.file
    if _file_digest(path) != entry.sha256:
        recheck_shard(
            path, shard_spec(manifest, entry), manifest.identity, lambda _: None
        )
        raise ShardError("isn't the manifest's")


def _check_masks(masks: h5py.Dataset) -> None:
    for start in range(0, len(masks), CHECKED_AT_ONCE):
        if masks[start : start + CHECKED_AT_ONCE].max() > 1:
            raise ShardError("has masks of other values than 0 and 1")


def _file_digest(path: Path) -> str:
    with explain(path):
        return file_digest(path)


def _check_header(shard: OpenShard, spec: ShardSpec, identity: str) -> None:
    if shard.attribute("identity") != identity:
        raise ShardError("belongs to another dataset")
    whole = np.arange(spec.start, spec.start + spec.count)
    found = shard.attribute("split"), shard.attribute("shard")
    named = found == (spec.split, spec.number)
    if not named or not np.array_equal(shard.read("index"), whole):
        last = whole[-1]
        text = f"doesn't hold samples {spec.start} to {last} of {spec.split}"
        raise ShardError(text)
