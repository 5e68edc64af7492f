"""What an annotator is trained with, checked: `AnnotatorOptions`."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field

SINGLE_UP_TO = 50  # annotated images; above, a batch has MANY of them
MANY = 16
MAX_DOWNS = 8
SMALLEST_BOTTLENECK_PX = 2
SMALLEST_DISCRIMINATED_PX = 24  # below, nothing is left after strides 2 2 2 1 1

Size = tuple[int, int]
Norm = Literal["batch", "instance"]


class AnnotatorError(ValueError):
    """An annotator can't be trained, read or used as asked."""


class AnnotatorOptions(BaseModel):
    """How the pseudo-annotator is built and trained.

    [paper] pix2pix; a discriminator of five convolutions with 64, 128, 256, 512 and 1
    channels. [other] (pix2pix) the weights of the loss, Adam's settings, a constant
    rate for the first half and a linear decay after. [assumed] a budget in steps, the
    same whatever the number of annotated images; one image a step up to 50 annotated
    images, else 16.

    Attributes:
        base_channels: channels of the first layer of both networks; fewer than 64 is a
            deviation from the paper and to be named as one.
        downs: halvings in the U-Net; None: as many as fit the image.
        steps: optimizer steps of each network.
        batch_size: images a step; None: 1 up to 50 annotated images, else 16.
        norm: None: `instance` for batches of one image, else `batch`.
        l1_weight: weight of the L1 distance beside the adversarial loss.
        learning_rate: of Adam, for both networks.
        beta1: of Adam.
        beta2: of Adam.
        decay_from: share of the steps after which the rate goes linearly to 0.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    base_channels: int = Field(default=64, ge=4, le=256)
    downs: int | None = Field(default=None, ge=1, le=MAX_DOWNS)
    steps: int = Field(default=10_000, ge=1)
    batch_size: int | None = Field(default=None, ge=1)
    norm: Norm | None = None
    l1_weight: float = Field(default=100.0, ge=0.0, allow_inf_nan=False)
    learning_rate: float = Field(default=2.0e-4, gt=0.0, le=1.0)
    beta1: float = Field(default=0.5, ge=0.0, lt=1.0)
    beta2: float = Field(default=0.999, ge=0.0, lt=1.0)
    decay_from: float = Field(default=0.5, ge=0.0, le=1.0)

    def resolve(self, count: int, size: Size) -> Self:
        """Fill in what depends on the number of annotated images and their size in px.

        Raises:
            AnnotatorError: the networks don't fit images of this size.
        """
        check_discriminator(size)
        downs = fitting_downs(size) if self.downs is None else self.downs
        check_downs(downs, size)
        single = 1 if count <= SINGLE_UP_TO else MANY
        batch_size = self.batch_size or single
        norm = self.norm or ("instance" if batch_size == 1 else "batch")
        chosen = {"downs": downs, "batch_size": batch_size, "norm": norm}
        return self.model_copy(update=chosen)


def fitting_downs(size: Size) -> int:
    """Return the most halvings, up to 8, that leave whole sides of 2 px or more.

    5 at 224 px, 4 at 32 and 48 px, 3 at 56 px, 5 at 64 px.

    Raises:
        AnnotatorError: a side can't be halved even twice.
    """
    downs = max((n for n in range(1, MAX_DOWNS + 1) if _fits(n, size)), default=0)
    if downs < 2:
        raise AnnotatorError(
            f"no U-Net fits images of {size[0]} x {size[1]} px: it must halve both "
            f"sides at least twice; use multiples of 4, better of 16, such as "
            f"{_nearest(size[0], 4)} x {_nearest(size[1], 4)} px"
        )
    return downs


def check_downs(downs: int, size: Size) -> None:
    """Refuse a U-Net whose skips would meet maps of another size.

    Raises:
        AnnotatorError: a side isn't a multiple of `2**downs`, or vanishes.
    """
    if _fits(downs, size, smallest=1):
        return
    fit = [n for n in range(1, MAX_DOWNS + 1) if _fits(n, size, smallest=1)]
    allowed = f"downs from 1 to {max(fit)}" if fit else "no number of downs"
    side = 2**downs
    raise AnnotatorError(
        f"{downs} downs need sides that are multiples of {side} px, but the images are "
        f"{size[0]} x {size[1]} px; {allowed} can take these images, and {downs} downs "
        f"can take {_nearest(size[0], side)} x {_nearest(size[1], side)} px"
    )


def check_discriminator(size: Size) -> None:
    """Refuse images of which the discriminator leaves nothing.

    Raises:
        AnnotatorError: a side is under 24 px.
    """
    if min(size) < SMALLEST_DISCRIMINATED_PX:
        raise AnnotatorError(
            f"the discriminator leaves nothing of images of {size[0]} x {size[1]} px; "
            f"use sides of {SMALLEST_DISCRIMINATED_PX} px or more"
        )


def _fits(downs: int, size: Size, smallest: int = SMALLEST_BOTTLENECK_PX) -> bool:
    return all(side % 2**downs == 0 and side // 2**downs >= smallest for side in size)


def _nearest(side: int, step: int) -> int:
    return max(step, round(side / step) * step)
