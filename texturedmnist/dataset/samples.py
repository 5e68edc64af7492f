"""Samples of one split as arrays: read from shards, or rendered when asked for."""

import os
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from texturedmnist.compose import compose, empty_samples
from texturedmnist.manifest import DatasetError, read_manifest
from texturedmnist.plan import SamplePlan, other_class, plan_samples
from texturedmnist.recipe import NAMED_SOURCES, Recipe
from texturedmnist.shards import COLUMNS as STORED_TYPES
from texturedmnist.shards import (
    count_groups,
    file_state,
    find_other_groups,
    join_columns,
    map_places,
    read_entry,
)
from texturedmnist.sources import Sources, expand, open_sources

COLUMNS = tuple(name for name in STORED_TYPES if not name.startswith("plan/"))
ROLES = ("digit_texture", "background_texture")
MOST_OPEN = 128  # shards: each keeps a file descriptor

Pixels = tuple[NDArray[np.uint8], NDArray[np.uint8]]
Columns = Mapping[str, NDArray[Any]]


class StoredSamples:
    """A split of a finished folder; only counterfactuals need its sources.

    Raises:
        DatasetError: the folder isn't a finished dataset, or has no such split.
    """

    def __init__(
        self,
        folder: Path,
        split: str,
        data_root: Path | None = None,
        cache_dir: Path | None = None,
    ) -> None:
        """Read the columns; pixels stay on the disk."""
        self.folder, self.split = folder, split
        self.manifest = read_manifest(folder)
        self._places = data_root, cache_dir
        self._shards = self.manifest.shards_of(split)
        self._ends = np.cumsum([shard.count for shard in self._shards])
        parts = [read_entry(folder, self.manifest, e, COLUMNS) for e in self._shards]
        self.columns = join_columns(parts)
        counts = count_groups(self.columns)
        if wrong := find_other_groups(self.manifest, split, counts):
            raise DatasetError(f"{folder}: {wrong}")
        self._checked = [(part.places, part.state) for part in parts]
        self.classes = {
            role: getattr(self.manifest, f"{role}_classes") for role in ROLES
        }
        self._opened: dict[int, tuple[Any, Any]] = {}
        self._owner = os.getpid()

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what is open."""
        return {**self.__dict__, "_opened": {}}

    def read(self, indices: NDArray[np.int64]) -> Pixels:
        """Return images (n, S, S, 3) and masks (n, S, S), uint8."""
        images, masks = empty_samples(len(indices), self.manifest.recipe["image_size"])
        numbers = np.searchsorted(self._ends, indices, side="right")
        for k, number in enumerate(numbers.tolist()):
            image, mask = self._open(number)
            row = indices[k] - self._shards[number].start
            images[k], masks[k] = image[row], mask[row]
        return images, masks

    def _open(self, number: int) -> tuple[Any, Any]:
        if self._owner != os.getpid():  # HDF5 handles don't survive a fork
            self._opened, self._owner = {}, os.getpid()
        opened = self._opened.get(number)
        if opened is None:
            while len(self._opened) >= MOST_OPEN:  # the first that was opened goes
                self._opened.pop(next(iter(self._opened)))
            opened = self._opened[number] = self._map(number)
        return opened

    def _map(self, number: int) -> tuple[Any, Any]:
        """Map a shard, which is checked again if its file has changed."""
        entry = self._shards[number]
        path = self.folder / entry.file
        if file_state(path) != self._checked[number][1]:
            part = read_entry(self.folder, self.manifest, entry)
            self._checked[number] = part.places, part.state
        return map_places(path, self._checked[number][0])

    def renderer(self) -> "RenderedSamples":
        """Open the sources that the folder was made from.

        Raises:
            DatasetError: they are other ones, or a folder whose place isn't known.
            SourceError: they are absent.
        """
        fields = self.manifest.recipe
        if not {fields[f"{role}s"] for role in ROLES} <= set(NAMED_SOURCES):
            raise DatasetError(
                f"{self.folder} was made from a folder of textures, whose place it "
                "doesn't know: render counterfactuals with TexturedMNIST.from_recipe"
            )
        recipe = Recipe(**fields)
        data_root, cache_dir = self._places
        sources = open_sources(recipe, data_root=data_root, cache_dir=cache_dir)
        if sources.identity(recipe) != self.manifest.identity:
            raise DatasetError(
                f"{self.folder} was made from other sources, or by another decoder, "
                "than those found here: no counterfactual can be rendered from these"
            )
        return RenderedSamples(recipe, sources, self.split)


class RenderedSamples:
    """A split of a recipe, rendered from open sources when it is read."""

    def __init__(self, recipe: Recipe, sources: Sources, split: str) -> None:
        """Plan nothing yet."""
        self.recipe, self.sources, self.split = recipe, sources, split
        self.classes = {
            "digit_texture": sources.digit_textures.index.classes,
            "background_texture": sources.background_textures.index.classes,
        }

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the plan, which is made again faster than it is sent."""
        made = ("plan", "columns")
        return {k: value for k, value in self.__dict__.items() if k not in made}

    @cached_property
    def plan(self) -> SamplePlan:
        """The plan of all samples."""
        return self._plan_of(np.arange(self.recipe.count(self.split)))

    def _plan_of(self, indices: NDArray[np.int64], **given: Any) -> SamplePlan:
        index = self.sources.index
        return plan_samples(self.recipe, index, self.split, indices, **given)

    @cached_property
    def columns(self) -> Columns:
        """(n,) arrays by name."""
        return _columns(self.plan)

    def read(self, indices: NDArray[np.int64]) -> Pixels:
        """Return images (n, S, S, 3) and masks (n, S, S), uint8."""
        return compose(self.plan.take(indices), self.sources)

    def renderer(self) -> "RenderedSamples":
        """Return these samples."""
        return self

    def read_counterfactuals(
        self, indices: NDArray[np.int64], role: str, texture: str | None = None
    ) -> tuple[Pixels, Columns]:
        """Return (images, masks) and columns of what `plan_twins` plans."""
        plan = self.plan_twins(indices, role, texture)
        return compose(plan, self.sources), _columns(plan)

    def plan_twins(
        self, indices: NDArray[np.int64], role: str, texture: str | None = None
    ) -> SamplePlan:
        """Plan samples with another texture in one role and nothing else changed.

        Args:
            indices: (n,) int64.
            role: `digit_texture` or `background_texture`.
            texture: name of the class; None draws one other than the sample's own.

        Raises:
            ValueError: an unknown role or class.
        """
        classes = self.classes[check_choice("role", role, ROLES)]
        if texture is None:
            own, count = self.columns[role][indices].astype(np.int64), len(classes)
            number = other_class(self.recipe, self.split, indices, role, own, count)
        else:
            check_choice("texture", texture, classes)
            number = np.full(len(indices), classes.index(texture), np.int64)
        return self._plan_of(indices, **{role: number})


