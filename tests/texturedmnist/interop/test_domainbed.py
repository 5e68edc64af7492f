from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from tests.random_states import untouched
from tests.texturedmnist.interop.conftest import RECIPE
from texturedmnist import Recipe, TexturedMNIST
from texturedmnist.interop import DomainBedTexturedMNIST
from texturedmnist.interop.domainbed import IMAGENET_MEAN, IMAGENET_STD


class Small(DomainBedTexturedMNIST):
    """Three environments of 28 px."""

    RANDOMNESS = ((0.0, 1.0), (0.5, 1.0), (1.0, 1.0))
    RECIPE: ClassVar[Recipe] = Recipe(**RECIPE)


@pytest.fixture
def root(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


def pixels(image: torch.Tensor) -> Any:  # noqa: ANN401 (an array)
    """Undo the normalization: (S, S, 3) uint8."""
    mean, std = torch.tensor([IMAGENET_MEAN, IMAGENET_STD]).view(2, 3, 1, 1)
    whole = ((image * std + mean) * 255).round()
    return whole.permute(1, 2, 0).to(torch.uint8).numpy()


def test_the_class_has_what_domainbed_reads_of_it() -> None:
    assert Small.ENVIRONMENTS == ["bg0_tex1", "bg0.5_tex1", "bg1_tex1"]
    assert Small.INPUT_SHAPE == (3, 28, 28)
    base = DomainBedTexturedMNIST
    assert [f"bg{bg:g}_tex{tex:g}" for bg, tex in base.RANDOMNESS] == base.ENVIRONMENTS
    assert (base.INPUT_SHAPE, base.RECIPE.image_size) == ((3, 224, 224), 224)
    assert min(base.N_STEPS, base.CHECKPOINT_FREQ, base.N_WORKERS) > 0


def test_an_environment_has_its_randomness_and_a_part_of_the_digits(root: Path) -> None:
    with untouched():
        dataset = Small(root, [2], {"data_augmentation": True})
        assert dataset[0][0]
    assert len(dataset) == len(dataset.datasets) == 3
    assert (dataset.input_shape, dataset.num_classes) == ((3, 28, 28), 10)
    for k, (bg, split) in enumerate(((0.0, "train"), (0.5, "train"), (1.0, "test"))):
        randomness = {"bg": bg, "tex": 1.0, "test_bg": bg, "test_tex": 1.0}
        recipe = Small.RECIPE.model_copy(update=randomness)
        whole = TexturedMNIST.from_recipe(recipe, split)
        part: Any = dataset[k]
        assert len(part) == len(range(k, len(whole), 3))
        for place in (0, 5, len(part) - 1):
            image, label = part[place]
            own = whole[k + 3 * place]
            assert label == own[1]
            assert image.dtype == torch.float32
            assert np.array_equal(pixels(image), np.asarray(own[0]))
