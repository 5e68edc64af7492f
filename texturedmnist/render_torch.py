"""The pixels and the mask of planned samples on a torch device: the bytes of `compose`.

Only whole numbers are computed with, so that no device, BLAS or precision setting can
change a byte. No call but the loading of the sources waits for the device.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from texturedmnist.compose import SOURCE_SIZE, axis_weights
from texturedmnist.plan import PARTITIONS, SamplePlan, TexturePlan
from texturedmnist.sources import Sources, TextureBank

PIXEL_BYTES = 4  # red, green, blue and a spare byte: one aligned read a pixel
PIXELS_AT_ONCE = 2**23  # painted together; what lies in between takes some 150 MB
PIXELS_AT_ONCE_CPU = 2**18  # within its caches, twice as fast
EXACT_INT32 = 2**31  # int32 holds every sum below
GIB = 2**30


class DeviceError(ValueError):
    """A device that can't hold the textures, or has others than a plan needs."""


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
    taps: "_Taps"
    image_size: int

    def __len__(self) -> int:
        """Return the number of samples."""
        return self.numbers.shape[1]

    def take(self, indices: Tensor | slice) -> "DevicePlan":
        """Return the plan of some of the samples.

        Args:
            indices: (k,) int64 on the plan's device, or a slice.
        """
        return replace(self, numbers=self.numbers[:, indices])


@dataclass(frozen=True, slots=True)
class _Taps:
    """The neighbours and weights of an axis of an enlarged digit.

    All are (size + 1,): the last entry stands for pixels beside the digit's square,
    whose weights are zero.
    """

    size: int
    half: int
    lower: Tensor
    upper: Tensor
    lower_weight: Tensor
    upper_weight: Tensor


class DeviceSources:
    """All digits, and the textures that the samples of a split can have, on a device.

    One bank holds the pixels of both roles, so that a pixel of an image is one read,
    whichever texture it is of. Samples of the same sources and split share it, whatever
    the knobs; `val` and `val_shifted` are one split here.

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
        _check_memory(self.nbytes, self.device, split)
        self._digits = torch.from_numpy(sources.digits.images.copy()).to(self.device)
        banks = sources.digit_textures, sources.background_textures
        self._parts = _parts(banks, split)
        shape = (_count_pixels(banks, self._parts), PIXEL_BYTES)
        pixels = torch.zeros(shape, dtype=torch.uint8, device=self.device)
        for bank, part in zip(banks, self._parts, strict=True):
            _load(bank, part, pixels)
        self._pixels = pixels.view(torch.int32).flatten()

    def place(self, plan: SamplePlan) -> DevicePlan:
        """Bring a plan to the device.

        Args:
            plan: n samples of the split.

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
            _make_taps(inside.size, self.device),
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
        columns = _between(self._digits[digit], plan.taps, axis - x[:, None], 2)
        sums = _between(columns, plan.taps, axis - y[:, None], 1)
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
        part: "_Part",
        plan: TexturePlan,
        y: NDArray[np.int64] | int,
        x: NDArray[np.int64] | int,
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the places in the bank that fall on the images' corners, and widths.

        Args:
            part: of which bank.
            plan: of the n crops.
            y: where the crops' upper edges lie in the images, px.
            x: where their left edges lie, px.
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
    """Return the device memory that `DeviceSources` takes, without opening a file.

    Args:
        sources: of digits and textures.
        split: `train`, `val`, `val_shifted` or `test`.
    """
    banks = sources.digit_textures, sources.background_textures
    pixels = _count_pixels(banks, _parts(banks, split))
    return pixels * PIXEL_BYTES + sources.digits.images.nbytes


def free_bytes(device: torch.device) -> int | None:
    """Return how much memory can still be had on a GPU; None for another device."""
    if device.type != "cuda":
        return None
    free, _ = torch.cuda.mem_get_info(device)
    # What torch keeps for later use is free to us, though not to other processes.
    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(free + kept)


def _check_memory(needed: int, device: torch.device, split: str) -> None:
    free = free_bytes(device)
    if free is not None and needed > free:
        raise DeviceError(
            f"the digits and textures of {split} need {needed / GIB:.1f} GiB on "
            f"{device}, where {free / GIB:.1f} GiB are free: end what else uses it, "
            "take a larger device, or render on the CPU (TexturedMNIST.read)"
        )


@dataclass(frozen=True, slots=True)
class _Part:
    """The files of one role that are in the bank.

    Attributes:
        files: their numbers in the `TextureBank`, one after another.
        starts: (F,) int64, the place of each one's first pixel.
        widths: (F,) int64, px.
    """

    files: range
    starts: NDArray[np.int64]
    widths: NDArray[np.int64]


def _parts(banks: Sequence[TextureBank], split: str) -> list[_Part]:
    """Return what of each bank a split can have; one stands after the other."""
    parts, start = [], 0
    for bank in banks:
        number = PARTITIONS[split]
        first = int(bank.first[number, 0])
        files = range(first, first + int(bank.count[number].sum()))
        sizes = (bank.heights * bank.widths)[files]
        ends = start + np.cumsum(sizes)
        parts.append(_Part(files, ends - sizes, bank.widths[files]))
        start = int(ends[-1])
    return parts


def _count_pixels(banks: Sequence[TextureBank], parts: Sequence[_Part]) -> int:
    pairs = zip(banks, parts, strict=True)
    return sum(int((b.heights * b.widths)[p.files].sum()) for b, p in pairs)


def _load(bank: TextureBank, part: _Part, pixels: Tensor) -> None:
    """Copy a role's files into the bank, (P, 4) uint8, one by one."""
    for file, start in zip(part.files, part.starts.tolist(), strict=True):
        image = torch.from_numpy(bank.image(file).reshape(-1, 3).copy())
        pixels[start : start + len(image), :3] = image


def _make_taps(size: int, device: torch.device) -> _Taps:
    """Find the two neighbours in each row of the weights."""
    floats, half = axis_weights(size)
    weights = floats.astype(np.int64)
    lower = (weights > 0).argmax(1)
    upper = SOURCE_SIZE - 1 - (weights[:, ::-1] > 0).argmax(1)
    lower_weight = weights[np.arange(size), lower]
    upper_weight = weights.sum(1) - lower_weight
    # No sum exceeds twice the threshold.
    kind = np.int32 if 2 * half < EXACT_INT32 else np.int64
    arrays = lower, upper, lower_weight.astype(kind), upper_weight.astype(kind)
    padded = (torch.from_numpy(np.append(a, a.dtype.type(0))) for a in arrays)
    return _Taps(size, half, *(one.to(device) for one in padded))


def _between(values: Tensor, taps: _Taps, places: Tensor, dim: int) -> Tensor:
    """Enlarge along one axis, in units of 1 / d.

    Gathers of whole numbers rather than a product of matrices: exact without float64,
    which many GPUs compute at a 32nd or 64th of their speed.

    Args:
        values: (n, H, W) of whole numbers.
        taps: see there.
        places: (n, S) int64, each image pixel's place on the digit's axis, in or out.
        dim: 1 or 2, the axis.
    """
    outside = (places < 0) | (places >= taps.size)
    # `where` with a number would copy it to the device, and wait for it.
    entries = places.masked_fill(outside, taps.size).unsqueeze(3 - dim)
    shape = list(values.shape)
    shape[dim] = places.shape[1]
    lower, upper = (
        values.gather(dim, neighbour[entries].expand(shape))
        for neighbour in (taps.lower, taps.upper)
    )
    product = lower * taps.lower_weight[entries]
    return product.addcmul_(upper.to(product.dtype), taps.upper_weight[entries])
