"""The recipe, its file and its identity."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    field_validator,
    model_validator,
)

from texturedmnist.common.digest import canonical_digest
from texturedmnist.common.renamed import warn_renamed
from texturedmnist.common.text import unknown
from texturedmnist.common.yaml_file import YamlError, read_yaml
from texturedmnist.recipe.assignment import NAMED_SOURCES, Assignment
from texturedmnist.recipe.base import FrozenModel, RecipeError
from texturedmnist.recipe.presets import PRESETS

SPLITS = ("train", "val", "test", "val_shifted")
RECIPE_VERSION = 1  # raised whenever the same recipe would give other samples


def _number(value: object) -> object:
    """Refuse yes, no and text, which pydantic takes for numbers: 010, say."""
    if isinstance(value, bool | str):
        raise ValueError("give a number")
    return value


Whole = Annotated[int, BeforeValidator(_number)]
Probability = Annotated[
    float,
    Field(ge=0, le=1, allow_inf_nan=False),
    AfterValidator(abs),  # -0.0 is 0.0, and one identity
    BeforeValidator(_number),
]
Count = Annotated[Whole, Field(ge=0, le=1_000_000_000)]


class Recipe(FrozenModel):
    """Everything that a sample depends on, besides the sources' pixels.

    Examples:
        >>> from texturedmnist import Recipe
        >>> recipe = Recipe(
        ...     bg=0.2, tex=0.5, train=100, val=20, test=20, image_size=64,
        ...     digits="embedded", digit_textures="embedded",
        ...     background_textures="embedded",
        ... )
        >>> recipe.randomness("train")  # (bg, tex)
        (0.2, 0.5)
        >>> recipe.randomness("test")
        (1.0, 0.5)
        >>> recipe.counts()
        {'train': 100, 'val': 20, 'test': 20}

    Attributes:
        bg: background randomness of train and val: the probability that a
            background class is drawn from all instead of those assigned to the digit.
        tex: digit-texture randomness of train and val, likewise.
        test_bg: background randomness of test and val_shifted.
        test_tex: digit-texture randomness of test and val_shifted; `tex` by default.
        seed: seed of every draw.
        digits: `mnist` or `embedded` (scikit-learn's handwritten digits).
        digit_textures: `dtd`, `embedded` or a folder with one sub-folder per class.
        background_textures: likewise.
        train: number of samples; the first of a longer split are those of a shorter.
        val: number of samples of val (and val_shifted).
        test: number of samples.
        val_shifted: store val's digits and files under the test randomness too.
        image_size: height and width in px.
        digit_size: height and width of the digit's square in px; `image_size` by
            default. A smaller one is placed at random.
        embedded_instances: images per class of the embedded textures.
        dtd_partition: which of DTD's ten official partitions splits its files.
        ties: overrides the default assignment of textures to digits.

    Raises:
        RecipeError: a field is unknown, of the wrong type or out of range.
    """

    bg: Probability
    tex: Probability
    test_bg: Probability = 1.0
    test_tex: Probability | None = None
    seed: Whole = Field(default=0, ge=0, lt=2**63)
    digits: Literal["mnist", "embedded"] = "mnist"
    digit_textures: str = Field(default="dtd", min_length=1)
    background_textures: str = Field(default="dtd", min_length=1)
    train: Count = 54_000
    val: Count = 6_000
    test: Count = 10_000
    val_shifted: bool = False
    image_size: Whole = Field(default=224, ge=28, le=2048)
    digit_size: Whole | None = Field(default=None, ge=28)
    embedded_instances: Whole = Field(default=24, ge=3, le=10_000)
    dtd_partition: Whole = Field(default=1, ge=1, le=10)
    ties: Assignment | None = None

    @field_validator("digit_textures", "background_textures")
    @classmethod
    def _no_nul(cls, value: str) -> str:
        if "\0" in value:
            raise ValueError("no path holds the character NUL")
        return value

    @field_validator("ties", mode="before")
    @classmethod
    def _named_fields(cls, value: object) -> object:
        if isinstance(value, Mapping) and not all(isinstance(k, str) for k in value):
            raise ValueError(f"its keys are {' and '.join(Assignment.model_fields)}")
        return value

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.digit_size is not None and self.digit_size > self.image_size:
            raise ValueError(
                f"digit_size {self.digit_size} is larger than image_size "
                f"{self.image_size}; the digit must fit into the image"
            )
        if not self.train + self.val + self.test:
            raise ValueError("train, val and test are all 0: there is nothing to make")
        return self

    @property
    def digit_size_px(self) -> int:
        """Height and width of the digit's square in px."""
        return self.image_size if self.digit_size is None else self.digit_size

    def randomness(self, split: str) -> tuple[float, float]:
        """Return (background randomness, digit-texture randomness) of a split."""
        if split in ("train", "val"):
            return self.bg, self.tex
        return self.test_bg, self.tex if self.test_tex is None else self.test_tex

    def knobs(self, split: str) -> tuple[float, float]:
        """Return what `randomness` returns, of which it is the old name."""
        warn_renamed("Recipe.knobs", "Recipe.randomness")
        return self.randomness(split)

    def count(self, split: str) -> int:
        """Return the number of samples of a split, stored or not."""
        return {"train": self.train, "test": self.test}.get(split, self.val)

    def counts(self) -> dict[str, int]:
        """Return the number of samples of each split that is stored."""
        stored = SPLITS if self.val_shifted else SPLITS[:3]
        return {split: self.count(split) for split in stored if self.count(split)}

    def canonical(self, assignment: Assignment) -> dict[str, Any]:
        """Return the recipe as plain JSON values: resolved, and without any path."""
        fields = self.model_dump(mode="json")
        fields["test_tex"] = self.randomness("test")[1]
        fields["digit_size"] = self.digit_size_px
        fields["ties"] = assignment.model_dump(mode="json")
        for role in ("digit_textures", "background_textures"):
            if fields[role] not in NAMED_SOURCES:
                fields[role] = "folder"
        return fields


def load_recipe(
    path: Path | None = None, *, preset: str | None = None, **overrides: Any
) -> Recipe:
    """Read a recipe from a YAML file or a preset; explicit values beat both.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from texturedmnist import load_recipe
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "recipe.yaml")
        ...     _ = path.write_text("{bg: 0.2, tex: 0.5, image_size: 64}")
        ...     recipe = load_recipe(path, tex=1.0)
        >>> recipe.bg, recipe.tex, recipe.image_size
        (0.2, 1.0, 64)

    Args:
        path: a YAML mapping of `Recipe` fields, or None for the overrides alone.
        preset: a name of `PRESETS`; the file's fields replace the preset's.
        overrides: fields that replace the file's; None means not given.

    Raises:
        RecipeError: the file can't be read, isn't a mapping, or a field is wrong; there
            is no such preset.
    """
    if preset is not None and preset not in PRESETS:
        raise RecipeError(unknown("preset", preset, PRESETS))
    fields = {} if preset is None else dict(PRESETS[preset].fields)
    fields |= {} if path is None else _read_yaml(path)
    given = {key: value for key, value in overrides.items() if value is not None}
    try:
        return Recipe(**{**fields, **given})
    except RecipeError as error:
        where = "" if path is None else f"{path}: "
        raise RecipeError(f"{where}{error}") from None


def recipe_hash(canonical: Mapping[str, Any], version: int = RECIPE_VERSION) -> str:
    """Return the sha256 (hex) of a canonical recipe and the recipe version."""
    return canonical_digest({"version": version, "recipe": canonical})


def dataset_identity(
    canonical: Mapping[str, Any],
    digests: Mapping[str, str],
    version: int = RECIPE_VERSION,
) -> str:
    """Return the sha256 (hex) of the recipe without paths and its sources' pixels."""
    recipe = recipe_hash(canonical, version)
    return canonical_digest({"recipe": recipe, "sources": dict(digests)})


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        fields, _ = read_yaml(path, "recipe")
    except YamlError as error:
        raise RecipeError(str(error)) from None
    if not isinstance(fields, dict) or not all(isinstance(one, str) for one in fields):
        raise RecipeError(
            f"{path} must be a YAML mapping of recipe fields such as 'bg: 0.2'; "
            f"known: {', '.join(Recipe.model_fields)}"
        )
    return fields
