"""Proving a finished folder against its manifest."""

import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from texturedmnist.card import CARD_NAME, CROISSANT_NAME
from texturedmnist.common.digest import file_digest
from texturedmnist.common.executors import Report, local, run_tasks
from texturedmnist.common.progress import Progress
from texturedmnist.generate.folder import PREVIEW_NAME
from texturedmnist.manifest import (
    MANIFEST_NAME,
    REMAKE,
    DatasetError,
    Manifest,
    ShardEntry,
    UnreadableError,
    check_file,
    read_manifest,
    unreadable,
)
from texturedmnist.recipe import dataset_identity
from texturedmnist.shards import (
    ShardCheck,
    check_entry,
    combine_digests,
    find_other_groups,
)

ADVICE = {
    CARD_NAME: "'texturedmnist card' writes it again",
    CROISSANT_NAME: "'texturedmnist card' writes it again",
    PREVIEW_NAME: "'texturedmnist preview' writes it again",
}


class Finding(NamedTuple):
    """What is wrong with a shard, or what of a whole one counts for its split."""

    file: str
    problem: str = ""
    whole: ShardCheck | None = None


def verify(
    folder: Path,
    *,
    quick: bool = False,
    deep: bool | None = None,
    jobs: int = 1,
    show: bool = False,
) -> tuple[str, ...]:
    """Compare a dataset folder with its manifest, every byte of it.

    `quick` leaves out the samples: names, sizes, headers and layouts of shards alone.
    `deep` is deprecated: every byte is read without it. `jobs` processes read the
    shards; `show` shows progress on stderr.

    Returns:
        What is wrong, one sentence each; nothing if all is well.

    Raises:
        DatasetError: there is no readable manifest.
        UnreadableError: a file can't be read, whatever it holds.
    """
    if deep is not None:
        text = (
            "verify(deep=...) is deprecated: verify reads every byte; quick=True less"
        )
        warnings.warn(text, DeprecationWarning, stacklevel=2)
        quick = not deep
    manifest = read_manifest(folder)
    problems = [_check_identity(folder, manifest)]
    problems += [_check_file(folder / n, d) for n, d in manifest.files.items()]
    findings = _check_shards(folder, manifest, quick=quick, jobs=jobs, show=show)
    problems += [finding.problem for finding in findings]
    problems += _check_splits(manifest, findings)
    return tuple(problem for problem in problems if problem)


def describe_check(manifest: Manifest, *, quick: bool) -> tuple[str, ...]:
    """Return what `verify` covers, a line for each kind of file."""
    own = "no digest of its own (written by an older version)"
    if manifest.digest is not None:
        own = "its own digest"
    what = "sizes, headers and layout" if quick else "every byte"
    return (
        f"{MANIFEST_NAME}: {own}, identity, names and counts",
        f"{len(manifest.shards)} shards: {what}",
        f"{', '.join(manifest.files)}: every byte",
    )


def find_broken(
    folder: Path, manifest: Manifest, *, jobs: int = 1, show: bool = False
) -> list[ShardEntry]:
    """Return the shards that aren't what was written, every byte of them.

    Raises:
        UnreadableError: a shard can't be read, whatever it holds.
    """
    findings = _check_shards(folder, manifest, quick=False, jobs=jobs, show=show)
    pairs = zip(manifest.shards, findings, strict=True)
    return [entry for entry, finding in pairs if finding.problem]


def _check_shards(
    folder: Path, manifest: Manifest, *, quick: bool, jobs: int, show: bool
) -> list[Finding]:
    """Return what was found of each shard, in the order of the manifest."""
    check = partial(_check_shard, folder, manifest, quick)
    total = sum(entry.count for entry in manifest.shards)
    with Progress(total, "verify", "samples", show=show) as progress:
        executor = local(1 if quick else jobs)
        done = run_tasks(executor, check, manifest.shards, report=progress)
        found = {finding.file: finding for finding in done}
    return [found[entry.file] for entry in manifest.shards]


def _check_shard(
    folder: Path, manifest: Manifest, quick: bool, entry: ShardEntry, report: Report
) -> Finding:
    """Return what was found of one shard; `report` counts samples."""
    try:
        whole = check_entry(folder, manifest, entry, quick=quick)
    except UnreadableError:
        raise
    except DatasetError as error:
        return Finding(entry.file, str(error))
    report(entry.count)
    return Finding(entry.file, whole=whole)


def _check_identity(folder: Path, manifest: Manifest) -> str:
    recipe, version = manifest.recipe, manifest.recipe_version
    if dataset_identity(recipe, manifest.sources, version) != manifest.identity:
        path = folder / MANIFEST_NAME
        return f"{path}: its recipe or sources were changed; {REMAKE}"
    return ""


def _check_file(path: Path, sha256: str) -> str:
    try:
        check_file(path)
        found = file_digest(path)
    except UnreadableError:
        raise
    except DatasetError as error:
        return str(error)
    except OSError as error:
        raise unreadable(path, error) from None
    advice = ADVICE.get(path.name, REMAKE)
    return "" if found == sha256 else f"{path} was changed; {advice}"


def _check_splits(manifest: Manifest, findings: Sequence[Finding]) -> list[str]:
    """Compare digests and groups of the splits whose shards are whole."""
    problems = []
    checks = {finding.file: finding.whole for finding in findings}
    for split, entry in manifest.splits.items():
        parts = [checks[shard.file] for shard in manifest.shards_of(split)]
        whole = [part for part in parts if part is not None]
        if len(whole) < len(parts):
            continue
        if combine_digests(part.digests for part in whole) != entry.digest:
            problems.append(f"the digest of {split} isn't the manifest's; {REMAKE}")
        counts = np.sum([part.groups for part in whole], axis=0)
        problems.append(find_other_groups(manifest, split, counts))
    return problems
