import pytest
import torch

from reff_bench.metrics import accuracies

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
