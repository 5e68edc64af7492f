"""`TexturedMNIST`: the torch view of a dataset, stored or rendered on the fly."""

from collections.abc import Callable, Sequence
from operator import index as as_integer
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torchvision.datasets import VisionDataset
from torchvision.tv_tensors import Mask

from texturedmnist.dataset.samples import (
    Columns,
    Pixels,
    RenderedSamples,
    StoredSamples,
    check_choice,
)
from texturedmnist.recipe import SPLITS, Recipe
from texturedmnist.sources import open_sources

TARGET_TYPES = (
    "label",
    "mask",
    "digit_texture",
    "background_texture",
    "digit_aligned",
    "background_aligned",
    "group",
    "index",
)
# As torchvision's MNIST names them.
CLASSES = [
    "0 - zero",
    "1 - one",
    "2 - two",
    "3 - three",
    "4 - four",
    "5 - five",
    "6 - six",
    "7 - seven",
    "8 - eight",
    "9 - nine",
]

Transform = Callable[..., Any]


class TexturedMNIST(VisionDataset):  # type: ignore[misc]  # torchvision is untyped
    """Textured MNIST from a finished folder.

    A sample is (image, target): a PIL image, RGB, and by default the label, an int, as
    in torchvision's MNIST. With several target types the target is a tuple. A mask is a
    `torchvision.tv_tensors.Mask`, (S, S) uint8 in {0, 1}, so that `transforms` of
    torchvision's v2 move image and mask together. All other targets are ints;
    `group` is 2 * label + background_aligned.

    Nothing is open between reads, and each process opens the files for itself: safe
    with any number of workers, forked or spawned.

    Args:
        root: the folder that `texturedmnist generate` made.
        split: `train`, `val`, `test`, or `val_shifted` where it was stored.
        target_types: one of `TARGET_TYPES`, or a list of them.
        transforms: called with image and target; excludes the other two.
        transform: called with the image.
        target_transform: called with the target.
        data_root: where the sources are; only `twin` needs them.
        cache_dir: where decoded textures are kept; only `twin` needs it.

    Attributes:
        classes: names of the ten labels.
        class_to_idx: label by name.
        targets: (n,) int64 tensor of labels.
        digit_texture_classes: names by class number.
        background_texture_classes: names by class number.
        columns: (n,) arrays by name: labels, class numbers, aligned flags.

    Raises:
        DatasetError: the folder isn't a finished dataset, or has no such split.
        ValueError: an unknown split or target type.
    """

    def __init__(
        self,
        root: str | Path,
        split: str = "train",
        target_types: str | Sequence[str] = "label",
        transforms: Transform | None = None,
        transform: Transform | None = None,
        target_transform: Transform | None = None,
        *,
        data_root: str | Path | None = None,
        cache_dir: str | Path | None = None,
    ) -> None:
        """Open a finished folder."""
        check_choice("split", split, SPLITS)
        folder = Path(root).expanduser()
        samples = StoredSamples(folder, split, *_paths(data_root, cache_dir))
        super().__init__(root, transforms, transform, target_transform)
        self._set_up(samples, split, target_types)

    @classmethod
    def from_recipe(
        cls,
        recipe: Recipe,
        split: str = "train",
        target_types: str | Sequence[str] = "label",
        transforms: Transform | None = None,
        transform: Transform | None = None,
        target_transform: Transform | None = None,
        *,
        data_root: str | Path | None = None,
        cache_dir: str | Path | None = None,
        download: bool = False,
    ) -> Self:
        """Return the same data set rendered on the fly: the same bytes, no folder.

        Args:
            recipe: what to make; `val_shifted` is always there.
            split: `train`, `val`, `test` or `val_shifted`.
            target_types: as for a folder.
            transforms: as for a folder.
            transform: as for a folder.
            target_transform: as for a folder.
            data_root: where MNIST and DTD are; $TEXTUREDMNIST_DATA or `data` if None.
            cache_dir: where decoded textures are kept; the user's cache if None.
            download: fetch MNIST and DTD if they are needed and absent.

        Raises:
            SourceError: a source is absent or damaged.
            RecipeError: the ties don't fit the sources.
            ValueError: an unknown split or target type.
        """
        check_choice("split", split, SPLITS)
        root, cache = _paths(data_root, cache_dir)
        sources = open_sources(
            recipe, data_root=root, cache_dir=cache, download=download
        )
        dataset = cls.__new__(cls)
        VisionDataset.__init__(dataset, None, transforms, transform, target_transform)
        samples = RenderedSamples(recipe, sources, split)
        dataset._set_up(samples, split, target_types)
        return dataset

    def _set_up(
        self,
        samples: StoredSamples | RenderedSamples,
        split: str,
        target_types: str | Sequence[str],
    ) -> None:
        wanted = [target_types] if isinstance(target_types, str) else [*target_types]
        self.target_types = [
            check_choice("target type", name, TARGET_TYPES) for name in wanted
        ]
        self.split = split
        self._samples = samples
        self._renderer: RenderedSamples | None = None
        self.classes = CLASSES
        self.class_to_idx = {name: label for label, name in enumerate(CLASSES)}
        self.columns = samples.columns
        self.targets = torch.from_numpy(samples.columns["label"].astype(np.int64))
        self.digit_texture_classes = samples.classes["digit_texture"]
        self.background_texture_classes = samples.classes["background_texture"]

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.targets)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        """Return (image, target) of one sample, transformed."""
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[tuple[Any, Any]]:
        """Return the samples of a batch, read or rendered together."""
        positions = self._positions(indices)
        pixels = self._samples.read(positions)
        columns = {name: self.columns[name][positions] for name in self.columns}
        return self._make(pixels, columns)

    def read(
        self, indices: Sequence[int] | NDArray[np.int64]
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.int64]]:
        """Return samples as plain arrays, the fastest way to read.

        Args:
            indices: (n,) in any order.

        Returns:
            images (n, S, S, 3) uint8 in [0, 255], masks (n, S, S) uint8 in {0, 1} and
            labels (n,) int64.
        """
        positions = self._positions(indices)
        labels = self.columns["label"][positions].astype(np.int64)
        return *self._samples.read(positions), labels

    def twin(
        self, index: int, role: str = "background_texture", texture: str | None = None
    ) -> tuple[Any, Any]:
        """Return a sample with another texture in one role, all else the same.

        Digit, place, mask, the other texture and the crop's fractions stay, so that
        only pixels outside the mask (`background_texture`) or inside it
        (`digit_texture`) change.

        Args:
            index: of the sample.
            role: `background_texture` or `digit_texture`.
            texture: name of the class; None draws one other than the sample's own.

        Raises:
            ValueError: an unknown role or class.
            DatasetError: a stored folder's sources can't be found again.
        """
        if self._renderer is None:
            self._renderer = self._samples.renderer()
        positions = self._positions([index])
        return self._make(*self._renderer.read_twins(positions, role, texture))[0]

    def _positions(
        self, indices: Sequence[int] | NDArray[np.int64]
    ) -> NDArray[np.int64]:
        count = len(self)
        positions = np.array([as_integer(index) for index in indices], np.int64)
        if ((positions < -count) | (positions >= count)).any():
            raise IndexError(f"index out of range: {self.split} has {count} samples")
        return np.where(positions < 0, positions + count, positions)

    def _make(self, pixels: Pixels, columns: Columns) -> list[tuple[Any, Any]]:
        """Make (image, target) pairs from a batch of arrays."""
        images, masks = pixels
        values = {name: column.tolist() for name, column in columns.items()}
        samples = []
        for k, (image, mask) in enumerate(zip(images, masks, strict=True)):
            row = {name: column[k] for name, column in values.items()}
            row["group"] = 2 * row["label"] + row["background_aligned"]
            targets = [
                Mask(torch.from_numpy(mask)) if name == "mask" else row[name]
                for name in self.target_types
            ]
            sample = Image.fromarray(image), _unpack(targets)
            samples.append(self.transforms(*sample) if self.transforms else sample)
        return samples

    def extra_repr(self) -> str:
        """Say which split this is, and whether it is stored."""
        stored = isinstance(self._samples, StoredSamples)
        return f"Split: {self.split} ({'stored' if stored else 'rendered on the fly'})"


def _unpack(targets: list[Any]) -> Any:  # noqa: ANN401 (an int, a mask or a tuple)
    """Return one target as it is, several as a tuple, none as None."""
    if len(targets) == 1:
        return targets[0]
    return tuple(targets) or None


def _paths(*names: str | Path | None) -> list[Path | None]:
    return [None if name is None else Path(name).expanduser() for name in names]
