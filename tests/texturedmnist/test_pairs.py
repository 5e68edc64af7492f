"""Counterfactuals and environments: datasets whose samples are paired."""

import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader
from torchvision.transforms import v2

from tests.random_states import untouched
from tests.texturedmnist.tree import EMBEDDED
from texturedmnist.dataset import CounterfactualPairs, TexturedMNIST, environments
from texturedmnist.dataset.environment import recipes_of
from texturedmnist.generate import plan_build, run_build
from texturedmnist.recipe import DTD_CLASSES, Recipe, RecipeError, resolve_assignment
from texturedmnist.sources import open_sources

RECIPE = Recipe(
    bg=0.3, tex=0.4, seed=2, image_size=32, digit_size=28, train=60, val=8, test=10,
    **EMBEDDED, embedded_instances=4,
)  # fmt: skip
TARGETS = ("mask", "label", "digit_texture", "background_texture", "index")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module", params=["stored", "rendered"])
def dataset(
    request: pytest.FixtureRequest,
    cache: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> TexturedMNIST:
    if request.param == "rendered":
        return TexturedMNIST.from_recipe(RECIPE, "train", TARGETS, cache_dir=cache)
    folder = tmp_path_factory.mktemp("stored") / "tm"
    run_build(plan_build(RECIPE, folder, cache_dir=cache))
    return TexturedMNIST(folder, "train", TARGETS, cache_dir=cache)


def pixels(sample: Any) -> NDArray[np.uint8]:  # noqa: ANN401 (an image, a target)
    return np.asarray(sample[0])


@pytest.mark.parametrize("role", ["background_texture", "digit_texture"])
def test_a_pair_is_sample_and_counterfactual(dataset: TexturedMNIST, role: str) -> None:
    pairs = dataset.counterfactuals(role)
    assert len(pairs) == len(dataset) == 60
    for index in (0, 7, -1):
        alone = dataset[index], dataset.counterfactual(index, role)
        for found, (image, (mask, *targets)) in zip(pairs[index], alone, strict=True):
            assert np.array_equal(pixels(found), np.asarray(image))
            assert np.array_equal(found[1][0], mask)
            assert [*found[1][1:]] == targets


def test_a_batch_of_pairs_is_its_pairs(dataset: TexturedMNIST) -> None:
    pairs = dataset.counterfactuals(texture="zigzagged")
    number = dataset.background_texture_classes.index("zigzagged")
    batch = pairs.__getitems__([5, 3, 5])
    for (sample, counterfactual), index in zip(batch, (5, 3, 5), strict=True):
        assert np.array_equal(pixels(sample), pixels(pairs[index][0]))
        assert np.array_equal(pixels(counterfactual), pixels(pairs[index][1]))
        assert counterfactual[1][3] == number
    assert [pairs[index][0][1][-1] for index in range(60)] == [*range(60)]
    with pytest.raises(IndexError, match="index out of range: train has 60 samples"):
        pairs[60]


def test_pairs_are_loaded_by_forked_workers(dataset: TexturedMNIST) -> None:
    pairs = pickle.loads(pickle.dumps(dataset.counterfactuals()))
    assert isinstance(pairs, CounterfactualPairs)
    loader: DataLoader[Any] = DataLoader(
        pairs, 9, num_workers=2, collate_fn=list, multiprocessing_context="fork"
    )
    for index, pair in enumerate(pair for batch in loader for pair in batch):
        direct = dataset[index], dataset.counterfactual(index)
        assert all(map(np.array_equal, map(pixels, pair), map(pixels, direct)))


def test_random_transforms_of_pairs_do_the_same_to_both(dataset: TexturedMNIST) -> None:
    flip = v2.Compose([v2.ToImage(), v2.RandomHorizontalFlip(0.5), v2.RandomCrop(24)])
    pairs = dataset.counterfactuals(transforms=flip)
    torch.manual_seed(0)
    for index in range(12):
        sample, counterfactual = pairs[index]
        assert torch.equal(sample[1][0], counterfactual[1][0])
        outside = sample[1][0].bool().logical_not()
        same = (sample[0] == counterfactual[0]).all(dim=0)
        assert tuple(same.shape) == (24, 24)
        assert same[~outside].all()
        assert not same[outside].all()


def test_environments_are_the_recipe_under_their_randomness(cache: Path) -> None:
    randomness = [(0.0, 1.0), (0.5, 0.25)]
    for split in ("train", "val", "test"):
        found = environments(randomness, split, TARGETS, recipe=RECIPE, cache_dir=cache)
        for (bg, tex), one in zip(randomness, found, strict=True):
            fields = {"bg": bg, "tex": tex, "test_bg": bg, "test_tex": tex}
            recipe = RECIPE.model_copy(update=fields)
            alone = TexturedMNIST.from_recipe(recipe, split, TARGETS, cache_dir=cache)
            assert len(one) == len(alone) == RECIPE.count(split)
            assert np.array_equal(one.read([*range(8)])[0], alone.read([*range(8)])[0])
            assert one[0][1][1:] == alone[0][1][1:]


def test_environments_hold_their_sources_once(cache: Path) -> None:
    randomness = [(0.1, 1.0), (0.2, 1.0), (0.9, 1.0)]
    with untouched():
        one, *others = environments(randomness, recipe=RECIPE, cache_dir=cache)
        assert one[0]
    samples: Any = one._samples
    for other in others:
        theirs: Any = other._samples
        assert theirs.sources is samples.sources


def test_environments_pass_on_targets_and_transforms(cache: Path) -> None:
    given: dict[str, Any] = {"recipe": RECIPE, "cache_dir": cache}
    given |= {"transform": v2.PILToTensor(), "target_transform": tuple}
    (one,) = environments([(0.5, 0.5)], "val", ["label", "index"], **given)
    image, target = one[3]
    assert isinstance(image, torch.Tensor)
    assert target == (one.targets[3], 3)


def test_environments_keep_ties_of_ones_own(cache: Path) -> None:
    assignment = resolve_assignment(RECIPE, DTD_CLASSES, DTD_CLASSES)
    turned = {"background_textures": assignment.background_textures[::-1]}
    recipe = RECIPE.model_copy(update={"ties": assignment.model_copy(update=turned)})
    (one,) = environments([(0.0, 0.0)], recipe=recipe, cache_dir=cache)
    numbers = one.columns["background_texture"]
    for label, number in zip(one.targets.tolist(), numbers, strict=True):
        name = one.background_texture_classes[number]
        assert name in assignment.background_textures[9 - label]


def test_randomness_that_are_none_or_no_pairs_are_refused() -> None:
    for randomness in ([], [(0.1,)], [(0.1, 1.0, 1.0)]):
        text = f"randomness is {randomness!r}; give at least one pair (bg, tex), such"
        with pytest.raises(ValueError, match=f"^{re.escape(text)}"):
            environments(randomness, recipe=RECIPE)  # type: ignore[arg-type]
    with pytest.raises(RecipeError, match=r"tex = 1\.5 is not allowed: "):
        environments([(0.1, 1.0), (0.1, 1.5)], recipe=RECIPE)


def test_environments_without_a_recipe_are_the_papers() -> None:
    (recipe,) = recipes_of([(0.1, 0.2)])
    assert recipe == Recipe(bg=0.1, tex=0.2, test_bg=0.1, test_tex=0.2)


def test_sources_can_be_shared_by_splits(cache: Path) -> None:
    sources = open_sources(RECIPE, cache_dir=cache)
    shared = TexturedMNIST.from_sources(RECIPE, sources, "val")
    alone = TexturedMNIST.from_recipe(RECIPE, "val", cache_dir=cache)
    assert np.array_equal(shared.read([0, 5])[0], alone.read([0, 5])[0])
    with pytest.raises(ValueError, match="unknown split 'valid'; allowed: train, val"):
        TexturedMNIST.from_sources(RECIPE, sources, "valid")


def test_old_names_do_the_same(dataset: TexturedMNIST, cache: Path) -> None:
    with pytest.warns(FutureWarning, match="twin is now called counterfactual; the"):
        old = dataset.twin(1)
    assert np.array_equal(np.asarray(old[0]), np.asarray(dataset.counterfactual(1)[0]))
    with pytest.warns(FutureWarning, match="get_twins is now called get_counterfact"):
        assert len(dataset.get_twins([0, 1])) == 2
    with pytest.warns(FutureWarning, match="twins is now called counterfactuals"):
        assert len(dataset.twins()) == len(dataset)
    with pytest.warns(FutureWarning, match="Recipe.knobs is now called Recipe.random"):
        assert RECIPE.knobs("test") == RECIPE.randomness("test") == (1.0, 0.4)
    with pytest.warns(FutureWarning, match="the argument knobs is now called random"):
        (one,) = environments(  # type: ignore[call-arg]
            knobs=[(0.1, 1.0)], recipe=RECIPE, cache_dir=cache
        )
    assert len(one) == 60
