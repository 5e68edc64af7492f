"""Image and mask moved together, by torchvision's transforms v2."""

from functools import lru_cache

import torch
from torch import Tensor
from torchvision.transforms import v2
from torchvision.tv_tensors import Image, Mask

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def resize_pair(image: Tensor, mask: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Bring an image and its mask to a square, whatever the size of either.

    The image is interpolated with antialiasing, the mask never: each of its pixels is
    one of the true mask. The aspect isn't kept [assumed].

    Args:
        image: (3, H, W) uint8.
        mask: (H', W') uint8 in {0, 1}; may differ from the image in size.
        size: height and width of both results in px.

    Returns:
        (3, size, size) uint8 and (size, size) uint8 in {0, 1}.
    """
    resize = v2.Resize([size, size], antialias=True)
    moved: tuple[Image, Mask] = resize(Image(image), Mask(mask))
    return moved[0].as_subclass(Tensor), moved[1].as_subclass(Tensor)


def resize_mask(mask: Tensor, size: int) -> Tensor:
    """Bring a mask alone, (H, W) uint8 in {0, 1}, to a square as `resize_pair` does."""
    moved: Mask = v2.Resize([size, size], antialias=True)(Mask(mask))
    resized: Tensor = moved.as_subclass(Tensor)
    return resized


def flip_pairs(image: Tensor, mask: Tensor, flipped: Tensor) -> tuple[Tensor, Tensor]:
    """Mirror some images (N, 3, H, W), left to right, with their masks (N, H, W).

    `flipped`: (N,) bool, which ones.
    """
    mirrored: tuple[Image, Mask] = v2.RandomHorizontalFlip(p=1.0)(
        Image(image), Mask(mask)
    )
    return (
        torch.where(flipped.view(-1, 1, 1, 1), mirrored[0].as_subclass(Tensor), image),
        torch.where(flipped.view(-1, 1, 1), mirrored[1].as_subclass(Tensor), mask),
    )


def normalize(image: Tensor) -> Tensor:
    """Return images as networks trained on ImageNet expect them, (N, 3, H, W) float32.

    Of (N, 3, H, W) uint8 in [0, 255], to the bit what torchvision's v2 gives, whose
    `normalize` copies mean and deviation to the device, and waits for it, every time.
    """
    mean, deviation = _imagenet(image.device)
    return image.to(torch.float32).mul_(1 / 255).sub_(mean).div_(deviation)


@lru_cache
def _imagenet(device: torch.device) -> tuple[Tensor, Tensor]:
    """Return mean and deviation, (3, 1, 1) each."""
    mean, deviation = (
        torch.tensor(values, dtype=torch.float32).view(3, 1, 1).to(device)
        for values in (IMAGENET_MEAN, IMAGENET_STD)
    )
    return mean, deviation
