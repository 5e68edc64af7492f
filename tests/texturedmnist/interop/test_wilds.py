import pickle
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torchvision.transforms import v2

from reff_bench.metrics.accuracy import accuracies
from tests.random_states import untouched
from tests.texturedmnist.interop.conftest import Maker
from texturedmnist import TexturedMNIST
from texturedmnist.interop import EmptyGroupsWarning
from texturedmnist.manifest import DatasetError

pytest.importorskip("wilds")
from wilds.common.data_loaders import get_eval_loader, get_train_loader
from wilds.common.grouper import CombinatorialGrouper
from wilds.common.metrics.all_metrics import Accuracy

from texturedmnist.interop import WILDSTexturedMNIST, wilds_dataset
from texturedmnist.interop.wilds import GroupAccuracy

FIELDS = ["background_aligned", "digit_aligned", "background_texture", "digit_texture"]
TENSOR = v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])
SIZES = {"train": 300, "val": 60, "test": 200, "val_shifted": 60}


@pytest.fixture(scope="module")
def dataset(folder: Path) -> WILDSTexturedMNIST:
    return wilds_dataset(folder)


def test_all_splits_lie_in_a_row(dataset: WILDSTexturedMNIST, folder: Path) -> None:
    assert len(dataset) == 620
    start = 0
    for split, size in SIZES.items():
        plain = TexturedMNIST(folder, split, [*FIELDS, "label", "mask"])
        for index in (0, 17, size - 1):
            image, y, metadata = dataset[start + index]
            own, (*values, mask) = plain[index]
            assert np.array_equal(np.asarray(image), np.asarray(own))
            assert y == values[-1]
            source = int(split in ("train", "val"))
            assert metadata.tolist() == [*values, start + index, source]
            place = int(metadata[5])
            assert dataset.locate(place) == (split, index)
            assert np.array_equal(dataset.get_mask(place), mask.numpy())
        start += size


def test_an_index_counts_from_the_end_of_the_whole(
    dataset: WILDSTexturedMNIST, folder: Path
) -> None:
    assert dataset.locate(-1) == ("val_shifted", 59)
    assert dataset.locate(-620) == ("train", 0)
    image, label, _ = dataset[-1]
    own, own_label = TexturedMNIST(folder, "val_shifted")[59]
    assert np.array_equal(np.asarray(image), np.asarray(own))
    assert label == own_label
    assert np.array_equal(dataset.get_mask(-1), dataset.get_mask(619))
    for index in (620, -621):
        for use in (dataset.locate, dataset.get_input, dataset.get_mask):
            with pytest.raises(IndexError, match="the dataset has 620 samples"):
                use(index)


def test_the_metadata_is_named(dataset: WILDSTexturedMNIST, folder: Path) -> None:
    fields = [*FIELDS, "y", "index", "from_source_domain"]
    assert dataset.metadata_fields == fields
    assert set(dataset.metadata_map) == {*fields} - {"index"}
    assert len(dataset.metadata_map["background_texture"]) == 37
    assert (dataset.n_classes, dataset.y_size) == (10, 1)
    assert dataset.original_resolution == (28, 28)
    assert dataset.is_classification
    assert dataset.dataset_name == "textured_mnist"
    with untouched():
        other = wilds_dataset(folder)
        assert other.get_subset("val", transform=TENSOR)[3]
        assert other.get_mask(3).any()
    assert other.metadata_fields == fields  # WILDS appends to them
    assert other.metadata_fields is not dataset.metadata_fields
    assert other.metadata_map is not dataset.metadata_map


def test_groups_have_the_right_members_and_names(dataset: WILDSTexturedMNIST) -> None:
    grouper = CombinatorialGrouper(dataset, ["background_aligned", "y"])
    assert grouper.n_groups == 20
    groups = grouper.metadata_to_group(dataset.metadata_array)
    for group in range(20):
        rows = dataset.metadata_array[groups == group]
        aligned, y = int(rows[0, 0]), int(rows[0, 4])
        assert (rows[:, 0] == aligned).all()
        assert (rows[:, 4] == y).all()
        kind = ("other", "aligned")[aligned]
        assert grouper.group_str(group) == f"y = {y}, background_aligned = {kind}"
    both = CombinatorialGrouper(dataset, ["background_texture", "y"])
    assert both.n_groups == 370


@pytest.mark.parametrize("workers", [0, 2])
def test_a_loader_uniform_over_groups_balances_them(
    dataset: WILDSTexturedMNIST, workers: int
) -> None:
    grouper = CombinatorialGrouper(dataset, ["background_aligned", "y"])
    train = pickle.loads(pickle.dumps(dataset)).get_subset("train", transform=TENSOR)
    torch.manual_seed(0)
    loader = get_train_loader("standard", train, 50, True, grouper, num_workers=workers)
    batches = [*loader, *loader, *loader]
    metadata = torch.cat([meta for _, _, meta in batches])
    counts = torch.bincount(grouper.metadata_to_group(metadata))
    # 900 draws, 45 a group: a standard deviation is 6.5.
    assert len(counts) == 20
    assert 20 < int(counts.min()) <= int(counts.max()) < 75
    for image, y, metadata in batches[:2]:
        plain = [dataset[int(place)] for place in metadata[:, 5]]
        assert torch.equal(image, torch.stack([TENSOR(one[0]) for one in plain]))
        assert y.tolist() == [int(one[1]) for one in plain]


