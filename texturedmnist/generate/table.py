"""`samples.csv`: one row per sample, and the sizes of the groups."""

import csv
import hashlib
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from texturedmnist.card.croissant import COLUMNS
from texturedmnist.common.files import write_atomically
from texturedmnist.plan import plan_samples
from texturedmnist.recipe import Recipe
from texturedmnist.shards import ShardPlace, count_groups
from texturedmnist.sources import SourceIndex, Sources

AT_ONCE = 2**16  # samples planned together
TABLE_COLUMNS = tuple(COLUMNS)


def write_table(
    path: Path, recipe: Recipe, sources: Sources, places: Sequence[ShardPlace]
) -> str:
    """Write the table, atomically; return its sha256 (hex)."""
    digest = hashlib.sha256()

    def pieces() -> Iterator[bytes]:
        for rows in ([TABLE_COLUMNS], *(_rows(recipe, sources, one) for one in places)):
            text = io.StringIO()
            csv.writer(text, lineterminator="\n").writerows(rows)
            piece = text.getvalue().encode()
            digest.update(piece)
            yield piece

    write_atomically(path, pieces())
    return digest.hexdigest()


def _rows(
    recipe: Recipe, sources: Sources, place: ShardPlace
) -> Iterator[tuple[object, ...]]:
    indices = np.arange(place.start, place.start + place.count)
    plan = plan_samples(recipe, sources.index, place.split, indices)
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
        yield place.split, index, place.file, *rest


def _named(numbers: NDArray[np.int64], names: Sequence[str]) -> NDArray[np.object_]:
    return np.array(names, object)[numbers]


def plan_groups(recipe: Recipe, index: SourceIndex, split: str) -> dict[str, int]:
    """Return the number of samples by group, 2 * label + background_aligned."""
    counts, total = np.zeros(20, np.int64), recipe.counts()[split]
    for start in range(0, total, AT_ONCE):
        indices = np.arange(start, min(start + AT_ONCE, total))
        counts += count_groups(plan_samples(recipe, index, split, indices).columns())
    return {str(group): int(count) for group, count in enumerate(counts)}
