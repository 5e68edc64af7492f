"""Datasets that differ in their randomness alone."""

from collections.abc import Sequence
from pathlib import Path

from texturedmnist.common.renamed import renamed_argument
from texturedmnist.dataset.samples import absolute
from texturedmnist.dataset.targets import Transform
from texturedmnist.dataset.textured_mnist import TexturedMNIST
from texturedmnist.recipe import Recipe
from texturedmnist.sources import open_sources


@renamed_argument("knobs", "randomness")
def environments(
    randomness: Sequence[tuple[float, float]],
    split: str = "train",
    target_types: str | Sequence[str] = "label",
    transforms: Transform | None = None,
    transform: Transform | None = None,
    target_transform: Transform | None = None,
    *,
    recipe: Recipe | None = None,
    data_root: str | Path | None = None,
    cache_dir: str | Path | None = None,
    download: bool = False,
) -> list[TexturedMNIST]:
    """Return one dataset per pair (bg, tex), rendered on the fly.

    Examples:
        >>> from texturedmnist import Recipe, environments
        >>> recipe = Recipe(
        ...     bg=0.2, tex=0.5, train=100, val=20, test=20, image_size=64,
        ...     digits="embedded", digit_textures="embedded",
        ...     background_textures="embedded",
        ... )
        >>> first, second = environments([(0.1, 1.0), (0.9, 1.0)], recipe=recipe)
        >>> first.read([0, 1])[0].shape, second.read([0, 1])[0].shape
        ((2, 64, 64, 3), (2, 64, 64, 3))
        >>> (first.read([0, 1])[1] == second.read([0, 1])[1]).all()  # the same masks
        np.True_

    Sample i shows the same digit at the same place in all of them, with crops at the
    same fractions; between two environments exactly those samples switch a texture
    whose draw lies between the two values. Where environments must not share digits,
    give each a part: `Subset(environment, range(k, len(environment), count))`.

    `randomness` holds (background randomness, digit-texture randomness) by environment,
    for any split: an environment of test digits has this randomness, too. `split` is
    `train`, `val` or `test`: which digits and texture files. `recipe` says everything
    but the randomness; MNIST and DTD as in the paper if None. All else is as for
    `TexturedMNIST.from_recipe`.

    Raises:
        ValueError: there are no pairs, or they aren't pairs; an unknown name.
        RecipeError: a randomness is out of range.
        SourceError: a source is absent or damaged.
    """
    recipes = recipes_of(randomness, recipe)
    sources = open_sources(
        recipes[0],
        data_root=absolute(data_root),
        cache_dir=absolute(cache_dir),
        download=download,
    )
    given = target_types, transforms, transform, target_transform
    return [TexturedMNIST.from_sources(one, sources, split, *given) for one in recipes]


def recipes_of(
    randomness: Sequence[tuple[float, float]], recipe: Recipe | None = None
) -> list[Recipe]:
    """Return the recipe of each pair (bg, tex).

    Raises:
        ValueError: there are no pairs, or they aren't pairs.
        RecipeError: a randomness is out of range.
    """
    if not randomness or not all(len(pair) == 2 for pair in randomness):
        raise ValueError(
            f"randomness is {randomness!r}; give at least one pair (bg, tex), such as "
            "[(0.1, 1.0), (0.2, 1.0)]"
        )
    base = {} if recipe is None else recipe.model_dump()
    return [
        Recipe(**{**base, "bg": bg, "tex": tex, "test_bg": bg, "test_tex": tex})
        for bg, tex in randomness
    ]
