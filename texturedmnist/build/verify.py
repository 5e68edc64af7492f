"""Proving a finished folder against its manifest."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from texturedmnist.executors import Report, local, run_tasks
from texturedmnist.manifest import (
    MANIFEST_NAME,
    REMAKE,
    DatasetError,
    Manifest,
    ShardEntry,
    read_manifest,
)
from texturedmnist.progress import Progress
from texturedmnist.recipe import dataset_identity
from texturedmnist.shards import (
    ShardPlace,
    ShardRecord,
    combine_digests,
    read_label,
    recheck_shard,
)


@dataclass(frozen=True, slots=True)
class ShardChecker:
    """Reads one shard again.

    Attributes:
        folder: the dataset.
        identity: of the dataset.
        total: number of shards, by split.
    """

    folder: Path
    identity: str
    total: dict[str, int]

    def __call__(self, entry: ShardEntry, report: Report) -> ShardRecord | str:
        """Return the shard's record, or what is wrong with it."""
        place = ShardPlace(
            entry.split, entry.number, self.total[entry.split], entry.start, entry.count
        )
        try:
            return recheck_shard(self.folder / entry.file, place, self.identity, report)
        except DatasetError as error:
            return str(error)


def verify(
    folder: Path, *, deep: bool = False, jobs: int = 1, show: bool = False
) -> tuple[str, ...]:
    """Compare a dataset folder with its manifest.

    Args:
        folder: a finished dataset.
        deep: read every byte again, instead of names, sizes and headers alone.
        jobs: number of processes for `deep`.
        show: show progress on stderr.

    Returns:
        What is wrong, one sentence each; nothing if all is well.

    Raises:
        DatasetError: there is no readable manifest.
    """
    manifest = read_manifest(folder)
    problems = [_check_identity(folder, manifest)]
    problems += [_check_entry(folder, manifest, entry) for entry in manifest.shards]
    problems += [_check_file(folder / n, d) for n, d in manifest.files.items()]
    problems += [_check_count(manifest, split) for split in manifest.splits]
    found = tuple(problem for problem in problems if problem)
    if found or not deep:
        return found
    return _verify_content(folder, manifest, jobs, show=show)


def _check_identity(folder: Path, manifest: Manifest) -> str:
    recipe, version = manifest.recipe, manifest.recipe_version
    if dataset_identity(recipe, manifest.sources, version) != manifest.identity:
        path = folder / MANIFEST_NAME
        return f"{path}: its recipe or sources were changed; {REMAKE}"
    return ""


def _check_entry(folder: Path, manifest: Manifest, entry: ShardEntry) -> str:
    path = folder / entry.file
    try:
        label = read_label(path)
    except DatasetError as error:
        return str(error)
    if label.identity != manifest.identity:
        return f"{path} belongs to another dataset; {REMAKE}"
    size = path.stat().st_size
    if size != entry.bytes:
        return f"{path} has {size} bytes, not {entry.bytes}; {REMAKE}"
    return ""


def _check_file(path: Path, sha256: str) -> str:
    if not path.is_file():
        return f"{path} is missing; {REMAKE}"
    if hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
        return f"{path} was changed; {REMAKE}"
    return ""


def _check_count(manifest: Manifest, split: str) -> str:
    shards, count = manifest.shards_of(split), manifest.splits[split].count
    starts = np.cumsum([0, *(shard.count for shard in shards)]).tolist()
    if starts != [*(shard.start for shard in shards), count]:
        return f"the manifest's shards of {split} don't add up to {count}; {REMAKE}"
    return ""


def _verify_content(
    folder: Path, manifest: Manifest, jobs: int, *, show: bool
) -> tuple[str, ...]:
    """Read every shard again; compare its digests with the manifest's."""
    total = sum(entry.count for entry in manifest.shards)
    shards = {split: len(manifest.shards_of(split)) for split in manifest.splits}
    checker = ShardChecker(folder, manifest.identity, shards)
    with Progress(total, "verify", "samples", show=show) as progress:
        results = list(
            run_tasks(local(jobs), checker, manifest.shards, report=progress)
        )
    problems = [result for result in results if isinstance(result, str)]
    records = {r.entry.file: r for r in results if isinstance(r, ShardRecord)}
    for entry in manifest.shards:
        record = records.get(entry.file)
        if record is not None and record.entry != entry:
            problems.append(f"{folder / entry.file} isn't the manifest's; {REMAKE}")
    for split, whole in manifest.splits.items():
        parts = [records.get(entry.file) for entry in manifest.shards_of(split)]
        known = [part.digests for part in parts if part is not None]
        if len(known) == len(parts) and combine_digests(known) != whole.digest:
            problems.append(f"the digest of {split} isn't the manifest's; {REMAKE}")
    return tuple(problems)
