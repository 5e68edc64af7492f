"""Training the pseudo-annotator on the annotated images: `train_annotator`."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from reff_bench.annotator.annotator import LOSSES, Annotator, as_images
from reff_bench.annotator.networks import (
    PatchDiscriminator,
    UNetGenerator,
    image_size,
    initialize,
)
from reff_bench.annotator.options import AnnotatorError, AnnotatorOptions

Progress = Callable[[int, int, Mapping[str, float]], None]

SYNC_EVERY = 50  # steps between two readings of the losses: each waits for a GPU


class AnnotatorDivergedError(RuntimeError):
    """A loss of the annotator's training became infinite or not a number."""


def train_annotator(
    images: Tensor,
    masks: Tensor,
    options: AnnotatorOptions | None = None,
    *,
    seed: int = 0,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
) -> Annotator:
    """Train pix2pix to draw the masks of the annotated images.

    Discriminator: BCE(D(image, mask), 1) / 2 + BCE(D(image, G(image)), 0) / 2; U-Net:
    BCE(D(image, G(image)), 1) + 100 L1(G(image), mask); masks in {-1, 1} [other].
    The seed gives the same annotator, to the bit, on a CPU with the same number of
    threads. Global random states are neither read nor changed.

    Args:
        images: (M, 3, H, W), float in [-1, 1] or uint8 in [0, 255].
        masks: (M, 1, H, W) in {0, 1}, any type.
        options: how to train; by default the paper's size.
        seed: of the first weights and of the order of the images.
        device: where to train; the data may stay elsewhere.
        progress: called every 50 steps and after the last with the steps done, the
            steps in all, and the mean of each loss since the last call.

    Raises:
        AnnotatorError: images, masks and options don't fit one another.
        AnnotatorDivergedError: a loss became infinite or not a number.
    """
    _check(images, masks)
    options = (options or AnnotatorOptions()).resolve(len(images), image_size(images))
    random = torch.Generator().manual_seed(seed)
    pair = Pair.build(options, random, torch.device(device))
    batches = _batches(len(images), options.batch_size or 1, random)
    history: list[Tensor] = []
    for step, rows in zip(range(options.steps), batches, strict=False):
        image = as_images(_sent(images[rows], device), device)
        mask = _sent(masks[rows], device).to(torch.float32) * 2 - 1
        history.append(pair.step(image, mask, options))
        if (step + 1) % SYNC_EVERY == 0 or step + 1 == options.steps:
            recent = history[step // SYNC_EVERY * SYNC_EVERY :]
            _sync(recent, step + 1, options, progress)
    losses = dict(zip(LOSSES, torch.stack(history, dim=1).cpu(), strict=True))
    return Annotator(pair.unet.eval(), options, image_size(images), losses)


def linear_decay(
    optimizer: torch.optim.Adam, options: AnnotatorOptions
) -> torch.optim.lr_scheduler.LambdaLR:
    """Return pix2pix's schedule: a constant rate, then linearly down to 0 [other]."""
    constant = int(options.decay_from * options.steps)
    decaying = options.steps - constant

    def factor(step: int) -> float:
        return 1.0 if step < constant else 1.0 - (step - constant) / max(1, decaying)

    return torch.optim.lr_scheduler.LambdaLR(optimizer, factor)


@dataclass(frozen=True, slots=True)
class Pair:
    """The two networks in training, and their optimizers and schedules."""

    unet: UNetGenerator
    discriminator: PatchDiscriminator
    optimizers: tuple[torch.optim.Adam, torch.optim.Adam]
    schedules: tuple[torch.optim.lr_scheduler.LambdaLR, ...]

    @classmethod
    def build(
        cls, options: AnnotatorOptions, random: torch.Generator, device: torch.device
    ) -> "Pair":
        """Draw both networks' first weights on the CPU; the options are resolved."""
        norm = options.norm or "batch"
        # A layer draws its weights from the global state when it is made.
        with torch.random.fork_rng(devices=[]):
            unet = UNetGenerator(options.downs or 1, options.base_channels, norm)
            discriminator = PatchDiscriminator(options.base_channels, norm)
        for network in (unet, discriminator):
            initialize(network, random)
            network.to(device).train()
        optimizers = (_adam(unet, options), _adam(discriminator, options))
        schedules = tuple(linear_decay(optimizer, options) for optimizer in optimizers)
        return cls(unet, discriminator, optimizers, schedules)

    def step(self, image: Tensor, mask: Tensor, options: AnnotatorOptions) -> Tensor:
        """Teach both networks one batch; return its losses, (3,), as in LOSSES.

        Images are (N, 3, H, W) float32 in [-1, 1], masks (N, 1, H, W) float32 in
        {-1, 1}, the options resolved.
        """
        fake = self.unet(image)
        judged = self._teach_discriminator(image, mask, fake.detach())
        self.discriminator.requires_grad_(False)
        adversarial = _bce(self.discriminator(image, fake), 1.0)
        l1 = F.l1_loss(fake, mask)
        self._descend(0, adversarial + options.l1_weight * l1)
        self.discriminator.requires_grad_(True)
        for schedule in self.schedules:
            schedule.step()
        return torch.stack([l1.detach(), adversarial.detach(), judged])

    def _teach_discriminator(self, image: Tensor, mask: Tensor, fake: Tensor) -> Tensor:
        wrong, right = self.discriminator(image, fake), self.discriminator(image, mask)
        loss = (_bce(wrong, 0.0) + _bce(right, 1.0)) / 2
        self._descend(1, loss)
        return loss.detach()

    def _descend(self, number: int, loss: Tensor) -> None:
        self.optimizers[number].zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizers[number].step()


def _check(images: Tensor, masks: Tensor) -> None:
    if images.ndim != 4 or images.shape[1] != 3 or len(images) == 0:
        raise AnnotatorError(
            f"images are {tuple(images.shape)}; give (M, 3, H, W) with M of 1 or more"
        )
    # "not <=" rather than ">": it also catches what is not a number.
    if images.is_floating_point() and not images.abs().max() <= 1:
        raise AnnotatorError(
            f"images reach from {images.min().item():g} to {images.max().item():g}; "
            "give floats in [-1, 1] or uint8 in [0, 255]"
        )
    expected = (len(images), 1, *image_size(images))
    if tuple(masks.shape) != expected:
        raise AnnotatorError(
            f"masks are {tuple(masks.shape)}; these images need {expected}"
        )
    if not bool(((masks == 0) | (masks == 1)).all()):
        low, high = masks.min().item(), masks.max().item()
        raise AnnotatorError(
            f"masks hold other values than 0 and 1 (from {low} to {high}); "
            "threshold or divide them first"
        )


def _batches(count: int, size: int, random: torch.Generator) -> Iterator[Tensor]:
    """Yield (size,) row numbers without end: shuffled passes, one after another."""
    rows = torch.empty(0, dtype=torch.int64)
    while True:
        while len(rows) < size:
            rows = torch.cat([rows, torch.randperm(count, generator=random)])
        yield rows[:size]
        rows = rows[size:]


def _sent(batch: Tensor, device: torch.device | str) -> Tensor:
    """Bring a batch to the device; a GPU isn't waited for, so that work can queue."""
    if torch.device(device).type == "cuda" and batch.device.type == "cpu":
        batch = batch.pin_memory()
    return batch.to(device, non_blocking=True)


def _adam(network: torch.nn.Module, options: AnnotatorOptions) -> torch.optim.Adam:
    betas = (options.beta1, options.beta2)
    return torch.optim.Adam(
        network.parameters(), lr=options.learning_rate, betas=betas, fused=True
    )


def _bce(logits: Tensor, target: float) -> Tensor:
    targets = torch.full_like(logits, target)
    return F.binary_cross_entropy_with_logits(logits, targets)


def _sync(
    recent: list[Tensor],
    done: int,
    options: AnnotatorOptions,
    progress: Progress | None,
) -> None:
    losses = torch.stack(recent).cpu()
    if not bool(losses.isfinite().all()):
        first = done - len(recent) + int((~losses.isfinite()).any(1).nonzero()[0]) + 1
        raise AnnotatorDivergedError(
            f"a loss of the annotator became infinite or not a number in step {first} "
            f"of {options.steps}; try a learning_rate below {options.learning_rate:g}"
        )
    if progress is not None:
        means = dict(zip(LOSSES, losses.mean(0).tolist(), strict=True))
        progress(done, options.steps, means)
