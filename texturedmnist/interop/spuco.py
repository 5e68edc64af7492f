"""The dataset as SpuCo's trainers and evaluators take it.

SpuCo asks for no class of its own, only for the properties of its
`BaseSpuCoCompatibleDataset`: nothing is imported from it here.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch.utils.data import Dataset
from torchvision.transforms.functional import to_tensor

from texturedmnist.dataset import TexturedMNIST
from texturedmnist.interop.errors import warn_of_empty_groups

SPURIOUS = (
    "background_aligned",
    "digit_aligned",
    "background_texture",
    "digit_texture",
)


class SpuCoTexturedMNIST(Dataset[tuple[Any, int]]):
    """A split in SpuCo's terms: (image, label), and groups (label, spurious label).

    SpuCo's GroupDRO wants batches of at least as many samples as there are groups: 20
    with an aligned flag as spurious attribute, up to 370 with the background's texture.

    Args:
        dataset: stored or rendered; its own transforms and targets aren't used.
        spurious: the spurious attribute, one of `SPURIOUS`; the flags are 1 where the
            texture is assigned to the label.
        transform: called with a PIL image; if None, images are (3, S, S) float32 in
            [0, 1], as SpuCo's loaders can't batch PIL images.

    Attributes:
        spurious_classes: names of the spurious labels.

    Warns:
        EmptyGroupsWarning: some groups have no samples.

    Raises:
        ValueError: an unknown spurious attribute.
    """

    def __init__(
        self,
        dataset: TexturedMNIST,
        spurious: str = "background_aligned",
        transform: Callable[..., Any] | None = None,
    ) -> None:
        """Sort the samples into groups."""
        if spurious not in SPURIOUS:
            raise ValueError(
                f"unknown spurious attribute {spurious!r}; allowed: "
                f"{', '.join(SPURIOUS)}"
            )
        self.dataset, self.transform = dataset, transform
        self.spurious_classes = _names(dataset, spurious)
        self._labels = dataset.targets.numpy().copy()
        self._spurious = dataset.columns[spurious].astype(np.int64)
        self._partition = _partition(self._labels, self._spurious)
        warn_of_empty_groups(
            dataset.split, spurious, self._partition, len(self.spurious_classes)
        )

    def initialize(self) -> None:
        """Do nothing: SpuCo's datasets load here, ours are ready."""

    @property
    def group_partition(self) -> dict[tuple[int, int], list[int]]:
        """Indices by (label, spurious label); only groups that have any."""
        return self._partition

    @property
    def group_weights(self) -> dict[tuple[int, int], float]:
        """Share of all samples by (label, spurious label)."""
        return {key: len(part) / len(self) for key, part in self._partition.items()}

    @property
    def spurious(self) -> list[int]:
        """Spurious label of each sample."""
        return list(self._spurious.tolist())

    @property
    def labels(self) -> list[int]:
        """Label of each sample."""
        return list(self._labels.tolist())

    @property
    def num_classes(self) -> int:
        """Number of labels."""
        return 10

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.dataset)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        """Return (image, label) of one sample, transformed."""
        images, _, labels = self.dataset.read([index])
        image = Image.fromarray(images[0])
        transform = to_tensor if self.transform is None else self.transform
        return transform(image), int(labels[0])

    def get_mask(self, index: int) -> NDArray[np.uint8]:
        """Return a sample's mask, (S, S) uint8 in {0, 1}."""
        mask: NDArray[np.uint8] = self.dataset.read([index])[1][0]
        return mask


def spuco_dataset(
    root: str | Path,
    split: str = "train",
    spurious: str = "background_aligned",
    transform: Callable[..., Any] | None = None,
) -> SpuCoTexturedMNIST:
    """Open a split of a finished folder for SpuCo; see `SpuCoTexturedMNIST`.

    The split is `train`, `val`, `test`, or `val_shifted` where it was stored.

    Raises:
        DatasetError: the folder isn't a finished dataset, or has no such split.
        ValueError: an unknown split or spurious attribute.
    """
    return SpuCoTexturedMNIST(TexturedMNIST(root, split), spurious, transform)


def _names(dataset: TexturedMNIST, spurious: str) -> tuple[str, ...]:
    if spurious.endswith("aligned"):
        return "other", "aligned"
    names: tuple[str, ...] = getattr(dataset, f"{spurious}_classes")
    return names


def _partition(
    labels: NDArray[np.int64], spurious: NDArray[np.int64]
) -> dict[tuple[int, int], list[int]]:
    """Return indices by (label, spurious label), keys sorted."""
    keys, group = np.unique(
        np.stack([labels, spurious], axis=1), axis=0, return_inverse=True
    )
    order = np.argsort(group, kind="stable")
    parts = np.split(order, np.cumsum(np.bincount(group))[:-1])
    return {
        (int(label), int(value)): part.tolist()
        for (label, value), part in zip(keys, parts, strict=True)
    }
