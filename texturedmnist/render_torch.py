"""The pixels and the mask of planned samples on a torch device: the bytes of `compose`.

Only whole numbers are computed with, so that no device, BLAS or precision setting can
change a byte. No call but the loading of the sources waits for the device.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from texturedmnist.compose import SOURCE_SIZE, axis_weights
from texturedmnist.plan import PARTITIONS, SamplePlan, TexturePlan
from texturedmnist.sources import Sources

GIB = 2**30
PIXEL_BYTES = 4  # red, green, blue and a spare byte: one aligned read a pixel
PIXELS_AT_ONCE = 2**23  # painted together; what lies in between takes some 150 MB
PIXELS_AT_ONCE_CPU = 2**18  # within its caches, twice as fast
EXACT_INT32 = 2**31  # int32 holds every sum below


class DeviceError(ValueError):
    """A device that can't hold the textures, or has others than a plan needs."""


class Part(NamedTuple):
    """The files of one role that are in the bank of pixels."""

    files: range  # their numbers in the `TextureBank`
    starts: NDArray[np.int64]  # (F,), the place of each one's first pixel
    widths: NDArray[np.int64]  # (F,), px
    end: int  # the place after their last pixel


@dataclass(frozen=True, slots=True)
class Taps:
    """The neighbors and weights of an axis of an enlarged digit.

    The last entries stand for pixels beside the digit's square: their weights are zero.

    Attributes:
        size: of the enlarged digit, px.
        half: what a pixel's sum over both axes must reach to be painted.
        neighbors: (2, size + 1) int64 in [0, 27], the lower and the upper one.
        weights: (2, size + 1) theirs, whole numbers out of `d`.
    """

    size: int
    half: int
    neighbors: Tensor
    weights: Tensor


@dataclass(frozen=True, slots=True)
class DevicePlan:
    """What it takes to render n samples, on a device; `DeviceSources.place` makes it.

    Attributes:
        numbers: (7, n) int64, by row: digit; y and x of its square; for the digit's
            texture, then for the background, the place in the bank of the pixel that
            would lie in the image's upper left corner, and the texture's width.
        taps: how a digit is enlarged.
        image_size: height and width of an image in px.
    """

    numbers: Tensor
    taps: Taps
    image_size: int

    def __len__(self) -> int:
        """Return the number of samples."""
        return self.numbers.shape[1]

    def take(self, indices: Tensor | slice) -> "DevicePlan":
        """Return the plan of some samples: (k,) int64 on its device, or a slice."""
        return replace(self, numbers=self.numbers[:, indices])