def predicted(metadata: torch.Tensor) -> torch.Tensor:
    """A made-up classifier that is right where index and label say so."""
    wrong = (metadata[:, 5] * 7 + metadata[:, 4] * 3) % 5 < 2 - metadata[:, 0]
    return (metadata[:, 4] + wrong.long()) % 10


def test_eval_gives_our_own_accuracies(dataset: WILDSTexturedMNIST) -> None:
    test = dataset.get_subset("test", transform=TENSOR)
    parts = [(y, meta) for _, y, meta in get_eval_loader("standard", test, 64)]
    y, metadata = (torch.cat(column) for column in zip(*parts, strict=True))
    results, text = dataset.eval(predicted(metadata), y, metadata)
    ours = accuracies(predicted(metadata), y, 2 * y + metadata[:, 0], 10, 20)
    assert results["acc_avg"] == pytest.approx(ours.sample)
    assert results["acc_wg"] == pytest.approx(ours.worst_group)
    for group, share in enumerate(ours.by_group):
        kind = ("other", "aligned")[group % 2]
        name = f"y:{group // 2}_background_aligned:{kind}"
        count = int((2 * y + metadata[:, 0] == group).sum())
        assert results[f"count_{name}"] == count
        assert results[f"acc_{name}"] == pytest.approx(share or 0.0)
    assert f"Worst-group acc: {ours.worst_group:.3f}" in text
    logits = torch.nn.functional.one_hot(predicted(metadata), 10)
    again = dataset.eval(logits, y, metadata, lambda one: one.argmax(1))
    assert again == (results, text)
    assert test.eval(predicted(metadata), y, metadata) == (results, text)


def test_accuracies_by_group_are_those_of_wilds(
    dataset: WILDSTexturedMNIST, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Theirs needs the package torch_scatter, for the mean that stands in here."""

    def scatter(
        src: torch.Tensor, index: torch.Tensor, dim_size: int, reduce: str
    ) -> torch.Tensor:
        zeros = torch.zeros(dim_size)
        return zeros.scatter_reduce(0, index, src, reduce, include_self=False)

    monkeypatch.setitem(sys.modules, "torch_scatter", SimpleNamespace(scatter=scatter))
    grouper = CombinatorialGrouper(dataset, ["background_aligned", "digit_texture"])
    metadata = dataset.metadata_array[:100]
    given = grouper, predicted(metadata), metadata[:, 4], metadata
    ours = dataset.standard_group_eval(GroupAccuracy(), *given)
    assert ours == dataset.standard_group_eval(Accuracy(), *given)
    assert 0.0 in ours[0].values()  # a group without samples


def test_groups_without_samples_are_named_and_still_evaluated(assigned: Path) -> None:
    text = "train has no samples in 10 of its 20 groups (label, background_aligned): "
    with pytest.warns(EmptyGroupsWarning, match=re.escape(text + "(0, 0), (1, 0), ")):
        dataset = wilds_dataset(assigned)
    rows = dataset.metadata_array[:200]
    results, _ = dataset.eval(rows[:, 4], rows[:, 4], rows)
    assert results["count_y:0_background_aligned:other"] == 0
    assert results["acc_wg"] == 1


def test_a_folder_without_val_is_refused(make: Maker) -> None:
    folder = make(train=8, val=0, test=4)
    text = (
        f"{folder} has no split 'val', and WILDS needs train and val; it has: train, "
        "test. Generate one with both"
    )
    with pytest.raises(DatasetError, match=f"^{re.escape(text)}$"):
        wilds_dataset(folder)
    with pytest.raises(DatasetError, match="no dataset folder"):
        wilds_dataset(folder / "none")


@pytest.mark.filterwarnings("ignore")  # SpuCo's and its packages' own
def test_spuco_takes_it_as_a_wilds_data_set(folder: Path) -> None:
    pytest.importorskip("spuco")
    from spuco.datasets import WILDSDatasetWrapper

    from texturedmnist.interop import spuco_dataset

    dataset = wilds_dataset(folder)
    places = np.flatnonzero(dataset.split_array == dataset.split_dict["test"])
    wrapped = WILDSDatasetWrapper(dataset, "background_aligned", subset_indices=places)
    ours = spuco_dataset(folder, "test")
    assert wrapped.group_partition == ours.group_partition
    assert (wrapped.labels, wrapped.spurious) == (ours.labels, ours.spurious)
