"""Which textures are assigned to which digit."""

import os
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Self

from pydantic import AfterValidator, field_validator, model_validator

from texturedmnist.common.text import near, shown
from texturedmnist.recipe.base import FrozenModel, RecipeError

if TYPE_CHECKING:
    from texturedmnist.recipe.model import Recipe

NAMED_SOURCES = ("dtd", "embedded")
LISTED = 60  # names in a message: DTD's 47 and some
DTD_CLASSES = tuple(
    """banded blotchy braided bubbly bumpy chequered cobwebbed cracked crosshatched
    crystalline dotted fibrous flecked freckled frilly gauzy grid grooved honeycombed
    interlaced knitted lacelike lined marbled matted meshed paisley perforated pitted
    pleated polka-dotted porous potholed scaly smeared spiralled sprinkled stained
    stratified striped studded swirly veined waffled woven wrinkled zigzagged""".split()  # noqa: SIM905 (47 names, one line each, say less)
)


def normal(name: str) -> str:
    """Return a name in Unicode's normal form C."""
    return unicodedata.normalize("NFC", name)


Name = Annotated[str, AfterValidator(normal)]


class Assignment(FrozenModel):
    """Which textures are assigned to which digit: the paper's Tab. 1, which is lost.

    Both fields are ordered by digit; in YAML each may be a list of ten or a mapping
    with the keys 0 ... 9. Names are kept in Unicode's normal form C: the same name is
    one name, however it was typed or a disk keeps it.
    """

    digit_textures: tuple[Name, ...]
    background_textures: tuple[tuple[Name, ...], ...]

    @field_validator("digit_textures", "background_textures", mode="before")
    @classmethod
    def _by_digit(cls, value: object) -> object:
        if not isinstance(value, Mapping):
            return value
        by_digit = {str(key): names for key, names in value.items()}  # "0": counts too
        missing = [digit for digit in range(10) if str(digit) not in by_digit]
        if missing or len(value) != 10:
            raise ValueError(f"the keys must be the digits 0 to 9; missing: {missing}")
        return tuple(by_digit[str(digit)] for digit in range(10))

    @field_validator("background_textures", mode="before")
    @classmethod
    def _single_name(cls, value: object) -> object:
        if not isinstance(value, Sequence) or isinstance(value, str):
            return value
        return tuple((names,) if isinstance(names, str) else names for names in value)

    @model_validator(mode="after")
    def _ten_and_disjoint(self) -> Self:
        if len(self.digit_textures) != 10 or len(set(self.digit_textures)) != 10:
            raise ValueError(
                "ties need 10 different digit-texture classes, one per digit; "
                f"{len(set(self.digit_textures))} given"
            )
        if len(self.background_textures) != 10 or not all(self.background_textures):
            raise ValueError("ties need at least one background class for each digit")
        assigned = Counter(name for names in self.background_textures for name in names)
        twice = sorted(name for name, count in assigned.items() if count > 1)
        if twice:
            raise ValueError(f"background classes assigned twice: {listed(twice)}")
        return self

    @property
    def digit_classes(self) -> tuple[str, ...]:
        """The ten digit-texture classes, sorted: their numbers in every file."""
        return tuple(sorted(self.digit_textures))

    @property
    def background_classes(self) -> tuple[str, ...]:
        """All background classes, sorted: their numbers in every file."""
        return tuple(
            sorted(name for names in self.background_textures for name in names)
        )


def listed(names: Sequence[str]) -> str:
    """Join names for a message; of very many the first ones."""
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more


def resolve_assignment(
    recipe: "Recipe", digit_classes: Sequence[str], background_classes: Sequence[str]
) -> Assignment:
    """Return the recipe's own assignment, checked, or the default one.

    The default [assumed: the paper's Tab. 1 is lost]: of the digit source's classes in
    sorted order the first ten are digit textures, digit d has the d-th; the background
    classes are assigned in turn. Sources that share their names share this cut.

    Raises:
        RecipeError: a class is unknown, on both sides, or there are too few.
    """
    shared = _vocabulary(recipe.digit_textures) == _vocabulary(
        recipe.background_textures
    )
    if recipe.ties is not None:
        _check_assignment(recipe.ties, digit_classes, background_classes, shared=shared)
        return recipe.ties
    digit_textures = tuple(sorted(digit_classes)[:10])
    taken = set(digit_textures) if shared else set()
    backgrounds = [name for name in sorted(background_classes) if name not in taken]
    if len(digit_textures) < 10 or len(backgrounds) < 10:
        raise RecipeError(
            "the default assignment needs 10 digit-texture classes and 10 further "
            f"background classes; found {len(digit_textures)} and "
            f"{len(backgrounds)}: add class "
            "folders, choose another source, or give `ties` in the recipe file"
        )
    return Assignment(
        digit_textures=digit_textures,
        background_textures=tuple(tuple(backgrounds[d::10]) for d in range(10)),
    )


def _vocabulary(source: str) -> str:
    """Name the set of class names that a source draws on."""
    if source in NAMED_SOURCES:
        return "dtd"
    # What the source itself makes of a `~` without a home is told there.
    return os.path.realpath(os.path.expanduser(source))  # noqa: PTH111 (never raises)


def _check_assignment(
    assignment: Assignment,
    digits: Sequence[str],
    backgrounds: Sequence[str],
    *,
    shared: bool,
) -> None:
    for kind, names, known in (
        ("digit-texture", assignment.digit_classes, digits),
        ("background", assignment.background_classes, backgrounds),
    ):
        having = set(known)
        for name in names:
            if name not in having:
                raise RecipeError(
                    f"ties name an unknown {kind} class {shown(name)}"
                    f"{near(name, known)} (known: {listed(sorted(known))})"
                )
    both = sorted(set(assignment.digit_classes) & set(assignment.background_classes))
    if shared and both:
        raise RecipeError(
            f"ties use a class as digit texture and as background: {listed(both)}; "
            "the two sets must not overlap"
        )
