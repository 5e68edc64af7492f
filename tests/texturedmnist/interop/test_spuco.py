import multiprocessing
import pickle
import re
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from reff_bench.metrics.accuracy import accuracies
from tests.random_states import untouched
from tests.texturedmnist.interop.conftest import RECIPE
from texturedmnist import TexturedMNIST, environments
from texturedmnist.interop import EmptyGroupsWarning, SpuCoTexturedMNIST, spuco_dataset
from texturedmnist.interop.spuco import SPURIOUS
from texturedmnist.recipe import Recipe


def test_a_sample_is_a_tensor_and_a_label(folder: Path) -> None:
    plain = TexturedMNIST(folder, target_types=["label", "mask"])
    with untouched():
        dataset = spuco_dataset(folder)
        assert len(dataset.group_partition) == 20  # all, without a warning
        assert len(dataset) == 300
        for index in (0, 150, 299):
            image, label = dataset[index]
            pixels, (own, mask) = plain[index]
            assert type(image) is torch.Tensor
            assert image.dtype == torch.float32
            whole = (image * 255).round().permute(1, 2, 0)
            assert np.array_equal(whole, np.asarray(pixels))
            assert (type(label), label) == (int, own)
            assert dataset.get_mask(index).dtype == np.uint8
            assert np.array_equal(dataset.get_mask(index), mask.numpy())
    assert dataset.num_classes == 10
    dataset.initialize()
    turned = spuco_dataset(folder, "val", transform=lambda image: image.size)
    assert turned[3][0] == (28, 28)


@pytest.mark.parametrize("spurious", SPURIOUS)
@pytest.mark.filterwarnings("ignore::texturedmnist.interop.EmptyGroupsWarning")
def test_groups_are_by_label_and_attribute(folder: Path, spurious: str) -> None:
    dataset = spuco_dataset(folder, "test", spurious)
    plain = TexturedMNIST(folder, "test", ["label", spurious])
    pairs = [plain[index][1] for index in range(200)]
    assert [*zip(dataset.labels, dataset.spurious, strict=True)] == pairs
    partition = dataset.group_partition
    assert sorted(i for part in partition.values() for i in part) == [*range(200)]
    assert all(pairs[i] == key for key, part in partition.items() for i in part)
    assert [*partition] == sorted(set(pairs))
    assert all(part == sorted(part) for part in partition.values())
    assert dataset.group_weights == {key: pairs.count(key) / 200 for key in pairs}
    sizes = {"aligned": 2, "background_texture": 37, "digit_texture": 10}
    ending = "aligned" if spurious.endswith("aligned") else spurious
    assert len(dataset.spurious_classes) == sizes[ending]
    types = {type(part) for key in partition for part in key}
    assert types == {type(dataset.labels[0]), type(dataset.spurious[0])} == {int}


def test_groups_without_samples_are_reported(assigned: Path) -> None:
    text = "train has no samples in 10 of its 20 groups (label, background_aligned): "
    with pytest.warns(EmptyGroupsWarning, match=re.escape(text + "(0, 0), (1, 0), ")):
        dataset = spuco_dataset(assigned)
    assert [*dataset.group_partition] == [(label, 1) for label in range(10)]
    spuco_dataset(assigned, "train", "digit_aligned")


def test_an_unknown_attribute_is_reported_with_the_known(folder: Path) -> None:
    text = f"unknown spurious attribute 'place'; allowed: {', '.join(SPURIOUS)}"
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        spuco_dataset(folder, "train", "place")


def test_a_rendered_data_set_serves_too(tmp_path: Path) -> None:
    (one,) = environments([(0.5, 0.5)], recipe=Recipe(**RECIPE), cache_dir=tmp_path)
    dataset = SpuCoTexturedMNIST(one)
    assert len(dataset.group_partition) == 20
    pixels = (dataset[7][0] * 255).round().permute(1, 2, 0)
    assert np.array_equal(pixels, np.asarray(one[7][0]))


