"""Every random choice of a sample: f(recipe, sources, split, index)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from texturedmnist.draws import below, draw, hash_order, unit
from texturedmnist.recipe import Recipe
from texturedmnist.sources import FileIndex, SourceIndex

PARTITIONS = {"train": 0, "val": 1, "val_shifted": 1, "test": 2}

Numbers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class TexturePlan:
    """One texture of each of n samples; every array is (n,).

    Attributes:
        size: height and width of the crop in px.
        draw: float64 in [0, 1); below the randomness, the class is drawn from all
            classes, else from those assigned to the label.
        number: int64, the class.
        aligned: bool, whether the class is assigned to the label.
        file: int64, number of the file in its bank.
        y: int64, upper edge of the crop in px.
        x: int64, left edge of the crop in px.
    """

    size: int
    draw: NDArray[np.float64]
    number: Numbers
    aligned: NDArray[np.bool_]
    file: Numbers
    y: Numbers
    x: Numbers

    def take(self, positions: Numbers | slice) -> "TexturePlan":
        """Return the plan of some of the samples."""
        names = ("draw", "number", "aligned", "file", "y", "x")
        return replace(self, **{name: getattr(self, name)[positions] for name in names})


@dataclass(frozen=True, slots=True)
class SamplePlan:
    """What it takes to render n samples; every array is (n,).

    Attributes:
        index: int64, place of the sample in its split.
        label: int64 in [0, 9].
        digit: int64, number of the digit image in its source.
        y: int64, upper edge of the digit's square in px.
        x: int64, left edge of the digit's square in px.
        digit_texture: the texture inside the mask.
        background_texture: the texture outside.
    """

    index: Numbers
    label: Numbers
    digit: Numbers
    y: Numbers
    x: Numbers
    digit_texture: TexturePlan
    background_texture: TexturePlan

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.index)

    def take(self, positions: Numbers | slice) -> "SamplePlan":
        """Return the plan of some of the samples."""
        names = ("index", "label", "digit", "y", "x")
        return replace(
            self,
            digit_texture=self.digit_texture.take(positions),
            background_texture=self.background_texture.take(positions),
            **{name: getattr(self, name)[positions] for name in names},
        )

    def columns(self) -> dict[str, NDArray[Any]]:
        """Return every (n,) array under the name that it has in shards and tables."""
        digit, background = self.digit_texture, self.background_texture
        return {
            "label": self.label,
            "index": self.index,
            "digit_texture": digit.number,
            "background_texture": background.number,
            "digit_aligned": digit.aligned,
            "background_aligned": background.aligned,
            "plan/digit": self.digit,
            "plan/digit_y": self.y,
            "plan/digit_x": self.x,
            "plan/tex_draw": digit.draw,
            "plan/digit_texture_file": digit.file,
            "plan/digit_texture_y": digit.y,
            "plan/digit_texture_x": digit.x,
            "plan/bg_draw": background.draw,
            "plan/background_texture_file": background.file,
            "plan/background_texture_y": background.y,
            "plan/background_texture_x": background.x,
        }


def plan_samples(
    recipe: Recipe,
    index: SourceIndex,
    split: str,
    indices: Numbers,
    *,
    digit_texture: Numbers | None = None,
    background_texture: Numbers | None = None,
) -> SamplePlan:
    """Plan samples of a split; each is independent of the others.

    Args:
        recipe: what to make.
        index: the sources, without their pixels.
        split: `train`, `val`, `val_shifted` or `test`.
        indices: (n,) int64, >= 0, in any order.
        digit_texture: (n,) class numbers instead of the drawn ones (for
            counterfactuals).
        background_texture: likewise; file and crop keep their fractions.
    """
    indices = np.asarray(indices, np.int64)

    def draws(purpose: str) -> NDArray[np.uint64]:
        return draw(recipe.seed, split, purpose, indices)

    pool = digit_pool(recipe.seed, split, index)
    digit = pool[indices % len(pool)]
    label = index.labels[digit].astype(np.int64)
    bg, tex = recipe.randomness(split)
    size, digit_size = recipe.image_size, recipe.digit_size_px
    inside = _Role("tex", tex, "digit_texture", index.digit_textures, digit_size)
    outside = _Role("bg", bg, "background_texture", index.background_textures, size)
    digit_assignment = [(name,) for name in index.assignment.digit_textures]
    assignment = index.assignment.background_textures
    choose = partial(_texture, draws, PARTITIONS[split], label)
    return SamplePlan(
        index=indices,
        label=label,
        digit=digit,
        y=below(draws("digit_y"), size - digit_size + 1),
        x=below(draws("digit_x"), size - digit_size + 1),
        digit_texture=choose(inside, digit_assignment, digit_texture),
        background_texture=choose(outside, assignment, background_texture),
    )


def digit_pool(seed: int, split: str, index: SourceIndex) -> Numbers:
    """Return the digits of a split in the order in which its samples take them."""
    return _digit_pool(seed, split, len(index.labels), index.development)


def other_class(
    recipe: Recipe, split: str, indices: Numbers, role: str, number: Numbers, count: int
) -> Numbers:
    """Draw for each sample a class other than its own, uniformly (for counterfactuals).

    `number` are the samples' own classes, (n,), and `count` of all classes, >= 2; the
    role is `digit_texture` or `background_texture`.
    """
    step = below(draw(recipe.seed, split, f"{role}_twin", indices), count - 1) + 1
    return (number + step) % count


class _Role(NamedTuple):
    """A texture's part in the image; `drawn_by` and `name` are those of its draws."""

    drawn_by: str
    randomness: float
    name: str
    files: FileIndex
    size: int


