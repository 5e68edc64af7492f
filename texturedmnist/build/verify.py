"""Proving a finished folder against its manifest."""

import json
import warnings
from dataclasses import dataclass
from pathlib import Path

from texturedmnist.build.folder import PREVIEW_NAME
from texturedmnist.card import CARD_NAME, CROISSANT_NAME
from texturedmnist.common.digest import file_digest
from texturedmnist.common.executors import Report, local, run_tasks
from texturedmnist.common.progress import Progress
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
    COLUMNS,
    ShardPlace,
    combine_digests,
    open_entry,
    read_entry,
    read_header,
    recheck_shard,
)

ADVICE = {
    CARD_NAME: "'texturedmnist card' writes it anew",
    CROISSANT_NAME: "'texturedmnist card' writes it anew",
    PREVIEW_NAME: "'texturedmnist preview' writes it anew",
}


@dataclass(frozen=True, slots=True)
class ShardChecker:
    """Reads one shard again.

    Attributes:
        folder: the dataset.
        manifest: of this folder.
    """

    folder: Path
    manifest: Manifest

    def __call__(self, entry: ShardEntry, report: Report) -> tuple[str, str]:
        """Return the file and what is wrong with it, nothing if it is as it was."""
        total = len(self.manifest.shards_of(entry.split))
        place = ShardPlace(entry.split, entry.number, total, entry.start, entry.count)
        path = self.folder / entry.file
        try:
            record = recheck_shard(path, place, self.manifest.identity, report)
        except UnreadableError:
            raise
        except DatasetError as error:
            return entry.file, str(error)
        same = record.entry == entry
        return entry.file, "" if same else f"{path} isn't the manifest's; {REMAKE}"


def verify(
    folder: Path,
    *,
    quick: bool = False,
    deep: bool | None = None,
    jobs: int = 1,
    show: bool = False,
) -> tuple[str, ...]:
    """Compare a dataset folder with its manifest, every byte of it.

    Args:
        folder: a finished dataset.
        quick: leave out the samples: names, sizes, headers and layouts of shards alone.
        deep: deprecated: every byte is read without it.
        jobs: number of processes that read the shards.
        show: show progress on stderr.

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
    shards = find_broken(folder, manifest, quick=quick, jobs=jobs, show=show)
    problems += shards.values()
    if not (quick or shards):
        problems += _check_splits(folder, manifest)
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
    folder: Path,
    manifest: Manifest,
    *,
    quick: bool = False,
    jobs: int = 1,
    show: bool = False,
) -> dict[str, str]:
    """Return what is wrong with shards, by file name; whole ones are left out.

    Raises:
        UnreadableError: a shard can't be read, whatever it holds.
    """
    found = {}
    for entry in manifest.shards:
        problem = _check_entry(folder, manifest, entry)
        if problem:
            found[entry.file] = problem
    if quick:
        return found
    whole = [entry for entry in manifest.shards if entry.file not in found]
    checker = ShardChecker(folder, manifest)
    total = sum(entry.count for entry in whole)
    with Progress(total, "verify", "samples", show=show) as progress:
        results = run_tasks(local(jobs), checker, whole, report=progress)
        found.update((file, problem) for file, problem in results if problem)
    # In the order of the manifest, whichever process was faster.
    return {e.file: found[e.file] for e in manifest.shards if e.file in found}


def _check_identity(folder: Path, manifest: Manifest) -> str:
    recipe, version = manifest.recipe, manifest.recipe_version
    if dataset_identity(recipe, manifest.sources, version) != manifest.identity:
        path = folder / MANIFEST_NAME
        return f"{path}: its recipe or sources were changed; {REMAKE}"
    return ""


def _check_entry(folder: Path, manifest: Manifest, entry: ShardEntry) -> str:
    try:
        read_entry(folder, manifest, entry, tuple(COLUMNS))
        header = read_header(folder / entry.file)
    except UnreadableError:
        raise
    except DatasetError as error:
        return str(error)
    if header.recipe != json.dumps(manifest.recipe, sort_keys=True):
        return f"{folder / entry.file} has another recipe than the manifest; {REMAKE}"
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


def _check_splits(folder: Path, manifest: Manifest) -> list[str]:
    """Compare the digests of whole splits, whose shards are whole, one by one."""
    problems = []
    for split, whole in manifest.splits.items():
        parts = []
        for entry in manifest.shards_of(split):
            with open_entry(folder, manifest, entry) as file:
                parts.append(file["sample_digest"][()])
        if combine_digests(parts) != whole.digest:
            problems.append(f"the digest of {split} isn't the manifest's; {REMAKE}")
    return problems
