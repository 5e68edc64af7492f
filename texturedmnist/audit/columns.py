"""The columns of a finished folder, arranged for the checks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from texturedmnist.manifest import REMAKE, DatasetError, Manifest, read_manifest
from texturedmnist.shards import read_columns, read_names

LABELS = 10
ROLES = {"background": ("background", "bg"), "digit": ("digit texture", "tex")}

Numbers = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Texture:
    """One of the two textures of an image, over the whole dataset.

    Attributes:
        name: `background` or `digit texture`.
        randomness: `bg` or `tex`.
        source: kind of source: `dtd`, `embedded` or `folder`.
        classes: names by class number.
        assigned: (10, C) bool, whether a class is assigned to a label.
        files: names by file number.
        file_class: (F,) int64, class of each file by its name; -1 for none of them.
    """

    name: str
    randomness: str
    source: str
    classes: tuple[str, ...]
    assigned: Flags
    files: tuple[str, ...]
    file_class: Numbers


@dataclass(frozen=True, slots=True)
class Choice:
    """The choice of one texture in the samples of a split; arrays are (n,).

    Attributes:
        split: its name.
        texture: which of the two.
        randomness: the probability, asked for, that a class is drawn from all classes.
        number: int64, the class.
        file: int64, the file.
        draw: float64, compared with the randomness.
        flag: int64 in {0, 1}, whether the class is assigned to the label, as stored.
        label: int64 in [0, 9].
    """

    split: str
    texture: Texture
    randomness: float
    number: Numbers
    file: Numbers
    draw: NDArray[np.float64]
    flag: Numbers
    label: Numbers

    @property
    def aligned(self) -> Flags:
        """Whether the class is assigned to the label, by the assignment itself."""
        return self.texture.assigned[self.label, self.number]

    def tabulate(self) -> Numbers:
        """Count samples by label and class: (10, C)."""
        shape = self.texture.assigned.shape
        cell = self.label * shape[1] + self.number
        return np.bincount(cell, minlength=shape[0] * shape[1]).reshape(shape)


@dataclass(frozen=True, slots=True)
class Split:
    """One split; arrays are (n,) int64 as stored, `digit` numbers digit images."""

    name: str
    index: Numbers
    label: Numbers
    digit: Numbers
    choices: tuple[Choice, ...]

    def count_groups(self) -> Numbers:
        """Count samples by label, background aligned, digit aligned: (10, 2, 2)."""
        counts = np.zeros((LABELS, 2, 2), np.int64)
        flags = (choice.aligned.astype(np.int64) for choice in self.choices)
        np.add.at(counts, (self.label, *flags), 1)
        return counts


@dataclass(frozen=True, slots=True)
class Dataset:
    """All that an audit reads; `strays` shards have other names of classes or files."""

    manifest: Manifest
    textures: tuple[Texture, ...]
    splits: Mapping[str, Split]
    strays: int


def read_dataset(folder: Path) -> Dataset:
    """Read the manifest and all columns but the pixels.

    Raises:
        DatasetError: the folder isn't finished, or a file of it can't be read.
    """
    manifest = read_manifest(folder)
    first, *others = (folder / entry.file for entry in manifest.shards)
    names = read_names(first)
    strays = sum(read_names(other) != names for other in others)
    try:
        textures = tuple(_texture(manifest, names, role) for role in ROLES)
        splits = {s: _split(folder, manifest, s, textures) for s in manifest.splits}
    except KeyError as error:
        raise DatasetError(f"{folder}: the manifest lacks {error}; {REMAKE}") from None
    return Dataset(manifest, textures, splits, strays)


def _texture(
    manifest: Manifest, names: Mapping[str, tuple[str, ...]], role: str
) -> Texture:
    classes = names[f"{role}_texture_classes"]
    files = names[f"{role}_texture_files"]
    number = {name: position for position, name in enumerate(classes)}
    assignment = manifest.recipe["ties"][f"{role}_textures"]
    assigned = np.zeros((LABELS, len(classes)), np.bool_)
    for label, named in enumerate(assignment):
        for name in (named,) if isinstance(named, str) else named:
            assigned[label, number[name]] = True
    return Texture(
        *ROLES[role],
        source=manifest.recipe[f"{role}_textures"],
        classes=classes,
        assigned=assigned,
        files=files,
        file_class=np.array([number.get(f.split("/")[0], -1) for f in files], np.int64),
    )


def _split(
    folder: Path, manifest: Manifest, name: str, textures: Sequence[Texture]
) -> Split:
    columns = read_columns(folder, manifest, name)

    def whole(column: str) -> Numbers:
        return columns[column].astype(np.int64)

    label = whole("label")
    roles = zip(ROLES, textures, manifest.randomness(name), strict=True)
    choices = tuple(
        Choice(
            split=name,
            texture=texture,
            randomness=randomness,
            number=whole(f"{role}_texture"),
            file=whole(f"plan/{role}_texture_file"),
            draw=columns[f"plan/{texture.randomness}_draw"],
            flag=whole(f"{role}_aligned"),
            label=label,
        )
        for role, texture, randomness in roles
    )
    return Split(name, whole("index"), label, whole("plan/digit"), choices)
