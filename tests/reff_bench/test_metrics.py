import importlib.util
import sys
from dataclasses import fields
from types import SimpleNamespace
from typing import Any, Literal

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from reff_bench.metrics.accuracy import accuracies
from reff_bench.metrics.focus import METRICS, FocusScores, enlarge, focus_scores

Array = NDArray[np.float64]
GOOD = ("epg", "pointing_game", "iou_half_max", "iou_top_area")


def random_pairs(shape: tuple[int, int], count: int = 24) -> tuple[Tensor, Tensor]:
    """Maps, some with ties and zeros, and masks; none is empty."""
    generator = torch.Generator().manual_seed(shape[0])
    maps = torch.rand(count, *shape, generator=generator)
    maps[::3] = (maps[::3] * 4).floor()
    masks = torch.rand(count, *shape, generator=generator) < 0.2
    masks[:, 0, 1] = True
    return maps, masks.to(torch.uint8)


def scores_of_one(m: Array, mask: Array) -> dict[str, float]:
    """Every score by the words of its definition, pixel by pixel."""
    H, W = m.shape
    places = [(y, x) for y in range(H) for x in range(W)]
    pixels = [(float(m[place]), bool(mask[place])) for place in places]
    total, highest = sum(v for v, _ in pixels), max(v for v, _ in pixels)
    last = sorted((v for v, _ in pixels), reverse=True)[int(mask.sum()) - 1]
    off = {p: v for p, (v, inside) in zip(places, pixels, strict=True) if not inside}
    central = sum(
        v
        for (y, x), v in off.items()
        if abs(y + 0.5 - H / 2) <= H / 4 and abs(x + 0.5 - W / 2) <= W / 4
    )

    def iou(bound: float) -> float:
        region = [v >= bound and v > 0 for v, _ in pixels]
        pairs = list(zip(region, (i for _, i in pixels), strict=True))
        return sum(a and b for a, b in pairs) / sum(a or b for a, b in pairs)

    return {
        "epg": sum(v for v, inside in pixels if inside) / total,
        "pointing_game": float(any(i and v == highest for v, i in pixels)),
        "iou_half_max": iou(highest / 2),
        "iou_top_area": iou(last),
        "zero_map_share": 0.0,
        "off_mask_central_share": central / sum(off.values()),
    }


@pytest.mark.parametrize("shape", [(8, 8), (9, 7), (6, 10)])
def test_every_score_is_what_its_words_say(shape: tuple[int, int]) -> None:
    maps, masks = random_pairs(shape)
    found = focus_scores(maps, masks)
    for k in range(len(maps)):
        expected = scores_of_one(maps[k].double().numpy(), masks[k].double().numpy())
        ours = {name: float(getattr(found, name)[k]) for name in METRICS}
        assert ours == pytest.approx(expected)


@pytest.mark.parametrize("shape", [(8, 8), (9, 7)])
def test_pointing_game_and_mass_equal_quantus(shape: tuple[int, int]) -> None:
    reason = "quantus is not installed (pip install -e '.[dev]')"
    quantus = pytest.importorskip("quantus", reason=reason)
    maps, masks = random_pairs(shape)
    given: dict[str, Any] = {
        "model": None,
        "x_batch": np.zeros((len(maps), 3, *shape), np.float32),
        "y_batch": np.zeros(len(maps), np.int64),
        "a_batch": maps[:, None].numpy(),
        "s_batch": masks[:, None].numpy(),
    }
    found = focus_scores(maps, masks)
    mass = quantus.RelevanceMassAccuracy(disable_warnings=True)(**given)
    np.testing.assert_allclose(found.epg.numpy(), mass, rtol=1e-5)
    hits = quantus.PointingGame(disable_warnings=True)(**given)
    assert found.pointing_game.tolist() == [float(hit) for hit in hits]
    assert 0 < sum(hits) < len(hits)


def test_a_uniform_map_scores_the_chance_levels() -> None:
    _, masks = random_pairs((8, 8))
    found = focus_scores(torch.full((len(masks), 1, 1), 0.25), masks)
    area = masks.double().mean((1, 2))
    torch.testing.assert_close(found.epg, area)
    torch.testing.assert_close(found.iou_half_max, area)
    torch.testing.assert_close(found.iou_top_area, area)
    off = 1 - masks.double()
    central = off[:, 2:6, 2:6].sum((1, 2)) / off.sum((1, 2))
    torch.testing.assert_close(found.off_mask_central_share, central)


def test_a_map_that_is_the_mask_is_perfect() -> None:
    _, masks = random_pairs((8, 8))
    means = focus_scores(masks.float() * 3, masks).means()
    none = {"zero_map_share": 0.0, "off_mask_central_share": None}
    assert means == dict.fromkeys(GOOD, 1.0) | none


def test_an_empty_map_is_counted_and_not_averaged_away() -> None:
    maps, masks = random_pairs((8, 8), 4)
    maps[1:] = 0
    found, first = focus_scores(maps, masks), focus_scores(maps[:1], masks[:1])
    means, alone = found.means(), first.means()
    assert means["zero_map_share"] == 0.75
    for name in GOOD:
        assert means[name] == pytest.approx(float(getattr(first, name)[0]) / 4)
    assert means["off_mask_central_share"] == alone["off_mask_central_share"]


def test_scores_depend_on_no_scale() -> None:
    maps, masks = random_pairs((8, 8))
    once, twice = focus_scores(maps, masks), focus_scores(maps * 2.0**-20, masks)
    for name in METRICS:
        torch.testing.assert_close(getattr(once, name), getattr(twice, name))


def test_a_batch_scores_as_its_parts() -> None:
    maps, masks = random_pairs((8, 8))
    whole = focus_scores(maps, masks)
    parts = [focus_scores(maps[k : k + 5], masks[k : k + 5]) for k in range(0, 24, 5)]
    joined = FocusScores.join(parts)
    for field in fields(FocusScores):
        assert torch.equal(getattr(whole, field.name), getattr(joined, field.name))


def test_small_maps_are_enlarged_as_images_are() -> None:
    small = torch.rand(3, 7, 7, generator=torch.Generator().manual_seed(0))
    for one, large in zip(small, enlarge(small, (28, 21)), strict=True):
        image = Image.fromarray(one.numpy()).resize((21, 28), Image.Resampling.BILINEAR)
        np.testing.assert_allclose(large.numpy(), np.array(image), atol=1e-6)


@pytest.mark.parametrize("side", [28, 30, 33, 35])  # each remainder by 4
def test_the_central_quarter_lies_in_the_middle(side: int) -> None:
    mask = torch.zeros(1, side, side)
    mask[0, 0, 0] = 1
    for y in range(side):
        hot = torch.zeros(1, side, side)
        hot[0, y, side // 2] = 1
        share = focus_scores(hot, mask).off_mask_central_share.item()
        assert share == float(abs(y + 0.5 - side / 2) <= side / 4)


def test_what_does_not_fit_is_refused() -> None:
    maps, masks = random_pairs((8, 8))
    for wrong in (maps[:3], maps[0], maps[:, None]):
        with pytest.raises(ValueError, match=r"give \(N, h, w\) and \(N, H, W\)"):
            focus_scores(wrong, masks)
    with pytest.raises(ValueError, match="negative values; give its ReLU or its magn"):
        focus_scores(maps - 0.5, masks)


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


def test_groups_score_as_in_wilds_evaluation(monkeypatch: pytest.MonkeyPatch) -> None:
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
    named = {"group_field_str": str, "group_str": str}
    grouper = SimpleNamespace(n_groups=20, metadata_to_group=lambda one: one, **named)
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