def test_loading_and_pickling_give_the_same_samples(folder: Path) -> None:
    dataset = pickle.loads(pickle.dumps(spuco_dataset(folder)))
    direct = [dataset[index] for index in range(40)]
    loader: DataLoader[Any] = DataLoader(
        dataset, 8, num_workers=4, multiprocessing_context="fork"
    )
    images = torch.cat([images for images, _ in loader])
    assert torch.equal(images[:40], torch.stack([image for image, _ in direct]))
    assert multiprocessing.active_children() == []


def tiny_model() -> nn.Sequential:
    """Return a linear classifier of 28 px images, in SpuCo's two parts."""
    classifier = nn.Linear(3 * 28 * 28, 10)
    nn.init.normal_(classifier.weight, 0, 0.01, torch.Generator().manual_seed(0))
    return nn.Sequential(OrderedDict(backbone=nn.Flatten(), classifier=classifier))


@pytest.mark.filterwarnings("ignore")  # SpuCo's and its packages' own
def test_spuco_trains_group_dro_and_its_worst_group_is_ours(folder: Path) -> None:
    pytest.importorskip("spuco")
    from spuco.datasets import BaseSpuCoCompatibleDataset, GroupLabeledDatasetWrapper
    from spuco.evaluate import Evaluator
    from spuco.robust_train import GroupDRO
    from spuco.utils import set_seed

    set_seed(0)
    trainset, testset = spuco_dataset(folder), spuco_dataset(folder, "test")
    properties = ("group_partition", "group_weights", "spurious", "labels")
    for name in (*properties, "num_classes", "initialize"):
        assert hasattr(BaseSpuCoCompatibleDataset, name)
        assert hasattr(trainset, name)
    wrapped = GroupLabeledDatasetWrapper(trainset, trainset.group_partition)
    assert [wrapped[index][2] for index in range(300)] == [
        2 * label + aligned
        for label, aligned in zip(trainset.labels, trainset.spurious, strict=True)
    ]
    model = tiny_model()
    weight = next(model.parameters())
    before = weight.clone()
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    GroupDRO(model, wrapped, 32, optimizer, num_epochs=1).train()
    assert not torch.equal(weight, before)
    parts = testset.group_partition, testset.group_weights
    evaluator = Evaluator(testset, *parts, 32, model)
    evaluator.evaluate()
    images = torch.stack([testset[index][0] for index in range(len(testset))])
    labels = torch.tensor(testset.labels)
    groups = 2 * labels + torch.tensor(testset.spurious)
    with torch.no_grad():
        ours = accuracies(model(images).argmax(1), labels, groups, 10, 20)
    (label, aligned), worst = evaluator.worst_group_accuracy
    assert worst / 100 == pytest.approx(ours.worst_group, abs=1e-9)
    assert evaluator.average_accuracy / 100 == pytest.approx(ours.sample, abs=1e-9)
    for (label, aligned), share in evaluator.accuracies.items():
        group = ours.by_group[2 * label + aligned]
        assert share / 100 == pytest.approx(group, abs=1e-9)


@pytest.mark.filterwarnings("ignore")
def test_spuco_wants_batches_as_large_as_the_number_of_groups(folder: Path) -> None:
    pytest.importorskip("spuco")
    from spuco.datasets import GroupLabeledDatasetWrapper
    from spuco.robust_train import GroupDRO

    model = tiny_model()
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    trainset = spuco_dataset(folder, "train", "background_texture")
    count = len(trainset.group_partition)
    wrapped = GroupLabeledDatasetWrapper(trainset, trainset.group_partition)
    with pytest.raises(AssertionError, match="batch_size must be >= number of gr"):
        GroupDRO(model, wrapped, count - 1, optimizer, num_epochs=1)
    GroupDRO(model, wrapped, count, optimizer, num_epochs=1)


def test_other_targets_make_other_groups(folder: Path) -> None:
    plain = TexturedMNIST(folder)
    plain.targets = plain.targets % 2
    with pytest.warns(EmptyGroupsWarning):
        dataset = SpuCoTexturedMNIST(plain)
    assert {label for label, _ in dataset.group_partition} == {0, 1}
    assert [dataset[k][1] for k in range(9)] == dataset.labels[:9]
