"""Samples beside their counterfactuals, as a dataset."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from torch.utils.data import Dataset

if TYPE_CHECKING:
    from texturedmnist.dataset.textured_mnist import TexturedMNIST

Pair = tuple[Any, Any]


class CounterfactualPairs(Dataset[Pair]):
    """Pairs ((image, target), (image, target)) of a sample and its counterfactual.

    Examples:
        >>> from texturedmnist import Recipe, TexturedMNIST
        >>> recipe = Recipe(
        ...     bg=0.2, tex=0.5, train=100, val=20, test=20, image_size=64,
        ...     digits="embedded", digit_textures="embedded",
        ...     background_textures="embedded",
        ... )
        >>> data = TexturedMNIST.from_recipe(recipe)
        >>> pairs = data.counterfactuals("background_texture")
        >>> (image, label), (other, same_label) = pairs[0]
        >>> image.size, other.size, image == other, label == same_label
        ((64, 64), (64, 64), False, True)

    The two differ in one texture and in nothing else; see
    `TexturedMNIST.counterfactual`. The dataset's own transforms are called for each of
    the two, so random ones draw again for the counterfactual. Random transforms that
    should do the same to both belong in `transforms`: v2's draw once for all that they
    are called with.

    Args:
        dataset: whose samples.
        role: `background_texture` or `digit_texture`: what the counterfactual has
            otherwise.
        texture: name of the counterfactuals' class; None draws one other than the
            sample's own.
        transforms: called with a sample and its counterfactual; returns the pair.

    Raises:
        ValueError: an unknown role or class.
        DatasetError: a stored folder's sources can't be found again.
        SourceError: they are absent.
    """

    def __init__(
        self,
        dataset: "TexturedMNIST",
        role: str = "background_texture",
        texture: str | None = None,
        transforms: Callable[..., Any] | None = None,
    ) -> None:
        """Open the sources, so that what is wrong is told before any epoch."""
        dataset.get_counterfactuals([], role, texture)
        self.dataset, self.role, self.texture = dataset, role, texture
        self.transforms = transforms

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self.dataset)

    def __getitem__(self, index: int) -> Pair:
        """Return (sample, counterfactual)."""
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[Pair]:
        """Return the pairs of a batch, rendered together."""
        samples = self.dataset.__getitems__(indices)
        counterfactuals = self.dataset.get_counterfactuals(
            indices, self.role, self.texture
        )
        pairs = [*zip(samples, counterfactuals, strict=True)]
        if self.transforms is None:
            return pairs
        return [self.transforms(*pair) for pair in pairs]
