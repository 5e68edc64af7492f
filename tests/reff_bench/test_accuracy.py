import importlib.util
import sys
from types import SimpleNamespace
from typing import Literal

import numpy as np
import pytest
import torch
from torch import Tensor

from reff_bench.metrics.accuracy import accuracies

LABELS = torch.tensor([0, 0, 0, 1, 1, 2])
PREDICTED = torch.tensor([0, 0, 1, 1, 0, 2])
GROUPS = torch.tensor([0, 0, 1, 2, 2, 4])


def test_each_sense_of_accuracy_is_its_own_mean() -> None:
    found = accuracies(PREDICTED, LABELS, GROUPS, 3, 5)
    assert found.sample == pytest.approx(4 / 6)
    assert found.by_class == pytest.approx((2 / 3, 1 / 2, 1))
    assert found.balanced == pytest.approx((2 / 3 + 1 / 2 + 1) / 3)
    assert found.by_group == pytest.approx((1.0, 0.0, 0.5, None, 1.0))
    assert found.group_mean == pytest.approx(2.5 / 4)


def test_the_worst_group_has_samples() -> None:
    found = accuracies(PREDICTED[:2], LABELS[:2], GROUPS[:2], 3, 5)
    assert found.worst_group == 1.0
    assert found.by_class == (1.0, None, None)


@pytest.mark.parametrize("count", [0, 2])
def test_unequal_or_empty_arrays_are_refused(count: int) -> None:
    with pytest.raises(ValueError, match="give equally many, 1 or more"):
        accuracies(PREDICTED[:count], LABELS[:0], GROUPS[:count], 3, 5)


def stand_in_scatter(
    src: Tensor, index: Tensor, dim_size: int, reduce: Literal["mean"]
) -> Tensor:
    """What WILDS calls of torch_scatter, whose extension has to be compiled."""
    means = src.new_zeros(dim_size)
    return means.scatter_reduce(0, index, src, reduce, include_self=False)


def test_groups_score_as_in_the_evaluation_of_wilds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # With it, importing wilds would ask a package index for news.
    monkeypatch.setitem(sys.modules, "outdated", None)
    reason = "wilds is not installed (pip install -e '.[interop]')"
    metrics = pytest.importorskip("wilds.common.metrics.all_metrics", reason=reason)
    datasets = pytest.importorskip("wilds.datasets.wilds_dataset")
    if importlib.util.find_spec("torch_scatter") is None:
        scatter = SimpleNamespace(scatter=stand_in_scatter)
        monkeypatch.setitem(sys.modules, "torch_scatter", scatter)
    rng = np.random.default_rng(0)
    labels, predicted, aligned = (
        torch.from_numpy(rng.integers(0, n, 400)) for n in (10, 10, 2)
    )
    predicted = torch.where(torch.from_numpy(rng.random(400) < 0.6), labels, predicted)
    groups = 2 * labels + aligned
    kept = groups != 7  # an empty group
    labels, predicted, groups = labels[kept], predicted[kept], groups[kept]
    grouper = SimpleNamespace(
        n_groups=20,
        metadata_to_group=lambda metadata: metadata,
        group_field_str=str,
        group_str=str,
    )
    theirs, _ = datasets.WILDSDataset.standard_group_eval(
        metrics.Accuracy(), grouper, predicted, labels, groups
    )
    ours = accuracies(predicted, labels, groups, 10, 20)
    assert ours.sample == pytest.approx(theirs["acc_avg"])
    assert ours.worst_group == pytest.approx(theirs["acc_wg"])
    for group, share in enumerate(ours.by_group):
        if share is None:
            assert theirs[f"count_{group}"] == 0
        else:
            assert share == pytest.approx(theirs[f"acc_{group}"])
