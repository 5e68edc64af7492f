import numpy as np
import pytest

from texturedmnist import Recipe, TexturedMNIST, environments

ROLES = ("digits", "digit_textures", "background_textures")
RECIPE = Recipe(
    bg=0.2,
    tex=0.5,
    train=4,
    val=2,
    test=2,
    image_size=32,
    **dict.fromkeys(ROLES, "embedded"),
)


@pytest.fixture(scope="module")
def data() -> TexturedMNIST:
    return TexturedMNIST.from_recipe(RECIPE, "train")


def test_old_names_give_the_same_and_name_the_new_one(data: TexturedMNIST) -> None:
    with pytest.warns(FutureWarning, match="twin is now called counterfactual; the"):
        old = data.twin(1)
    assert np.array_equal(np.asarray(old[0]), np.asarray(data.counterfactual(1)[0]))
    with pytest.warns(FutureWarning, match="get_twins is now called get_counterfact"):
        assert len(data.get_twins([0, 1])) == 2
    with pytest.warns(FutureWarning, match="twins is now called counterfactuals"):
        assert len(data.twins()) == len(data)
    with pytest.warns(FutureWarning, match="Recipe.knobs is now called Recipe.random"):
        assert RECIPE.knobs("test") == RECIPE.randomness("test") == (1.0, 0.5)


def test_an_old_argument_is_taken_and_named() -> None:
    with pytest.warns(FutureWarning, match="the argument knobs is now called random"):
        (one,) = environments(knobs=[(0.1, 1.0)], recipe=RECIPE)  # type: ignore[call-arg]
    assert len(one) == 4
