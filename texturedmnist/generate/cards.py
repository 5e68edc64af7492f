"""The files beside the shards: table, cards and preview, with their digests."""

import csv
import hashlib
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from texturedmnist.card import CARD_NAME, CROISSANT_NAME, croissant, data_card
from texturedmnist.card.croissant import COLUMNS
from texturedmnist.common.digest import file_digest
from texturedmnist.common.files import write_atomically
from texturedmnist.generate.folder import PREVIEW_NAME
from texturedmnist.manifest import (
    TABLE_NAME,
    Manifest,
    check_file,
    seal,
    write_manifest,
)
from texturedmnist.plan import plan_samples
from texturedmnist.preview import write_preview
from texturedmnist.recipe import Recipe
from texturedmnist.shards import ShardSpec, count_groups
from texturedmnist.sources import SourceIndex, Sources

AT_ONCE = 2**16  # samples planned together
TABLE_COLUMNS = tuple(COLUMNS)


def write_table(
    path: Path, recipe: Recipe, sources: Sources, specs: Sequence[ShardSpec]
) -> str:
    """Write the table, atomically; return its sha256 (hex)."""
    digest = hashlib.sha256()

    def pieces() -> Iterator[bytes]:
        for rows in ([TABLE_COLUMNS], *(_rows(recipe, sources, one) for one in specs)):
            text = io.StringIO()
            csv.writer(text, lineterminator="\n").writerows(rows)
            piece = text.getvalue().encode()
            digest.update(piece)
            yield piece

    write_atomically(path, pieces())
    return digest.hexdigest()


def _rows(
    recipe: Recipe, sources: Sources, spec: ShardSpec
) -> Iterator[tuple[object, ...]]:
    indices = np.arange(spec.start, spec.start + spec.count)
    plan = plan_samples(recipe, sources.index, spec.split, indices)
    digit, background = plan.digit_texture, plan.background_texture
    columns = (
        plan.index,
        plan.label,
        plan.digit,
        _named(digit.number, sources.digit_textures.index.classes),
        _named(background.number, sources.background_textures.index.classes),
        digit.aligned.astype(int),
        background.aligned.astype(int),
        2 * plan.label + background.aligned,
        _named(digit.file, sources.digit_textures.names),
        _named(background.file, sources.background_textures.names),
    )
    for index, *rest in zip(*(column.tolist() for column in columns), strict=True):
        yield spec.split, index, spec.file, *rest


def _named(numbers: NDArray[np.int64], names: Sequence[str]) -> NDArray[np.object_]:
    return np.array(names, object)[numbers]


def plan_groups(recipe: Recipe, index: SourceIndex, split: str) -> dict[str, int]:
    """Return the number of samples by group, 2 * label + background_aligned."""
    counts, total = np.zeros(20, np.int64), recipe.counts()[split]
    for start in range(0, total, AT_ONCE):
        indices = np.arange(start, min(start + AT_ONCE, total))
        counts += count_groups(plan_samples(recipe, index, split, indices).columns())
    return {str(group): int(count) for group, count in enumerate(counts)}


def write_cards(folder: Path, manifest: Manifest) -> tuple[Path, ...]:
    """Write both cards and their digests in the manifest; return the cards' paths.

    Each file is written atomically; the manifest comes last.

    Raises:
        DatasetError: the table is missing.
        WriteError: the disk is full, or the folder can't be written.
    """
    digests = _write_cards(folder, manifest)
    _write_digests(folder, manifest, digests)
    return tuple(folder / name for name in digests)


def refresh_preview(folder: Path, manifest: Manifest) -> Path:
    """Draw a folder's contact sheet again; return its path, as `write_cards` does."""
    _write_digests(folder, manifest, _write_preview(folder, manifest))
    return folder / PREVIEW_NAME


def finish_folder(folder: Path, manifest: Manifest) -> Manifest:
    """Write all that follows from the shards and the table; the manifest comes last.

    Returns:
        The manifest as it was written, with the digests of the other files.
    """
    digests = _write_preview(folder, manifest) | _write_cards(folder, manifest)
    return _write_digests(folder, manifest, digests)


def _write_preview(folder: Path, manifest: Manifest) -> dict[str, str]:
    path = folder / PREVIEW_NAME
    write_preview(folder, manifest, path)
    return {PREVIEW_NAME: file_digest(path)}


def _write_cards(folder: Path, manifest: Manifest) -> dict[str, str]:
    digests = {}
    table = check_file(folder / TABLE_NAME)
    texts = data_card(manifest), croissant(manifest, table.st_size)
    for name, text in zip((CARD_NAME, CROISSANT_NAME), texts, strict=True):
        write_atomically(folder / name, text)
        digests[name] = file_digest(folder / name)
    return digests


def _write_digests(
    folder: Path, manifest: Manifest, digests: dict[str, str]
) -> Manifest:
    update = {"files": {**manifest.files, **digests}}
    sealed = seal(manifest.model_copy(update=update))
    write_manifest(folder, sealed)
    return sealed
