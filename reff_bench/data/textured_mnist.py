"""Textured MNIST: a finished folder, or rendered from a cell's knobs."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from reff_bench.data.errors import DataError
from reff_bench.data.pixels import PixelSource, SamplePixels, in_memory
from reff_bench.data.split import Data, Split
from reff_bench.grid import Cell, cell_recipe
from texturedmnist.dataset.samples import RenderedSamples, StoredSamples
from texturedmnist.manifest import DatasetError, read_manifest
from texturedmnist.recipe import Recipe
from texturedmnist.sources import SourceError, Sources, open_sources

CLASS_NAMES = tuple(str(digit) for digit in range(10))
GROUP_NAMES = tuple(
    f"{digit}, {kind} background"
    for digit in range(10)
    for kind in ("other", "aligned")
)
NEEDED = ("train", "val", "test")


@dataclass(frozen=True, slots=True)
class _Opened:
    source: PixelSource
    labels: Tensor
    groups: Tensor


def open_textured_mnist(cell: Cell, data_root: Path, cache_dir: Path) -> Data:
    """Open Textured MNIST; what was rendered stays in memory for the next cell.

    Raises:
        DataError: a finished folder lacks a split.
        DatasetError: the folder isn't a finished dataset.
        SourceError: digits or textures are absent.
    """
    if cell.root is not None:
        return _open_folder(Path(cell.root))
    recipe = cell_recipe(cell)
    sources = _open_sources(recipe, data_root, cache_dir)
    identity = sources.identity(recipe)
    opened = {
        split: _render(recipe, data_root, cache_dir, split)
        for split in (*NEEDED, "val_shifted")
    }
    return _data(opened, identity, recipe.image_size)


def open_renderer(
    cell: Cell, data_root: Path, cache_dir: Path, split: str
) -> RenderedSamples:
    """Return what renders a split anew, of a folder from the sources it was made of.

    Raises:
        DataError: the folder's sources aren't there, or are other ones.
    """
    if cell.root is None:
        recipe = cell_recipe(cell)
        sources = _open_sources(recipe, data_root, cache_dir)
        return RenderedSamples(recipe, sources, split)
    folder = Path(cell.root)
    identity = read_manifest(folder).identity
    try:
        return _find_renderer(folder, identity, data_root, cache_dir, split)
    except (DatasetError, SourceError) as error:
        raise DataError(str(error)) from None


@lru_cache(maxsize=4)
def _find_renderer(
    folder: Path, identity: str, data_root: Path, cache_dir: Path, split: str
) -> RenderedSamples:
    """Open the folder's sources; the identity tells it from an earlier one."""
    samples = StoredSamples(folder, split, data_root, cache_dir)
    assert samples.manifest.identity == identity
    return samples.renderer()


def _open_sources(recipe: Recipe, data_root: Path, cache_dir: Path) -> Sources:
    """Open the sources; recipes that differ in knobs and counts share them."""
    same = {
        "bg": 0.0,
        "tex": 0.0,
        "test_bg": 1.0,
        "test_tex": None,
        "seed": 0,
        "train": 1,
        "val": 1,
        "test": 1,
        "val_shifted": False,
    }
    return _shared_sources(recipe.model_copy(update=same), data_root, cache_dir)


@lru_cache(maxsize=4)
def _shared_sources(recipe: Recipe, data_root: Path, cache_dir: Path) -> Sources:
    return open_sources(recipe, data_root=data_root, cache_dir=cache_dir)


@lru_cache(maxsize=8)
def _render(recipe: Recipe, data_root: Path, cache_dir: Path, split: str) -> _Opened:
    sources = _open_sources(recipe, data_root, cache_dir)
    return _open(RenderedSamples(recipe, sources, split), recipe.image_size)


def _open_folder(folder: Path) -> Data:
    manifest = read_manifest(folder)
    missing = [name for name in NEEDED if name not in manifest.splits]
    if missing:
        raise DataError(
            f"{folder} has no split {missing[0]!r}; it has: "
            f"{', '.join(manifest.splits)}. Make one with all of train, val and test"
        )
    opened = {
        split: _load(folder, manifest.identity, split) for split in manifest.splits
    }
    return _data(opened, manifest.identity, int(manifest.recipe["image_size"]))


@lru_cache(maxsize=8)
def _load(folder: Path, identity: str, split: str) -> _Opened:
    """Open a split of the folder; the identity tells it from an earlier one."""
    samples = StoredSamples(folder, split)
    assert samples.manifest.identity == identity
    return _open(samples, int(samples.manifest.recipe["image_size"]))


def _open(samples: StoredSamples | RenderedSamples, size: int) -> _Opened:
    columns = samples.columns
    labels = torch.from_numpy(columns["label"].astype("int64"))
    aligned = torch.from_numpy(columns["background_aligned"].astype("int64"))
    source = in_memory(SamplePixels(samples), len(labels), size)
    return _Opened(source, labels, 2 * labels + aligned)


def _data(opened: Mapping[str, _Opened], identity: str, size: int) -> Data:
    splits = {
        name: Split(
            one.source, one.labels, one.groups, torch.ones_like(one.labels) > 0, size
        )
        for name, one in opened.items()
    }
    return Data(CLASS_NAMES, GROUP_NAMES, splits, identity, size)
