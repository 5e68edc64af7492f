"""The textures of a split as one bank of pixels: `Part`, `load_pixels`."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from texturedmnist.plan import PARTITIONS
from texturedmnist.sources import TextureBank

PIXEL_BYTES = 4  # red, green, blue and a spare byte: one aligned read a pixel


@dataclass(frozen=True, slots=True)
class Part:
    """The files of one role that are in the bank of pixels.

    Attributes:
        files: their numbers in the `TextureBank`, one after another.
        starts: (F,) int64, the place of each one's first pixel.
        widths: (F,) int64, px.
        end: the place after their last pixel.
    """

    files: range
    starts: NDArray[np.int64]
    widths: NDArray[np.int64]
    end: int


def find_parts(banks: Sequence[TextureBank], split: str) -> list[Part]:
    """Return what of each bank a split can have; one stands after the other."""
    parts, start = [], 0
    number = PARTITIONS[split]
    for index in (bank.index for bank in banks):
        first = int(index.first[number, 0])
        files = range(first, first + int(index.count[number].sum()))
        sizes = (index.heights * index.widths)[files]
        ends = start + np.cumsum(sizes)
        start = int(ends[-1])
        parts.append(Part(files, ends - sizes, index.widths[files], start))
    return parts


def load_pixels(
    banks: Sequence[TextureBank], parts: Sequence[Part], device: torch.device
) -> Tensor:
    """Copy the files, by role as `find_parts` gave them, to a device, one by one.

    Returns:
        (P,) int32, a whole pixel each.
    """
    shape = (parts[-1].end, PIXEL_BYTES)
    pixels = torch.zeros(shape, dtype=torch.uint8, device=device)
    for bank, part in zip(banks, parts, strict=True):
        for file, start in zip(part.files, part.starts.tolist(), strict=True):
            image = torch.from_numpy(bank.image(file).reshape(-1, 3).copy())
            pixels[start : start + len(image), :3] = image
    return pixels.view(torch.int32).flatten()
