"""Textured MNIST: a finished folder, or rendered from a run's randomness."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from reff_bench.data.on_device import (
    DevicePixels,
    NoRoomError,
    RenderedPixels,
    require_room,
    store_pixels,
)
from reff_bench.data.pixels import MemoryPixels, PixelSource, SamplePixels, in_memory
from reff_bench.data.split import Data, Split
from reff_bench.grid.config import RunConfig
from reff_bench.grid.expand import recipe_of
from reff_bench.identity.tree import DataError
from texturedmnist.common.cache import Cache, cached
from texturedmnist.dataset import DeviceSamples
from texturedmnist.dataset.samples import RenderedSamples, StoredSamples
from texturedmnist.manifest import DatasetError, read_manifest
from texturedmnist.recipe import Recipe
from texturedmnist.render_torch import DeviceSources, bytes_needed
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
    size: int

    def split(self, on_device: DevicePixels | None) -> Split:
        annotated = torch.ones_like(self.labels) > 0
        known = (self.labels, self.groups, annotated)
        return Split(self.source, *known, self.size, on_device=on_device)

    def store(self, device: torch.device) -> DevicePixels:
        return store_pixels(self.source, len(self.labels), self.size, device)


def open_textured_mnist(
    cache: Cache,
    config: RunConfig,
    data_root: Path,
    cache_dir: Path,
    device: torch.device,
) -> Data:
    """Open Textured MNIST; what was rendered stays in the cache for the next run.

    Raises:
        DataError: a finished folder lacks a split.
        DatasetError: the folder isn't a finished dataset.
        SourceError: digits or textures are absent.
    """
    if config.root is not None:
        return _open_folder(cache, Path(config.root), device)
    recipe = recipe_of(config)
    sources = _open_sources(cache, recipe, data_root, cache_dir)
    splits = {}
    for name in (*NEEDED, "val_shifted"):
        made = cache, recipe, data_root, cache_dir, name
        on_device = _if_room(partial(_cache_rendered, *made, device))
        splits[name] = _render(*made).split(on_device)
    identity, size = sources.identity(recipe), recipe.image_size
    return Data(CLASS_NAMES, GROUP_NAMES, splits, identity, size)


def open_renderer(
    cache: Cache, config: RunConfig, data_root: Path, cache_dir: Path, split: str
) -> RenderedSamples:
    """Return what renders a split again, of a folder from the sources it was made of.

    Raises:
        DataError: the folder's sources aren't there, or are other ones.
    """
    if config.root is None:
        recipe = recipe_of(config)
        sources = _open_sources(cache, recipe, data_root, cache_dir)
        return RenderedSamples(recipe, sources, split)
    folder = Path(config.root)
    identity = read_manifest(folder).identity
    try:
        return _find_renderer(cache, folder, identity, data_root, cache_dir, split)
    except (DatasetError, SourceError) as error:
        raise DataError(str(error)) from None


@cached(4)
def _find_renderer(
    _: Cache, folder: Path, identity: str, data_root: Path, cache_dir: Path, split: str
) -> RenderedSamples:
    """Open the folder's sources; the identity tells it from an earlier one."""
    samples = StoredSamples(folder, split, data_root, cache_dir)
    assert samples.manifest.identity == identity
    return samples.renderer()


def _open_sources(
    cache: Cache, recipe: Recipe, data_root: Path, cache_dir: Path
) -> Sources:
    """Open the sources; recipes that differ in randomness and counts share them."""
    return _shared_sources(cache, _without_randomness(recipe), data_root, cache_dir)


def _without_randomness(recipe: Recipe) -> Recipe:
    same = {
        **{"bg": 0.0, "tex": 0.0, "test_bg": 1.0, "test_tex": None, "seed": 0},
        **{"train": 1, "val": 1, "test": 1, "val_shifted": False},
    }
    return recipe.model_copy(update=same)


@cached(4)
def _shared_sources(
    _: Cache, recipe: Recipe, data_root: Path, cache_dir: Path
) -> Sources:
    # Checked, so that damaged textures are made again; once a worker.
    return open_sources(recipe, data_root=data_root, cache_dir=cache_dir, check=True)


@cached(8)
def _render(
    cache: Cache, recipe: Recipe, data_root: Path, cache_dir: Path, split: str
) -> _Opened:
    sources = _open_sources(cache, recipe, data_root, cache_dir)
    return _open(RenderedSamples(recipe, sources, split), recipe.image_size)


@cached(8)
def _cache_rendered(
    cache: Cache,
    recipe: Recipe,
    data_root: Path,
    cache_dir: Path,
    split: str,
    device: torch.device,
) -> DevicePixels:
    """Bring a split to a device: its pixels if they are few, else what renders it."""
    opened = _render(cache, recipe, data_root, cache_dir, split)
    if isinstance(opened.source, MemoryPixels):
        return opened.store(device)
    sources = _open_sources(cache, recipe, data_root, cache_dir)
    samples = RenderedSamples(recipe, sources, split)
    textures = "val" if split == "val_shifted" else split
    made = _without_randomness(recipe), data_root, cache_dir, textures, device
    return RenderedPixels(DeviceSamples(samples, _share_textures(cache, *made)))


@cached(3)
def _share_textures(
    cache: Cache,
    recipe: Recipe,
    data_root: Path,
    cache_dir: Path,
    split: str,
    device: torch.device,
) -> DeviceSources:
    """Bring digits and textures to a device; other randomness shares them.

    Raises:
        NoRoomError: there is no room.
    """
    sources = _shared_sources(cache, recipe, data_root, cache_dir)
    require_room(bytes_needed(sources, split), device)
    return DeviceSources(sources, split, device)


def _open_folder(cache: Cache, folder: Path, device: torch.device) -> Data:
    manifest = read_manifest(folder)
    missing = [name for name in NEEDED if name not in manifest.splits]
    if missing:
        raise DataError(
            f"{folder} has no split {missing[0]!r}; it has: "
            f"{', '.join(manifest.splits)}. Make one with all of train, val and test"
        )
    splits = {}
    for name in manifest.splits:
        made = cache, folder, manifest.identity, name
        on_device = _if_room(partial(_cache_stored, *made, device))
        splits[name] = _load(*made).split(on_device)
    size = int(manifest.recipe["image_size"])
    return Data(CLASS_NAMES, GROUP_NAMES, splits, manifest.identity, size)


@cached(8)
def _load(_: Cache, folder: Path, identity: str, split: str) -> _Opened:
    """Open a split of the folder; the identity tells it from an earlier one."""
    samples = StoredSamples(folder, split)
    assert samples.manifest.identity == identity
    return _open(samples, int(samples.manifest.recipe["image_size"]))


@cached(4)
def _cache_stored(
    cache: Cache, folder: Path, identity: str, split: str, device: torch.device
) -> DevicePixels:
    return _load(cache, folder, identity, split).store(device)


def _open(samples: StoredSamples | RenderedSamples, size: int) -> _Opened:
    columns = samples.columns
    labels = torch.from_numpy(columns["label"].astype("int64"))
    aligned = torch.from_numpy(columns["background_aligned"].astype("int64"))
    source = in_memory(SamplePixels(samples), len(labels), size)
    return _Opened(source, labels, 2 * labels + aligned, size)


def _if_room(store: Callable[[], DevicePixels]) -> DevicePixels | None:
    try:
        return store()
    except NoRoomError:
        return None