@overload
def absolute(path: str | Path) -> Path: ...
@overload
def absolute(path: str | Path | None) -> Path | None: ...
def absolute(path: str | Path | None) -> Path | None:
    """Return a path that holds when the working directory changes; None stays.

    Raises:
        SourceError: it starts with `~` and there is no home folder.
    """
    return None if path is None else expand(path).absolute()


def _columns(plan: SamplePlan) -> Columns:
    """Return a plan's columns in the types that shards hold."""
    columns = plan.columns()
    return {name: columns[name].astype(STORED_TYPES[name]) for name in COLUMNS}


def check_choice(what: str, value: str, allowed: Iterable[str]) -> str:
    """Return the value, or refuse it with what is allowed.

    Raises:
        ValueError: the value isn't allowed.
    """
    if value not in (allowed := tuple(allowed)):
        raise ValueError(
            f"unknown {what} {value!r}; allowed: {', '.join(map(str, allowed))}"
        )
    return value


def check_positions(
    positions: NDArray[np.int64], count: int, split: str
) -> NDArray[np.int64]:
    """Return indices counted from the front.

    Raises:
        IndexError: one is out of range.
    """
    if ((positions < -count) | (positions >= count)).any():
        raise IndexError(f"index out of range: {split} has {count} samples")
    return np.where(positions < 0, positions + count, positions)
