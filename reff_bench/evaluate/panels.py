"""Some test images with a model's maps, for the figures: `make_panels`."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

from reff_bench.annotator.annotator import Annotator
from reff_bench.catalog.options import STAGES
from reff_bench.data.split import Data, Split
from reff_bench.evaluate.focus import ATTENTION, explain_batch, rows_with_mask
from reff_bench.results.panels import Panels

CLASSES = 8


def make_panels(
    model: nn.Module,
    data: Data,
    annotator: Annotator | None,
    device: torch.device | str = "cpu",
) -> Panels:
    """Return test images, their masks and a model's maps, all unscaled.

    Where no test image has a mask (ISIC2017) they are validation images.

    The images are those of `panel_rows`, so the same for every model on the same data:
    `image` (n, S, S, 3) uint8, `mask` (n, S, S) uint8 in {0, 1}, `label`, `index` and
    `predicted` (n,) int64, `class_names` (K,) str. The maps are the Grad-CAMs for the
    label, `stage1` ... `stage4`, and `attention` where the model has it, each (n, h, w)
    float32 >= 0. `pseudo_mask` (n, S, S) float32 in [0, 1] is the annotator's whose
    masks the model was trained with, if any. The model is in evaluation mode.
    """
    split = panel_split(data)
    rows = panel_rows(split)
    images, masks = split.source.read(rows)
    explained = explain_batch(model, split.get(rows, device))
    maps: dict[str, Tensor | None] = {
        **{name: explained.maps.get(f"{name}_label") for name in STAGES},
        ATTENTION: explained.maps.get(ATTENTION),
        "pseudo_mask": None if annotator is None else annotator.predict(images),
    }
    return {
        "image": images.permute(0, 2, 3, 1).contiguous().numpy(),
        "mask": masks.numpy(),
        "label": split.labels[rows].numpy(),
        "index": rows.numpy(),
        "predicted": explained.predicted.cpu().numpy(),
        "class_names": np.array(data.class_names),
        **{
            name: one.float().cpu().numpy()
            for name, one in maps.items()
            if one is not None
        },
    }


def panel_split(data: Data) -> Split:
    """Return the test split, or the validation split if only that has masks."""
    test, val = data.splits["test"], data.splits["val"]
    return val if val.annotated.any() and not test.annotated.any() else test


def panel_rows(split: Split) -> Tensor:
    """Return the first sample with a mask of each of the first `CLASSES` that have one.

    They are int64, in the order of the classes. Of a split without any mask it is the
    first sample of each.
    """
    masked = [*_first_of_classes(split)]
    if masked:
        return torch.cat(masked[:CLASSES])
    labels = split.labels.tolist()
    first = [labels.index(number) for number in _classes(split)]
    return torch.tensor(first[:CLASSES], dtype=torch.int64)


def _first_of_classes(split: Split) -> Iterator[Tensor]:
    for number in _classes(split):
        rows = torch.nonzero(split.labels == number).flatten()
        found = rows_with_mask(split, rows, 1)
        if len(found):
            yield found


def _classes(split: Split) -> list[int]:
    """Return the classes that occur, in order."""
    return sorted(set(split.labels.tolist()))
