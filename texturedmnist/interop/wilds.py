"""The dataset as a WILDS dataset: all splits in one, with metadata and groups."""

from collections.abc import Callable
from operator import index as as_integer
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from texturedmnist.dataset import TexturedMNIST
from texturedmnist.dataset.samples import absolute, check_positions
from texturedmnist.interop.errors import missing_package, warn_of_empty_groups
from texturedmnist.manifest import DatasetError, read_manifest

try:
    from wilds.common.grouper import CombinatorialGrouper
    from wilds.common.metrics.all_metrics import Accuracy
    from wilds.common.metrics.metric import Metric
    from wilds.datasets.wilds_dataset import WILDSDataset
except ImportError as error:
    raise missing_package("wilds", error) from None

SPLIT_NAMES = {
    "train": "Train",
    "val": "Validation",
    "test": "Test",
    "val_shifted": "Validation (test randomness)",
}
COLUMNS = ("background_aligned", "digit_aligned", "background_texture", "digit_texture")
GROUPS = ["background_aligned", "y"]  # WILDS wants the order of the metadata fields


class GroupAccuracy(Accuracy):  # type: ignore[misc]  # WILDS is untyped
    """WILDS' accuracy, by group without the package `torch_scatter`.

    That package has to be compiled for each release of torch, and WILDS imports it for
    the group-wise mean of its own `Accuracy`; the values are the same.
    """

    _compute_group_wise = Metric._compute_group_wise


class WILDSTexturedMNIST(WILDSDataset):  # type: ignore[misc]  # WILDS is untyped
    """All splits of a finished folder in one WILDS dataset.

    A sample is (PIL image, y, metadata); `get_subset(split, transform=...)` gives a
    split. The metadata fields are `background_aligned`, `digit_aligned` (1 where the
    texture is assigned to the digit), `background_texture`, `digit_texture` (class
    numbers), `y`, `index` (the sample's place in this dataset, for `get_mask`), and
    WILDS' own `from_source_domain`, 1 for train and val. Groups are made by
    `CombinatorialGrouper(dataset, ["background_aligned", "y"])`: in this order, as
    WILDS names groups wrongly when fields are given in another than the metadata's.

    Args:
        root: the folder.

    Warns:
        EmptyGroupsWarning: the training split lacks groups.

    Raises:
        DatasetError: the folder isn't a finished dataset, or lacks train or val.
    """

    _dataset_name = "textured_mnist"
    _versions_dict = {"1.0": {"download_url": None, "compressed_size": None}}  # noqa: RUF012 (WILDS' interface)

    def __init__(self, root: str | Path) -> None:
        """Read the columns of every split."""
        folder = absolute(root)
        self._splits = _open_splits(folder)
        names, parts = [*self._splits], [*self._splits.values()]
        counts = [len(part) for part in parts]
        self._ends = np.cumsum(counts)
        self._version = "1.0"
        self._data_dir = str(folder)
        self._split_scheme = "official"
        self._split_dict = {name: [*SPLIT_NAMES].index(name) for name in names}
        self._split_names = {name: SPLIT_NAMES[name] for name in names}
        self._split_array = np.repeat([*self._split_dict.values()], counts)
        self._source_domain_splits = [0, 1]
        self._y_array = torch.cat([part.targets for part in parts])
        self._y_size, self._n_classes = 1, 10
        self._original_resolution = parts[0].read([0])[1].shape[1:]
        # WILDS appends a field to these: they must be this instance's own.
        self._metadata_fields = [*COLUMNS, "y", "index"]
        self._metadata_map = _metadata_map(parts[0])
        self._metadata_array = _metadata(parts)
        super().__init__(str(folder), False, self._split_scheme)
        self._grouper = CombinatorialGrouper(self, GROUPS)
        train = self._splits["train"].columns
        pairs = zip(train["label"], train["background_aligned"], strict=True)
        found = {(int(label), int(value)) for label, value in pairs}
        warn_of_empty_groups("train", "background_aligned", found, 2)

    def get_input(self, idx: int) -> Image.Image:
        """Return the image of a sample, RGB."""
        split, index = self.locate(idx)
        image: Image.Image = self._splits[split][index][0]
        return image

    def get_mask(self, index: int | Tensor) -> NDArray[np.uint8]:
        """Return a sample's mask, (S, S) uint8 in {0, 1}, by its metadata's `index`."""
        split, place = self.locate(index)
        mask: NDArray[np.uint8] = self._splits[split].read([place])[1][0]
        return mask

    def locate(self, index: int | Tensor) -> tuple[str, int]:
        """Return the split of a sample and its index there, as in `samples.csv`.

        Raises:
            IndexError: the index is out of range; negative ones count from the end.
        """
        wanted = np.array([as_integer(index)])
        (whole,) = check_positions(wanted, int(self._ends[-1]), "the dataset").tolist()
        part = int(np.searchsorted(self._ends, whole, side="right"))
        split = [*self._splits][part]
        return split, whole - int(self._ends[part]) + len(self._splits[split])

    def eval(
        self,
        y_pred: Tensor,
        y_true: Tensor,
        metadata: Tensor,
        prediction_fn: Callable[[Tensor], Tensor] | None = None,
    ) -> tuple[dict[str, float], str]:
        """Return accuracies over all samples, by group and of the worst group.

        Args:
            y_pred: (n,) predicted labels, or what `prediction_fn` makes them from.
            y_true: (n,) int64 in [0, 9].
            metadata: (n, 7).
            prediction_fn: called with `y_pred`.

        Returns:
            `acc_avg`, `acc_<group>`, `count_<group>` and `acc_wg` (over the groups that
            have samples) in [0, 1], and a text.
        """
        metric = GroupAccuracy(prediction_fn)
        results: tuple[dict[str, float], str] = self.standard_group_eval(
            metric, self._grouper, y_pred, y_true, metadata
        )
        return results


def wilds_dataset(root: str | Path) -> WILDSTexturedMNIST:
    """Open a finished folder for WILDS; see `WILDSTexturedMNIST`.

    Raises:
        DatasetError: the folder isn't a finished dataset, or lacks train or val.
    """
    return WILDSTexturedMNIST(root)


def _open_splits(folder: Path) -> dict[str, TexturedMNIST]:
    names = read_manifest(folder).splits
    for needed in ("train", "val"):
        if needed not in names:
            raise DatasetError(
                f"{folder} has no split {needed!r}, and WILDS needs train and val; it "
                f"has: {', '.join(names)}. Generate one with both"
            )
    return {name: TexturedMNIST(folder, name) for name in names}


def _metadata(parts: list[TexturedMNIST]) -> Tensor:
    """Return (n, 6) int64, a column for each metadata field."""
    columns: list[NDArray[Any]] = [
        np.concatenate([part.columns[name] for part in parts])
        for name in (*COLUMNS, "label")
    ]
    columns.append(np.arange(len(columns[0])))
    return torch.from_numpy(np.stack(columns, axis=1).astype(np.int64))


def _metadata_map(part: TexturedMNIST) -> dict[str, list[str]]:
    flags = ["other", "aligned"]
    return {
        "background_aligned": [*flags],
        "digit_aligned": [*flags],
        "background_texture": [*part.background_texture_classes],
        "digit_texture": [*part.digit_texture_classes],
        "y": [str(digit) for digit in range(10)],
    }
