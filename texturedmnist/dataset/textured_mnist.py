"""`TexturedMNIST`: the torch view of a dataset, stored or rendered on the fly."""

from collections.abc import Sequence
from functools import cached_property
from operator import index as as_integer
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from texturedmnist.common.renamed import renamed_method
from texturedmnist.dataset.samples import (
    Columns,
    Pixels,
    RenderedSamples,
    StoredSamples,
    absolute,
    check_choice,
    check_positions,
)
from texturedmnist.dataset.targets import (
    CLASSES,
    Transform,
    TransformedDataset,
    check_target_types,
    make_targets,
)
from texturedmnist.dataset.views import CounterfactualPairs, DeviceSamples
from texturedmnist.recipe import SPLITS, Recipe
from texturedmnist.render_torch import DeviceSources
from texturedmnist.sources import Sources, open_sources


class TexturedMNIST(TransformedDataset):
    """Textured MNIST from a finished folder.

    A sample is (image, target): a PIL image, RGB, and by default the label, an int, as
    in torchvision's MNIST. With several target types the target is a tuple. A mask is a
    `torchvision.tv_tensors.Mask`, (S, S) uint8 in {0, 1}, so that `transforms` of
    torchvision's v2 move image and mask together. All other targets are ints;
    `group` is 2 * label + background_aligned.

    Examples:
        >>> from texturedmnist import Recipe, TexturedMNIST
        >>> recipe = Recipe(
        ...     bg=0.2, tex=0.5, train=100, val=20, test=20, image_size=64,
        ...     digits="embedded", digit_textures="embedded",
        ...     background_textures="embedded",
        ... )
        >>> dataset = TexturedMNIST.from_recipe(recipe, target_types=["label", "mask"])
        >>> image, (label, mask) = dataset[0]
        >>> image.size, mask.shape
        ((64, 64), torch.Size([64, 64]))
        >>> images, masks, labels = dataset.read([0, 1, 2])
        >>> images.shape, masks.shape, labels.shape
        ((3, 64, 64, 3), (3, 64, 64), (3,))

    Each process opens the files for itself, so any number of workers, forked or
    spawned, is safe. Up to 128 files stay open for reading as long as the dataset
    lives, however many there are; HDF5 can't open one of a compressed dataset for
    writing meanwhile (in the same process).

    Args:
        root: the folder that `texturedmnist generate` made.
        split: `train`, `val`, `test`, or `val_shifted` where it was stored.
        target_types: one of `TARGET_TYPES`, or a list of them.
        transforms: called with image and target; excludes the other two.
        transform: called with the image.
        target_transform: called with the target.
        data_root: where the sources are; only `counterfactual` needs them.
        cache_dir: where decoded textures are kept; only `counterfactual` needs it.

    Attributes:
        classes: names of the ten labels.
        class_to_idx: label by name.
        targets: (n,) int64 tensor of labels. Changed in place, or set to as many
            others, they are what samples, `read`, counterfactuals and `on_device` give
            as label; `group` and `columns` stay those of the generated samples.
        transforms: can be set at any time, as can `transform` and `target_transform`;
            it replaces these two, and either of them replaces it.
        digit_texture_classes: names by class number.
        background_texture_classes: names by class number.
        columns: (n,) read-only arrays by name: labels, class numbers, aligned flags.

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
        # Absolute: the program may change its working directory before it reads.
        folder = absolute(root)
        places = absolute(data_root), absolute(cache_dir)
        samples = StoredSamples(folder, split, *places)
        super().__init__(str(folder), transforms, transform, target_transform)
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
        """Return the same dataset rendered on the fly: the same bytes, no folder.

        The split `val_shifted` is always there. MNIST and DTD are in `data_root`
        ($TEXTUREDMNIST_DATA or `data` if None), and fetched with `download` if they are
        needed and absent; decoded textures are kept in `cache_dir`, the user's cache if
        None. All else is as for a folder.

        Raises:
            SourceError: a source is absent or damaged.
            RecipeError: the assignment doesn't fit the sources.
            ValueError: an unknown split or target type.
        """
        check_choice("split", split, SPLITS)
        sources = open_sources(
            recipe,
            data_root=absolute(data_root),
            cache_dir=absolute(cache_dir),
            download=download,
        )
        given = target_types, transforms, transform, target_transform
        return cls.from_sources(recipe, sources, split, *given)

    @classmethod
    def from_sources(
        cls,
        recipe: Recipe,
        sources: Sources,
        split: str = "train",
        target_types: str | Sequence[str] = "label",
        transforms: Transform | None = None,
        transform: Transform | None = None,
        target_transform: Transform | None = None,
    ) -> Self:
        """Return the dataset rendered from sources that are open already.

        They are what `texturedmnist.sources.open_sources` gave for the recipe; datasets
        that differ only in randomness, counts or split can share them. All else is as
        for a recipe.

        Raises:
            ValueError: an unknown split or target type.
        """
        check_choice("split", split, SPLITS)
        dataset = cls.__new__(cls)
        given = transforms, transform, target_transform
        super(TexturedMNIST, dataset).__init__(None, *given)
        dataset._set_up(RenderedSamples(recipe, sources, split), split, target_types)
        return dataset

    def _set_up(
        self,
        samples: StoredSamples | RenderedSamples,
        split: str,
        target_types: str | Sequence[str],
    ) -> None:
        self.target_types = check_target_types(target_types)
        self.split = split
        self._samples = samples
        self.classes = CLASSES
        self.class_to_idx = {name: label for label, name in enumerate(CLASSES)}
        self.columns = samples.columns
        for column in self.columns.values():
            column.flags.writeable = False  # a change would reach some readers only
        self._labels = samples.columns["label"].astype(np.int64)
        self.digit_texture_classes = samples.classes["digit_texture"]
        self.background_texture_classes = samples.classes["background_texture"]

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self._labels)

    @property
    def targets(self) -> torch.Tensor:
        """The labels, (n,) int64; see the class."""
        return torch.from_numpy(self._labels)

    @targets.setter
    def targets(self, values: Any) -> None:  # noqa: ANN401 (whatever holds numbers)
        labels = np.asarray(values)
        if labels.shape != self._labels.shape or labels.dtype.kind not in "iu":
            raise ValueError(
                f"targets must be {len(self)} whole numbers, one for each sample, not "
                f"{labels.dtype} of shape {labels.shape}. To keep some samples only, "
                "take torch.utils.data.Subset(dataset, indices); to change labels as "
                "they are read, target_transform"
            )
        self._labels = labels.astype(np.int64)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        """Return (image, target) of one sample, transformed."""
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[tuple[Any, Any]]:
        """Return the samples of a batch, read or rendered together."""
        positions = self._positions(indices)
        pixels = self._samples.read(positions)
        columns = {name: self.columns[name][positions] for name in self.columns}
        return self._make(pixels, columns, self._labels[positions])

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
        return *self._samples.read(positions), self._labels[positions]

    def counterfactual(
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
        return self.get_counterfactuals([index], role, texture)[0]

    def get_counterfactuals(
        self,
        indices: Sequence[int],
        role: str = "background_texture",
        texture: str | None = None,
    ) -> list[tuple[Any, Any]]:
        """Return the counterfactuals of a batch; see `counterfactual`."""
        positions = self._positions(indices)
        pixels, columns = self._renderer.read_counterfactuals(positions, role, texture)
        return self._make(pixels, columns, self._labels[positions])

    def counterfactuals(
        self,
        role: str = "background_texture",
        texture: str | None = None,
        transforms: Transform | None = None,
    ) -> CounterfactualPairs:
        """Return the dataset of pairs: each sample and its `counterfactual`.

        `transforms` is called once with a sample and its counterfactual, after what
        transforms each of them, so that v2's transforms do the same to both.

        Raises:
            ValueError: an unknown role or class.
            DatasetError: a stored folder's sources can't be found again.
        """
        return CounterfactualPairs(self, role, texture, transforms)

    twin = renamed_method("twin", "counterfactual")
    twins = renamed_method("twins", "counterfactuals")
    get_twins = renamed_method("get_twins", "get_counterfactuals")

    def on_device(self, place: torch.device | str | DeviceSources) -> DeviceSamples:
        """Return the samples rendered on a device: the same bytes, no waiting for data.

        Args:
            place: a device, such as `cuda`, to which digits and textures are loaded; or
                the `sources` of other `DeviceSamples` of the same ones and split.

        Raises:
            DeviceError: the device hasn't enough free memory for the textures.
            DatasetError: a stored folder's sources can't be found again.
            SourceError: they are absent.
        """
        samples = self._renderer
        if not isinstance(place, DeviceSources):
            place = DeviceSources(samples.sources, self.split, place)
        return DeviceSamples(samples, place, labels=self._labels)

    @cached_property
    def _renderer(self) -> RenderedSamples:
        return self._samples.renderer()

    def _positions(
        self, indices: Sequence[int] | NDArray[np.int64]
    ) -> NDArray[np.int64]:
        positions = np.array([as_integer(index) for index in indices], np.int64)
        return check_positions(positions, len(self), self.split)

    def _make(
        self, pixels: Pixels, columns: Columns, labels: NDArray[np.int64]
    ) -> list[tuple[Any, Any]]:
        """Make (image, target) pairs from a batch of arrays."""
        images, masks = pixels
        targets = make_targets(self.target_types, masks, columns, labels)
        samples = [*zip(map(Image.fromarray, images), targets, strict=True)]
        if self.transforms is None:
            return samples
        return [self.transforms(*sample) for sample in samples]

    def extra_repr(self) -> str:
        """Say which split this is, and whether it is stored."""
        stored = isinstance(self._samples, StoredSamples)
        return f"Split: {self.split} ({'stored' if stored else 'rendered on the fly'})"
