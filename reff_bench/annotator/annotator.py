"""A trained pseudo-annotator, and how well its masks fit: `Annotator`, `iou_dice`."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from reff_bench import __version__
from reff_bench.annotator.networks import UNetGenerator, image_size
from reff_bench.annotator.options import AnnotatorError, AnnotatorOptions, Size
from reff_bench.torch_files import TorchFileError, load_torch, save_torch

SCHEMA_VERSION = 1
LOSSES = ("l1", "adversarial", "discriminator")


@dataclass(frozen=True, slots=True)
class Annotator:
    """A U-Net that draws masks.

    Attributes:
        unet: the network, in eval mode.
        options: what it was trained with; nothing is None.
        size: height and width of the images that it was trained on, px.
        losses: `l1`, `adversarial` (both of the U-Net) and `discriminator`, each
            (steps,) float32.
    """

    unet: UNetGenerator
    options: AnnotatorOptions
    size: Size
    losses: Mapping[str, Tensor]

    @torch.no_grad()
    def predict(self, images: Tensor, batch_size: int = 64) -> Tensor:
        """Return soft masks; an image's mask doesn't depend on the others.

        Args:
            images: (N, 3, H, W), float in [-1, 1] or uint8 in [0, 255]; H and W as in
                training.
            batch_size: images at once; the masks don't depend on it beyond rounding.

        Returns:
            (N, H, W) float32 in [0, 1], on the CPU.

        Raises:
            AnnotatorError: the images have another size than those of training.
        """
        if images.ndim != 4 or images.shape[1] != 3 or image_size(images) != self.size:
            height, width = self.size
            raise AnnotatorError(
                f"images are {tuple(images.shape)}; this annotator was trained on "
                f"(N, 3, {height}, {width})"
            )
        device = next(self.unet.parameters()).device
        masks = torch.empty(len(images), *self.size)
        for start in range(0, len(images), batch_size):
            rows = slice(start, start + batch_size)
            masks[rows] = self.unet(as_images(images[rows], device)).squeeze(1).cpu()
        return ((masks + 1) / 2).clamp(0, 1)

    def save(self, path: Path) -> None:
        """Write the annotator atomically, its digest beside it."""
        content = {
            "schema_version": SCHEMA_VERSION,
            "package_version": __version__,
            "options": self.options.model_dump(),
            "size": list(self.size),
            "losses": dict(self.losses),
            "unet": self.unet.state_dict(),
        }
        save_torch(content, path)

    @classmethod
    def load(cls, path: Path, device: torch.device | str = "cpu") -> "Annotator":
        """Read an annotator, in eval mode.

        Raises:
            FileNotFoundError: there is no such file.
            AnnotatorError: the file is damaged, foreign or of another version.
        """
        content = _read(path)
        try:
            options = AnnotatorOptions(**content["options"])
            height, width = content["size"]
            with torch.random.fork_rng(devices=[]):
                unet = UNetGenerator(
                    options.downs or 1, options.base_channels, options.norm or "batch"
                )
            unet.load_state_dict(content["unet"])
            losses = content["losses"]
        # Whatever a file that was changed may hold in place of these parts.
        except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
            raise AnnotatorError(f"{path} is no whole annotator; {_REMEDY}") from error
        return cls(unet.to(device).eval(), options, (height, width), losses)


_REMEDY = "delete it and train again"


def as_images(images: Tensor, device: torch.device | str) -> Tensor:
    """Return images (N, 3, H, W) as float32 in [-1, 1] on the device.

    They are float in [-1, 1] or uint8 in [0, 255].
    """
    moved = images.to(device)
    if moved.dtype == torch.uint8:
        return moved.to(torch.float32) / 127.5 - 1
    return moved.to(torch.float32)


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise FileNotFoundError(f"no annotator at {path}; train it first")
    try:
        content: Any = load_torch(path)
    except TorchFileError as error:
        raise AnnotatorError(
            f"{path} is no readable annotator; {_REMEDY} ({error})"
        ) from None
    version = content.get("schema_version") if isinstance(content, dict) else None
    if version != SCHEMA_VERSION:
        raise AnnotatorError(
            f"{path} has schema version {version}; this release reads "
            f"{SCHEMA_VERSION}: {_REMEDY}"
        )
    found: dict[str, Any] = content
    return found


def iou_dice(
    predicted: Tensor, true: Tensor, threshold: float = 0.5
) -> tuple[Tensor, Tensor]:
    """Return intersection over union, and Dice's coefficient, of every image.

    An empty prediction for an empty true mask is right: both are 1. If only one of the
    two is empty, both are 0.

    Args:
        predicted: (N, H, W) or (N, 1, H, W) soft masks in [0, 1].
        true: (N, H, W) or (N, 1, H, W) in {0, 1}, any type.
        threshold: a pixel is predicted where the soft mask reaches it.

    Returns:
        IoU and Dice, each (N,) float64 in [0, 1].

    Raises:
        AnnotatorError: the two don't have the same images or sizes.
    """
    ours, theirs = predicted.flatten(1) >= threshold, true.flatten(1) >= 0.5
    if ours.shape != theirs.shape or predicted.shape[-2:] != true.shape[-2:]:
        raise AnnotatorError(
            f"predicted masks {tuple(predicted.shape)} and true masks "
            f"{tuple(true.shape)} differ; both must be (N, H, W) or (N, 1, H, W) of "
            "the same images"
        )
    both = (ours & theirs).sum(1).double()
    either = (ours | theirs).sum(1).double()
    nothing = either == 0
    iou = (both / either.clamp_min(1)).masked_fill(nothing, 1.0)
    return iou, 2 * iou / (1 + iou)