class DeviceSources:
    """All digits, and the textures that the samples of a split can have, on a device.

    One bank holds the pixels of both roles, so that a pixel of an image is one read,
    whichever texture it is of. Samples of the same sources and split share it, whatever
    the randomness; `val` and `val_shifted` are one split here.

    Args:
        sources: what `texturedmnist.sources.open_sources` gave.
        split: `train`, `val`, `val_shifted` or `test`.
        device: where.

    Attributes:
        device: where the pixels are.
        split: whose textures they are.
        digests: of the sources.
        nbytes: what they take on the device.

    Raises:
        DeviceError: the device has less free memory than they need.
        SourceError: the decoded textures can't be read any more.
    """

    def __init__(
        self, sources: Sources, split: str, device: torch.device | str
    ) -> None:
        """Load the pixels."""
        # A tensor that lies there knows which device `cuda` is.
        self.device, self.split = torch.empty(0, device=device).device, split
        self.digests = sources.digests
        self.nbytes = bytes_needed(sources, split)
        free = free_bytes(self.device)
        if free is not None and self.nbytes > free:
            raise DeviceError(
                f"the digits and textures of {split} need {self.nbytes / GIB:.1f} GiB "
                f"on {self.device}, where {free / GIB:.1f} GiB are free: end what else "
                "uses it, take a larger device, or render on the CPU "
                "(TexturedMNIST.read)"
            )
        self._digits = torch.from_numpy(sources.digits.images.copy()).to(self.device)
        self._parts = _find_parts(sources, split)
        self._pixels = _load_pixels(sources, self._parts, self.device)

    def place(self, plan: SamplePlan) -> DevicePlan:
        """Bring the plan of n samples of the split to the device.

        Raises:
            DeviceError: it needs textures of another split.
        """
        inside, outside = plan.digit_texture, plan.background_texture
        numbers = np.stack(
            [
                *(plan.digit, plan.y, plan.x),
                *self._corners(self._parts[0], inside, plan.y, plan.x),
                *self._corners(self._parts[1], outside, 0, 0),
            ]
        )
        return DevicePlan(
            torch.from_numpy(numbers).to(self.device),
            make_taps(inside.size, self.device),
            outside.size,
        )

    def render(self, plan: DevicePlan) -> tuple[Tensor, Tensor]:
        """Paint each digit's texture over its background.

        The device is never waited for. Beside the result it takes the memory of
        `PIXELS_AT_ONCE` pixels, however many samples there are.

        Args:
            plan: n samples, from `place`.

        Returns:
            images: (n, S, S, 3) uint8 RGB in [0, 255], contiguous: permuted to
                (n, 3, S, S) it is in `torch.channels_last` without being copied.
            masks: (n, S, S) uint8, 1 exactly where the digit's texture was painted.
        """
        shape = (len(plan), plan.image_size, plan.image_size)
        masks = torch.empty(shape, dtype=torch.uint8, device=self.device)
        images = torch.empty((*shape, 3), dtype=torch.uint8, device=self.device)
        on_cpu = self.device.type == "cpu"
        pixels = PIXELS_AT_ONCE_CPU if on_cpu else PIXELS_AT_ONCE
        at_once = max(1, pixels // plan.image_size**2)
        for start in range(0, len(plan), at_once):
            part = slice(start, start + at_once)
            self._paint(plan.take(part), images[part], masks[part])
        return images, masks

    def _paint(self, plan: DevicePlan, images: Tensor, masks: Tensor) -> None:
        digit, y, x, *textures = plan.numbers.unbind()
        axis = torch.arange(plan.image_size, device=self.device)
        columns = enlarge_axis(self._digits[digit], plan.taps, axis - x[:, None], 2)
        sums = enlarge_axis(columns, plan.taps, axis - y[:, None], 1)
        painted = sums >= plan.taps.half
        masks.copy_(painted)
        inside, outside = (
            (first[:, None] + width[:, None] * axis)[:, :, None]
            for first, width in (textures[:2], textures[2:])
        )
        places = torch.where(painted, inside, outside).add_(axis)
        pixels = torch.take(self._pixels, places).view(torch.uint8)
        images.copy_(pixels.view(*masks.shape, PIXEL_BYTES)[..., :3])

    def _corners(
        self,
        part: Part,
        plan: TexturePlan,
        y: NDArray[np.int64] | int,
        x: NDArray[np.int64] | int,
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the places in the bank that fall on the images' corners, and widths.

        The crops' upper left corners lie at (y, x) in the images, px.
        """
        file = plan.file - part.files.start
        if ((file < 0) | (file >= len(part.files))).any():
            raise DeviceError(
                f"the plan has textures that {self.split} hasn't, and only those of "
                f"{self.split} are on {self.device}: make DeviceSources of its split"
            )
        width = part.widths[file]
        return part.starts[file] + (plan.y - y) * width + plan.x - x, width


def bytes_needed(sources: Sources, split: str) -> int:
    """Return the device memory that `DeviceSources` takes, without opening a file."""
    pixels = _find_parts(sources, split)[-1].end
    return pixels * PIXEL_BYTES + sources.digits.images.nbytes


def _find_parts(sources: Sources, split: str) -> list[Part]:
    """Return what of each bank a split can have; one stands after the other."""
    parts, start = [], 0
    number = PARTITIONS[split]
    for bank in (sources.digit_textures, sources.background_textures):
        index = bank.index
        first = int(index.first[number, 0])
        files = range(first, first + int(index.count[number].sum()))
        sizes = (index.heights * index.widths)[files]
        ends = start + np.cumsum(sizes)
        start = int(ends[-1])
        parts.append(Part(files, ends - sizes, index.widths[files], start))
    return parts


def _load_pixels(
    sources: Sources, parts: Sequence[Part], device: torch.device
) -> Tensor:
    """Copy the files, one by one: (P,) int32 on the device, a whole pixel each."""
    banks = sources.digit_textures, sources.background_textures
    shape = (parts[-1].end, PIXEL_BYTES)
    pixels = torch.zeros(shape, dtype=torch.uint8, device=device)
    for bank, part in zip(banks, parts, strict=True):
        for file, start in zip(part.files, part.starts.tolist(), strict=True):
            image = torch.from_numpy(bank.image(file).reshape(-1, 3).copy())
            pixels[start : start + len(image), :3] = image
    return pixels.view(torch.int32).flatten()


def free_bytes(device: torch.device) -> int | None:
    """Return how much memory can still be had on a GPU; None for another device."""
    if device.type != "cuda":
        return None
    free, _ = torch.cuda.mem_get_info(device)
    # What torch keeps for later use is free to us, though not to other processes.
    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(free + kept)


def make_taps(size: int, device: torch.device) -> Taps:
    """Find the two neighbors in each row of the weights."""
    floats, half = axis_weights(size)
    weights = floats.astype(np.int64)
    lower = (weights > 0).argmax(1)
    upper = SOURCE_SIZE - 1 - (weights[:, ::-1] > 0).argmax(1)
    lower_weight = weights[np.arange(size), lower]
    upper_weight = weights.sum(1) - lower_weight
    neighbors = np.pad(np.stack([lower, upper]), ((0, 0), (0, 1)))
    shares = np.pad(np.stack([lower_weight, upper_weight]), ((0, 0), (0, 1)))
    # No sum exceeds twice the threshold.
    kind = np.int32 if 2 * half < EXACT_INT32 else np.int64
    return Taps(
        size,
        half,
        torch.from_numpy(neighbors).to(device),
        torch.from_numpy(shares.astype(kind)).to(device),
    )


def enlarge_axis(values: Tensor, taps: Taps, places: Tensor, dim: int) -> Tensor:
    """Enlarge along one axis, in units of 1 / d.

    Gathers of whole numbers rather than a product of matrices: exact without float64,
    which many GPUs compute at a 32nd or 64th of their speed.

    Args:
        values: (n, H, W) of whole numbers.
        taps: of the axis.
        places: (n, S) int64, each image pixel's place on the digit's axis, in or out.
        dim: 1 or 2, the axis.
    """
    outside = (places < 0) | (places >= taps.size)
    # `where` with a number would copy it to the device, and wait for it.
    entries = places.masked_fill(outside, taps.size).unsqueeze(3 - dim)
    shape = list(values.shape)
    shape[dim] = places.shape[1]
    lower, upper = (
        values.gather(dim, neighbor.expand(shape))
        for neighbor in taps.neighbors[:, entries].unbind()
    )
    lower_weight, upper_weight = taps.weights[:, entries].unbind()
    product = lower * lower_weight
    return product.addcmul_(upper.to(product.dtype), upper_weight)
