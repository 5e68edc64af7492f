"""What other backgrounds do to a model's predictions: `measure_backgrounds`."""

import torch
from torch import Tensor, nn

from reff_bench.data.backgrounds import RANDOMNESS, Backgrounds
from reff_bench.data.pixels import PixelSource
from reff_bench.data.split import Prepare
from reff_bench.data.transforms import normalize
from reff_bench.results.json_file import Fields

BATCH_SIZE = 256
SHORTCUTS = tuple(
    f"accuracy_bg_{bg}_tex_{tex}" for bg in RANDOMNESS for tex in RANDOMNESS
)
NAMES = (
    *("background_gap", "aligned_accuracy", "random_accuracy", "flip_rate"),
    *("texture_gap", *SHORTCUTS),
)


@torch.no_grad()
def measure_backgrounds(
    model: nn.Module,
    backgrounds: Backgrounds | None,
    rows: Tensor,
    labels: Tensor,
    predicted: Tensor,
    device: torch.device | str = "cpu",
    prepare: Prepare | None = None,
) -> Fields:
    """Return how much a model's predictions hang on the backgrounds.

    All are of the same samples, whose digits, places and digit textures stay.
    `background_gap` is `aligned_accuracy` less `random_accuracy`: with backgrounds
    assigned to the label, and drawn from all classes. `flip_rate` is the share of the
    samples whose predicted class changes with the background's.

    `accuracy_bg_<how>_tex_<how>` are the accuracies with the background and the digit's
    texture each aligned or random; `texture_gap` is what random digit textures cost on
    random backgrounds. All are None without backgrounds or samples.

    Args:
        model: in evaluation mode.
        backgrounds: the samples on other backgrounds.
        rows: (n,) int64, samples of the test split.
        labels: (n,) int64, theirs.
        predicted: (n,) int64, the model's predictions on the samples themselves.
        device: where the model is.
        prepare: what the model sees of images and masks; None: the images.
    """
    if backgrounds is None or not len(rows):
        return dict.fromkeys(NAMES)

    def predict(source: PixelSource) -> Tensor:
        found = []
        for some in torch.split(rows, BATCH_SIZE):
            images, masks = (one.to(device) for one in source.read(some))
            images = normalize(images)
            if prepare is not None:
                images = prepare(images, masks.to(images.dtype))
            found.append(model(images).logits.argmax(1).cpu())
        return torch.cat(found)

    def accuracy(source: PixelSource) -> float:
        return float((predict(source) == labels).double().mean())

    aligned, random = map(accuracy, (backgrounds.aligned, backgrounds.random))
    shortcuts = {
        f"accuracy_bg_{bg}_tex_{tex}": accuracy(source)
        for (bg, tex), source in backgrounds.shortcuts.items()
    }
    flipped = predict(backgrounds.counterfactual) != predicted
    return {
        "background_gap": aligned - random,
        "aligned_accuracy": aligned,
        "random_accuracy": random,
        "flip_rate": float(flipped.double().mean()),
        "texture_gap": shortcuts["accuracy_bg_random_tex_aligned"]
        - shortcuts["accuracy_bg_random_tex_random"],
        **shortcuts,
    }
