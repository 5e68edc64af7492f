"""Environments in the shape of DomainBed's datasets; nothing is imported from it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch.utils.data import Dataset, Subset
from torchvision.transforms import v2

from texturedmnist.dataset import TexturedMNIST
from texturedmnist.dataset.environment import recipes_of
from texturedmnist.dataset.samples import absolute
from texturedmnist.recipe import Recipe
from texturedmnist.sources import open_sources

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class DomainBedTexturedMNIST:
    """One environment per pair (bg, tex), as DomainBed's `MultipleDomainDataset`.

    Subclass it to choose randomness and recipe, and put the class where DomainBed looks
    for
    it: `domainbed.datasets.MyTexturedMNIST = MyTexturedMNIST`.

    As in DomainBed's ColoredMNIST, environments share no sample: environment k of n has
    every n-th from the k-th. Those in `test_envs` are made of test digits and test
    textures, the others of training ones. Images are (3, S, S) float32, normalized with
    ImageNet's mean and deviation as DomainBed's photographs are; there is no
    augmentation, as DomainBed's flips turn digits into others.

    Args:
        root: where MNIST and DTD are.
        test_envs: numbers of the environments that are held out.
        hparams: not used; DomainBed hands them to every dataset.

    Attributes:
        datasets: one (image, label) dataset per environment.
        input_shape: (3, S, S).
        num_classes: 10.
    """

    RANDOMNESS: ClassVar[Sequence[tuple[float, float]]] = (
        (0.1, 1.0),
        (0.2, 1.0),
        (1.0, 1.0),
    )
    RECIPE: ClassVar[Recipe] = Recipe(
        bg=0, tex=0
    )  # the randomness is the environment's
    ENVIRONMENTS: ClassVar[list[str]] = ["bg0.1_tex1", "bg0.2_tex1", "bg1_tex1"]
    INPUT_SHAPE: ClassVar[tuple[int, int, int]] = (3, 224, 224)
    N_STEPS = 5001
    CHECKPOINT_FREQ = 300
    N_WORKERS = 8

    def __init_subclass__(cls) -> None:
        """Name the environments and the shape after randomness and recipe."""
        cls.ENVIRONMENTS = [f"bg{bg:g}_tex{tex:g}" for bg, tex in cls.RANDOMNESS]
        cls.INPUT_SHAPE = (3, cls.RECIPE.image_size, cls.RECIPE.image_size)

    def __init__(
        self,
        root: str | Path,
        test_envs: Sequence[int],
        hparams: Mapping[str, Any] | None = None,
    ) -> None:
        """Open the sources."""
        recipes = recipes_of(self.RANDOMNESS, self.RECIPE)
        sources = open_sources(recipes[0], data_root=absolute(root))
        self.datasets: list[Dataset[Any]] = []
        for k, recipe in enumerate(recipes):
            split = "test" if k in test_envs else "train"
            whole = TexturedMNIST.from_sources(
                recipe, sources, split, transform=_to_input()
            )
            self.datasets.append(Subset(whole, range(k, len(whole), len(recipes))))
        self.input_shape, self.num_classes = self.INPUT_SHAPE, 10

    def __len__(self) -> int:
        """Return the number of environments."""
        return len(self.datasets)

    def __getitem__(self, number: int) -> Dataset[Any]:
        """Return an environment."""
        return self.datasets[number]


def _to_input() -> v2.Compose:
    return v2.Compose(
        [
            v2.ToImage(),
            v2.ToPureTensor(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(IMAGENET_MEAN, IMAGENET_STD),
        ]
    )
