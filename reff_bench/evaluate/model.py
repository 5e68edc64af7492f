"""All metrics of a model, on its own backgrounds and on others: `evaluate_model`."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from reff_bench.catalog.metrics import find_metric
from reff_bench.data.backgrounds import RANDOMNESS, Backgrounds
from reff_bench.data.pixels import PixelSource
from reff_bench.data.split import Data, Prepare, Split
from reff_bench.data.transforms import normalize
from reff_bench.evaluate.focus import FOCUS_SAMPLES, measure_focus, rows_with_mask
from reff_bench.metrics.accuracy import Predictions, accuracies
from reff_bench.results.json_file import Fields
from reff_bench.results.run import RunError

SPLITS = ("val", "val_shifted", "test")
BATCH_SIZE = 256
BATCH_SIZE_CPU = 32  # whose maps fit into a core's caches: up to 2.5 times as fast
SHORTCUTS = tuple(
    f"accuracy_bg_{bg}_tex_{tex}" for bg in RANDOMNESS for tex in RANDOMNESS
)
NAMES = (
    *("background_gap", "aligned_accuracy", "random_accuracy", "flip_rate"),
    *("texture_gap", *SHORTCUTS),
)


def evaluate_model(
    model: nn.Module,
    data: Data,
    device: torch.device | str = "cpu",
    backgrounds: Backgrounds | None = None,
    own: Sequence[str] = (),
) -> Fields:
    """Return the metrics of a model in float32; fractions, None for what isn't there.

    Per split (`val`, `val_shifted`, `test`; None for a split that the data don't have):
    `<split>_accuracy` is the share of all samples, `<split>_balanced_accuracy` the mean
    over classes, `<split>_group_mean_accuracy` the mean over groups,
    `<split>_worst_group_accuracy` the least over groups, and
    `<split>_group_accuracies` each group's by name, None for an empty group.
    `worst_group_accuracy` is that of the test split, `test_samples` its size.

    On the first `focus_samples` test samples with a mask it is what `measure_focus` and
    `measure_backgrounds` return.

    Args:
        model: gives a `reff_bench.models.Output`; left in evaluation mode.
        data: on which.
        device: where the model is.
        backgrounds: the test samples on other backgrounds, where they can be had.
        own: names of metrics of the user's own: their values stand under these names.

    Raises:
        RunError: an output isn't finite, or one of the user's own metrics fails.
    """
    logits = {
        name: compute_logits(model, data.splits[name], device)
        for name in SPLITS
        if name in data.splits
    }
    predicted = {name: each.argmax(1) for name, each in logits.items()}
    metrics: Fields = {}
    for name in SPLITS:
        metrics |= _accuracies_of(name, data, predicted.get(name))
    metrics["worst_group_accuracy"] = metrics["test_worst_group_accuracy"]
    test = data.splits["test"]
    metrics |= measure_own(logits["test"], data, own)
    metrics["test_samples"] = len(test)
    rows = rows_with_mask(test, torch.arange(len(test)), FOCUS_SAMPLES)
    metrics |= measure_focus(model, test, rows, device)
    return metrics | measure_backgrounds(
        *(model, backgrounds, rows, test.labels[rows], predicted["test"][rows]),
        *(device, test.prepare),
    )


def predict(
    model: nn.Module, split: Split, device: torch.device | str = "cpu"
) -> Tensor:
    """Return the predicted class of every sample, (n,) int64 on the CPU.

    Raises:
        RunError: an output isn't finite: no class is predicted then.
    """
    return compute_logits(model, split, device).argmax(1)


@torch.no_grad()
def compute_logits(
    model: nn.Module, split: Split, device: torch.device | str = "cpu"
) -> Tensor:
    """Return the logits of every sample, (n, K) float32 on the CPU.

    Raises:
        RunError: one of them isn't finite.
    """
    model.eval()
    found = []
    for batch in split.in_order(_batch_size(device), device):
        logits = model(batch.image).logits
        if not logits.isfinite().all():
            raise RunError(
                "the model's outputs aren't finite, so that it predicts nothing and "
                "has no metrics; give weights of a training that went well"
            )
        found.append(logits.float().cpu())
    return torch.cat(found)


def measure_own(logits: Tensor, data: Data, names: Sequence[str]) -> Fields:
    """Return metrics of the user's own by name, from (n, K) logits of the test split.

    Raises:
        RunError: one fails, or gives no finite number.
    """
    test = data.splits["test"]
    predictions = Predictions(
        logits, test.labels, test.groups, data.class_names, data.group_names
    )
    found: Fields = {}
    for name in names:
        compute = find_metric(name).compute
        assert compute is not None, "built-in metrics are always there"
        try:
            value = torch.as_tensor(compute(predictions), dtype=torch.float64).mean()
        except Exception as error:  # whatever code of others raises
            reason = f"{type(error).__name__}: {error}"
            raise RunError(f"the metric {name} failed: {reason}") from None
        if not value.isfinite():
            raise RunError(f"the metric {name} is {float(value)}, which no table shows")
        found[name] = float(value)
    return found


def _accuracies_of(name: str, data: Data, predicted: Tensor | None) -> Fields:
    if predicted is None:
        kinds = ("", "balanced_", "group_mean_", "worst_group_")
        return {f"{name}_{kind}accuracy": None for kind in kinds}
    split, groups = data.splits[name], data.group_names
    found = accuracies(
        predicted, split.labels, split.groups, data.num_classes, len(groups)
    )
    return {
        f"{name}_accuracy": found.sample,
        f"{name}_balanced_accuracy": found.balanced,
        f"{name}_group_mean_accuracy": found.group_mean,
        f"{name}_worst_group_accuracy": found.worst_group,
        f"{name}_group_accuracies": dict(zip(groups, found.by_group, strict=True)),
    }


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
        for some in torch.split(rows, _batch_size(device)):
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


def _batch_size(device: torch.device | str) -> int:
    return BATCH_SIZE_CPU if torch.device(device).type == "cpu" else BATCH_SIZE
