"""What is measured of a run, as far as tables have to know it: `METRICS`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

from reff_bench.catalog.find import CatalogError, check_name, load

if TYPE_CHECKING:
    from torch import Tensor

    from reff_bench.metrics.accuracy import Predictions

GROUP = "reff_bench.metrics"
FRACTION = ""  # the unit of what tables print in per cent
Better = Literal["higher", "lower"]


@dataclass(frozen=True, slots=True)
class MetricSpec:
    """One number of a run.

    Examples:
        >>> import torch
        >>> from reff_bench import MetricSpec, Predictions
        >>> def margin(predictions: Predictions):  # (n,): highest logit less the second
        ...     first, second = predictions.logits.topk(2, 1).values.T
        ...     return first - second
        >>> spec = MetricSpec("Margin of the logits", better=None, compute=margin)
        >>> names = ("landbird", "waterbird")
        >>> labels = torch.tensor([0, 0])
        >>> logits = torch.tensor([[2.0, 0.0], [0.0, 1.0]])
        >>> spec.compute(Predictions(logits, labels, labels, names, names))
        tensor([2., 1.])

    Attributes:
        title: its name in tables.
        unit: `s`, `bytes` and so on; empty for a fraction in [0, 1].
        better: which end is the better one; None: neither.
        selectable: whether hyper-parameters may be chosen by it: never on the test.
        compute: of a user's own metric: from the predictions on the test split to one
            number, or to (n,) of one for each image, whose mean counts.
    """

    title: str
    unit: str = FRACTION
    better: Better | None = "higher"
    selectable: bool = False
    compute: "Callable[[Predictions], float | Tensor] | None" = None


def _chosen(title: str) -> MetricSpec:
    return MetricSpec(title, selectable=True)


_QUOTED = "Grad-CAM of the last stage for the label, ABN: its attention map"
METRICS: Mapping[str, MetricSpec] = {
    "test_accuracy": MetricSpec("Test accuracy (per sample)"),
    "test_balanced_accuracy": MetricSpec("Balanced test accuracy (mean over classes)"),
    "test_group_mean_accuracy": MetricSpec("Test accuracy (mean over groups)"),
    "test_worst_group_accuracy": MetricSpec("Test accuracy of the worst group"),
    "worst_group_accuracy": MetricSpec("Test accuracy of the worst group"),
    "val_accuracy": _chosen("Validation accuracy (per sample, training randomness)"),
    "val_shifted_accuracy": _chosen(
        "Validation accuracy (per sample, test randomness)"
    ),
    "val_balanced_accuracy": _chosen(
        "Balanced validation accuracy (mean over classes)"
    ),
    "aligned_accuracy": MetricSpec("Accuracy on test samples with aligned backgrounds"),
    "random_accuracy": MetricSpec(
        "Accuracy on the same test samples with random backgrounds"
    ),
    "background_gap": MetricSpec(
        "Background gap (accuracy with aligned less random backgrounds)", better="lower"
    ),
    "flip_rate": MetricSpec(
        "Flip rate (predictions that change with the background alone)", better="lower"
    ),
    "texture_gap": MetricSpec(
        "Texture gap (accuracy with aligned less random digit textures, backgrounds "
        "random)",
        better="lower",
    ),
    **{
        f"accuracy_bg_{bg}_tex_{tex}": MetricSpec(
            f"Accuracy with {bg} backgrounds and {tex} digit textures"
        )
        for bg in ("aligned", "random")
        for tex in ("aligned", "random")
    },
    "epg": MetricSpec(f"Energy pointing game ({_QUOTED})"),
    **{
        f"epg_stage{n}_label": MetricSpec(
            f"Energy pointing game (Grad-CAM of stage {n}, label)"
        )
        for n in (1, 2, 3)
    },
    "epg_stage4_label": MetricSpec(
        "Energy pointing game (Grad-CAM of the last stage, label)"
    ),
    "epg_stage4_predicted": MetricSpec(
        "Energy pointing game (Grad-CAM of the last stage, predicted class)"
    ),
    "epg_input_x_gradient_label": MetricSpec(
        "Energy pointing game (input times gradient, label)"
    ),
    "epg_chance": MetricSpec(
        "Chance level of the energy pointing game (mean area of the masks)", better=None
    ),
    "pointing_game": MetricSpec(f"Pointing game ({_QUOTED})"),
    "iou_half_max": MetricSpec(
        f"IoU of the mask and the map at half its maximum ({_QUOTED})"
    ),
    "iou_top_area": MetricSpec(
        f"IoU of the mask and as many of the map's highest pixels ({_QUOTED})"
    ),
    "zero_map_share": MetricSpec(
        f"Share of maps that are all zero ({_QUOTED})", better="lower"
    ),
    "off_mask_central_share": MetricSpec(
        "Share of the map's mass off the mask that lies in the central quarter "
        f"({_QUOTED})",
        better=None,
    ),
    "off_mask_central_share_chance": MetricSpec(
        "Share of the area off the mask that lies in the central quarter", better=None
    ),
    "annotator_iou": MetricSpec("IoU of the pseudo-annotations on held-out masks"),
    "annotator_dice": MetricSpec("Dice of the pseudo-annotations on held-out masks"),
    "train_seconds": MetricSpec("Training time in s", "s", "lower"),
    "processor_seconds": MetricSpec("Processor time of training in s", "s", "lower"),
    "images_per_second": MetricSpec("Training images per second", "images/s"),
    "peak_memory_bytes": MetricSpec("Peak memory in bytes", "bytes", "lower"),
}
SELECTABLE = tuple(name for name, spec in METRICS.items() if spec.selectable)


# Returns a name that there may be, or raises CatalogError; nothing is imported.
check_metric = partial(check_name, "value", known=METRICS, group=GROUP)


def find_metric(name: str) -> MetricSpec:
    """Return a metric: of `METRICS`, installed, or the user's own.

    Args:
        name: of `METRICS` or of an entry point, or `package.module:name` of a
            `MetricSpec` with `compute`, or of such a function alone.

    Raises:
        CatalogError: it can't be imported, or is something else.
    """
    if name in METRICS:
        return METRICS[name]
    found = load(name, GROUP)
    if isinstance(found, MetricSpec) and found.compute is not None:
        return found
    if isinstance(found, MetricSpec) or not callable(found):
        raise CatalogError(
            f"{name} is a {type(found).__name__} that computes nothing; it should be a "
            "function of reff_bench.metrics.Predictions, or a MetricSpec with one"
        )
    return MetricSpec(name.rpartition(":")[2], compute=found)


def known_metric(name: str) -> MetricSpec:
    """Return a metric; one that can't be imported here as far as its name says."""
    try:
        return find_metric(name)
    except CatalogError:
        return MetricSpec(name.rpartition(":")[2])