def _texture(
    draws: Callable[[str], NDArray[np.uint64]],
    partition: int,
    label: Numbers,
    role: _Role,
    assignment: Sequence[Sequence[str]],
    given: Numbers | None,
) -> TexturePlan:
    """Choose class, file and crop; the randomness enters only by a comparison."""
    files = role.files
    assigned, count, owner = _assigned_numbers(assignment, files.classes)
    position = below(draws(f"{role.name}_tied"), count[label])
    free = below(draws(f"{role.name}_free"), len(files.classes))
    drawn = unit(draws(role.drawn_by))
    number = np.where(drawn < role.randomness, free, assigned[label, position])
    if given is not None:
        number = np.asarray(given, np.int64)
    count_of = files.count[partition, number]
    file = files.first[partition, number] + below(draws(f"{role.name}_file"), count_of)
    return TexturePlan(
        size=role.size,
        draw=drawn,
        number=number,
        aligned=owner[number] == label,
        file=file,
        y=below(draws(f"{role.name}_y"), files.heights[file] - role.size + 1),
        x=below(draws(f"{role.name}_x"), files.widths[file] - role.size + 1),
    )


def _assigned_numbers(
    assignment: Sequence[Sequence[str]], classes: Sequence[str]
) -> tuple[Numbers, Numbers, Numbers]:
    """Return which classes are assigned to which digit.

    Returns:
        The assigned classes by digit, (10, most) padded with -1; their counts, (10,);
        the digit that each class is assigned to, (C,), -1 for none.
    """
    number = {name: position for position, name in enumerate(classes)}
    count = np.array([len(names) for names in assignment], np.int64)
    assigned = np.full((len(assignment), count.max()), -1, np.int64)
    owner = np.full(len(classes), -1, np.int64)
    for digit, names in enumerate(assignment):
        assigned[digit, : len(names)] = [number[name] for name in names]
        owner[assigned[digit, : len(names)]] = digit
    return assigned, count, owner


@lru_cache(maxsize=32)
def _digit_pool(seed: int, split: str, total: int, development: int) -> Numbers:
    if split == "test":
        return development + hash_order(seed, "digit_order", total - development)
    order = hash_order(seed, "digit_order", development)
    cut = development * 9 // 10
    return order[:cut] if split == "train" else order[cut:]
