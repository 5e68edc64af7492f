"""Views of a `TexturedMNIST`: samples on a device, pairs with counterfactuals."""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from texturedmnist.common.renamed import renamed_method
from texturedmnist.dataset.samples import RenderedSamples, check_positions
from texturedmnist.plan import SamplePlan
from texturedmnist.render_torch import DeviceError, DeviceSources

if TYPE_CHECKING:
    from texturedmnist.dataset.textured_mnist import TexturedMNIST


DeviceBatch = tuple[Tensor, Tensor, Tensor]
Pair = tuple[Any, Any]


class DeviceSamples:
    """Samples rendered where they are used; `TexturedMNIST.on_device` makes it.

    Examples:
        >>> from texturedmnist import Recipe, TexturedMNIST
        >>> recipe = Recipe(
        ...     bg=0.2, tex=0.5, train=100, val=20, test=20, image_size=64,
        ...     digits="embedded", digit_textures="embedded",
        ...     background_textures="embedded",
        ... )
        >>> samples = TexturedMNIST.from_recipe(recipe).on_device("cpu")  # or "cuda"
        >>> images, masks, labels = next(samples.batches(32))
        >>> images.shape, masks.shape, labels.shape
        (torch.Size([32, 3, 64, 64]), torch.Size([32, 64, 64]), torch.Size([32]))

    Plan, digits and textures lie on the device. No batch waits for it, and none is
    copied to it.

    Args:
        samples: what to render.
        sources: of the same sources and split, on the device.
        plan: of all samples, if it is another than their own (for counterfactuals).
        labels: (n,) int64, if they are others than the plan's.

    Attributes:
        sources: the digits and textures on the device, to share them.
        labels: (n,) int64 on the device.
        groups: (n,) int64 on the device, 2 * label + background_aligned.

    Raises:
        DeviceError: the sources on the device are others, or those of another split.
    """

    def __init__(
        self,
        samples: RenderedSamples,
        sources: DeviceSources,
        plan: SamplePlan | None = None,
        labels: NDArray[np.int64] | Tensor | None = None,
    ) -> None:
        """Bring the plan to the device."""
        if sources.digests != samples.sources.digests:
            raise DeviceError(
                "the digits and textures on the device are of other sources than the "
                "samples: share `sources` among datasets of the same sources only"
            )
        plan = samples.plan if plan is None else plan
        groups = 2 * plan.label + plan.background_texture.aligned
        self._samples, self.sources = samples, sources
        self._plan = sources.place(plan)
        given = plan.label if labels is None else labels
        # A copy: these may be changed, and the dataset's own later.
        self.labels = torch.as_tensor(given).clone().to(sources.device)
        self.groups = torch.from_numpy(groups).to(sources.device)

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self._plan)

    @property
    def device(self) -> torch.device:
        """Where the samples are rendered."""
        return self.sources.device

    def read(self, indices: Sequence[int] | NDArray[np.int64] | Tensor) -> DeviceBatch:
        """Render some samples.

        Args:
            indices: (n,) in any order. A tensor on a GPU is used as it is, so that
                nothing waits; it must be int64, and the GPU itself checks its range.

        Returns:
            images: (n, 3, S, S) uint8 RGB in [0, 255], in `torch.channels_last`: with
                the channels permuted to the end these are the bytes of
                `TexturedMNIST.read`.
            masks: (n, S, S) uint8 in {0, 1}.
            labels: (n,) int64.

        Raises:
            IndexError: an index is out of range.
            TypeError: the indices aren't whole numbers.
        """
        rows = self._rows(indices)
        images, masks = self.sources.render(self._plan.take(rows))
        return images.permute(0, 3, 1, 2), masks, self.labels[rows]

    def batches(
        self,
        batch_size: int,
        *,
        generator: torch.Generator | None = None,
        drop_last: bool = False,
    ) -> Iterator[DeviceBatch]:
        """Yield all samples once, in batches as `read` returns them.

        Args:
            batch_size: of all batches but the last.
            generator: draws the order, another each time; without one the samples come
                in their own.
            drop_last: leave out a last batch that is smaller.

        Raises:
            ValueError: the batch size isn't positive.
        """
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}; it must be at least 1")
        rows = self._order(generator)
        if drop_last:
            rows = rows[: len(rows) // batch_size * batch_size]
        return map(self.read, torch.split(rows, batch_size) if len(rows) else ())

    twins = renamed_method("twins", "counterfactuals")

    def counterfactuals(
        self, role: str = "background_texture", texture: str | None = None
    ) -> "DeviceSamples":
        """Return all samples with another texture in one role, all else the same.

        Args:
            role: `background_texture` or `digit_texture`.
            texture: name of the class; None draws one other than the sample's own.

        Raises:
            ValueError: an unknown role or class.
        """
        indices = np.arange(len(self))
        plan = self._samples.plan_twins(indices, role, texture)
        return DeviceSamples(self._samples, self.sources, plan, self.labels)

    def _order(self, generator: torch.Generator | None) -> Tensor:
        if generator is None:
            return torch.arange(len(self), device=self.device)
        order = torch.randperm(len(self), generator=generator, device=generator.device)
        return order.to(self.device)

    def _rows(self, indices: Sequence[int] | NDArray[np.int64] | Tensor) -> Tensor:
        """Return indices on the device; those that come from the host are checked."""
        if isinstance(indices, Tensor) and indices.device.type != "cpu":
            _check_whole(indices.dtype, is_whole=indices.dtype == torch.int64)
            return indices.to(self.device)
        positions = np.asarray(indices)
        if positions.size:
            _check_whole(positions.dtype, is_whole=positions.dtype.kind in "iu")
        checked = check_positions(
            positions.astype(np.int64), len(self), self.sources.split
        )
        rows = torch.from_numpy(checked)
        if self.device.type == "cuda":  # a copy from pinned memory isn't waited for
            return rows.pin_memory().to(self.device, non_blocking=True)
        return rows.to(self.device)


def _check_whole(dtype: torch.dtype | np.dtype[Any], *, is_whole: bool) -> None:
    # A mask of booleans would have to be counted, for which the host waits.
    if not is_whole:
        raise TypeError(f"indices are of type {dtype}; they must be int64")


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
