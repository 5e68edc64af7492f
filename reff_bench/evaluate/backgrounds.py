"""What other backgrounds do to a model's predictions: `measure_backgrounds`."""

import torch
from torch import Tensor, nn

from reff_bench.data import Backgrounds, PixelSource, normalise
from reff_bench.results import Fields

BATCH_SIZE = 256
NAMES = ("background_gap", "aligned_accuracy", "random_accuracy", "flip_rate")


@torch.no_grad()
def measure_backgrounds(
    model: nn.Module,
    backgrounds: Backgrounds | None,
    rows: Tensor,
    labels: Tensor,
    predicted: Tensor,
    device: torch.device | str = "cpu",
) -> Fields:
    """Return how much a model's predictions hang on the backgrounds.

    All are of the same samples, whose digits, places and digit textures stay.
    `background_gap` is `aligned_accuracy` less `random_accuracy`: with backgrounds tied
    to the label, and drawn from all classes. `flip_rate` is the share of the samples
    whose predicted class changes with the background's. All are None without
    backgrounds or samples.

    Args:
        model: in evaluation mode.
        backgrounds: the samples on other backgrounds.
        rows: (n,) int64, samples of the test split.
        labels: (n,) int64, theirs.
        predicted: (n,) int64, the model's predictions on the samples themselves.
        device: where the model is.
    """
    if backgrounds is None or not len(rows):
        return dict.fromkeys(NAMES)
    aligned, random = (
        float((_predict(model, source, rows, device) == labels).double().mean())
        for source in (backgrounds.aligned, backgrounds.random)
    )
    flipped = _predict(model, backgrounds.twin, rows, device) != predicted
    return {
        "background_gap": aligned - random,
        "aligned_accuracy": aligned,
        "random_accuracy": random,
        "flip_rate": float(flipped.double().mean()),
    }


def _predict(
    model: nn.Module, source: PixelSource, rows: Tensor, device: torch.device | str
) -> Tensor:
    """Return (n,) int64 classes, on the CPU."""
    predicted = []
    for some in torch.split(rows, BATCH_SIZE):
        images = normalise(source.read(some)[0].to(device))
        predicted.append(model(images).logits.argmax(1).cpu())
    return torch.cat(predicted)
