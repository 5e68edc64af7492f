import sys
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from reff_bench.catalog.methods import METHODS
from reff_bench.data.batch import Batch
from reff_bench.methods.background_swap import swap_backgrounds
from reff_bench.methods.method import (
    Method,
    MethodError,
    StepContext,
    Terms,
    TrainingImages,
)
from reff_bench.methods.registry import find_method
from tests.reff_bench.small import small_config

CAM_METHODS = ("reff", "reff_l1", "reff_l2", "reff_plus")


def make_batch(count: int = 4, size: int = 28) -> Batch:
    random = torch.Generator().manual_seed(0)
    mask = torch.zeros(count, size, size)
    mask[:, 8:14, 8:14] = 1
    return Batch(
        image=torch.randn(count, 3, size, size, generator=random),
        label=torch.arange(count) % 3,
        mask=mask,
        annotated=torch.ones(count, dtype=torch.bool),
        group=torch.zeros(count, dtype=torch.int64),
        index=torch.arange(count),
    )


def make_step(
    name: str, batch: Batch | None = None, progress: float = 0.5, **options: Any
) -> StepContext:
    config = small_config(name, **options)
    method, batch = find_method(name), batch or make_batch()
    model = method.build(config, 10, 3)
    state = method.build_state(config, images_of(batch), 4)
    random = torch.Generator().manual_seed(1)
    return StepContext(model, batch, config, progress, random, state=state)


def images_of(batch: Batch) -> TrainingImages:
    """What is known of the images of a batch, were they all there are."""
    return TrainingImages(batch.label, batch.group, 10, 20)


def run(step: StepContext) -> Terms:
    return find_method(step.config.method).terms(step)


@pytest.mark.parametrize("name", METHODS)
def test_a_method_gives_finite_losses_that_reach_the_first_layer(name: str) -> None:
    step = make_step(name)
    terms = run(step)
    assert terms.logits.shape == (4, 10)
    assert "cross_entropy" in terms.losses
    assert all(loss.ndim == 0 and loss.isfinite() for loss in terms.losses.values())
    terms.total().backward()  # type: ignore[no-untyped-call]
    first = next(step.model.parameters())
    assert first.grad is not None
    assert first.grad.abs().sum() > 0


def test_methods_of_one_seed_start_alike() -> None:
    states = [make_step(name).model.state_dict() for name in ("baseline", "reff_plus")]
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


def test_the_total_weighs_the_losses() -> None:
    losses = {"a": torch.tensor(2.0), "b": torch.tensor(5.0)}
    assert float(Terms(torch.zeros(1), losses, {"b": 0.1}).total()) == 2.5


@pytest.mark.parametrize("name", CAM_METHODS)
def test_the_penalty_is_weighed_and_logged(name: str) -> None:
    terms = run(make_step(name, weight=7.0, layers=("stage2", "stage4")))
    assert terms.weights == {"penalty": 7.0}
    assert set(terms.log) == {
        *("zero_maps_stage2", "zero_maps_stage4", "relevant_stage2", "relevant_stage4")
    }
    assert all(0 <= value <= 1 for value in terms.log.values())


@pytest.mark.parametrize(
    ("warmup", "progress", "weight"),
    [(0.0, 0.0, 4.0), (0.5, 0.0, 0.0), (0.5, 0.25, 2.0), (0.5, 0.75, 4.0)],
)
def test_the_weight_warms_up(warmup: float, progress: float, weight: float) -> None:
    for name in ("reff", "abn"):
        step = make_step(name, progress=progress, weight=4.0, warmup=warmup)
        (found,) = run(step).weights.values()
        assert found == pytest.approx(weight)


def test_where_everything_is_relevant_reff_asks_for_nothing() -> None:
    batch = make_batch()
    batch = batch.with_pixels(batch.image, torch.ones_like(batch.mask))
    for name in ("reff", "reff_plus"):
        assert run(make_step(name, batch)).losses["penalty"].item() == 0


@pytest.fixture(scope="module")
def usual() -> Tensor:
    return run(make_step("reff")).losses["penalty"].detach()


@pytest.mark.parametrize(
    "option",
    [
        {"sign": "abs"},
        {"sign": "none"},
        {"score": "margin"},
        {"score": "log_probability"},
        {"target": "predicted"},
        {"normalization": "max"},
        {"norm": "squared"},
        {"pooling": "area"},
        {"cam_bn": "eval"},
    ],
)
def test_each_option_of_maps_matters(option: dict[str, Any], usual: Tensor) -> None:
    other = run(make_step("reff", **option)).losses["penalty"]
    assert not torch.isclose(usual, other)


def gradient(step: StepContext) -> Tensor:
    run(step).losses["penalty"].backward()  # type: ignore[no-untyped-call]
    slopes = [one.grad for one in step.model.parameters() if one.grad is not None]
    return torch.cat([one.flatten() for one in slopes])


def test_detached_weights_change_the_gradient_alone() -> None:
    steps = [make_step("reff", detach_weights=detach) for detach in (False, True)]
    penalties = [run(step).losses["penalty"] for step in steps]
    assert torch.equal(*penalties)
    first, second = (gradient(step) for step in steps)
    assert first.shape != second.shape or not torch.allclose(first, second)


def test_running_statistics_explain_each_image_alone() -> None:
    step = make_step("reff", cam_bn="eval")
    run(step)
    assert all(module.training for module in step.model.modules())
    counted = step.model.state_dict()["bn1.num_batches_tracked"]
    assert int(counted) == 1  # the explained pass leaves the statistics alone


def test_maps_in_bfloat16_are_close(usual: Tensor) -> None:
    rough = run(make_step("reff", cam_precision="bfloat16")).losses["penalty"]
    assert rough.dtype == torch.float32
    torch.testing.assert_close(rough.detach(), usual, rtol=0.03, atol=0.0)
    assert not torch.equal(rough, usual)


def test_mixed_precision_keeps_the_losses_in_float32() -> None:
    terms = run(replace(make_step("reff"), autocast=torch.bfloat16))
    assert terms.logits.dtype == torch.bfloat16
    assert {loss.dtype for loss in terms.losses.values()} == {torch.float32}


def test_abn_learns_from_both_branches_and_the_map() -> None:
    losses = run(make_step("abn")).losses
    assert set(losses) == {"cross_entropy", "attention_cross_entropy", "map"}
    plain = run(make_step("abn_plain")).losses
    assert set(plain) == {"cross_entropy", "attention_cross_entropy"}
    area = run(make_step("abn")).losses["map"]
    assert not torch.isclose(run(make_step("abn", pooling="max")).losses["map"], area)


def random() -> torch.Generator:
    return torch.Generator().manual_seed(5)


def test_a_swap_keeps_what_is_relevant_and_replaces_the_rest() -> None:
    count = 6
    colors = torch.arange(1.0, count + 1).view(-1, 1, 1, 1)
    mask = make_batch(count).mask
    inside = mask.unsqueeze(1).bool()
    image = torch.where(inside, -colors, colors).expand(-1, 3, -1, -1)
    swapped, share = swap_backgrounds(image, mask, 1.0, random())
    assert share == 1.0
    inside = inside.expand_as(image)
    assert torch.equal(swapped[inside], image[inside])
    corner = swapped[:, 0, 0, 0]
    assert sorted(corner.tolist()) == sorted(colors.flatten().tolist())
    assert (corner != colors.flatten()).all()


def test_nothing_relevant_of_the_lender_comes_along() -> None:
    mask = torch.zeros(2, 8, 8)
    mask[0, :2], mask[1, -2:] = 1, 1
    image = torch.where(mask.bool(), 99.0, 1.0).unsqueeze(1).expand(-1, 3, -1, -1)
    swapped, _ = swap_backgrounds(image, mask, 1.0, random())
    outside = ~mask.bool().unsqueeze(1).expand_as(swapped)
    assert torch.equal(swapped[outside], torch.ones_like(swapped[outside]))


def test_soft_masks_and_masks_without_background_stay_finite() -> None:
    batch = make_batch()
    for mask in (torch.ones_like(batch.mask), batch.mask * 0.3):
        swapped, _ = swap_backgrounds(batch.image, mask, 1.0, random())
        assert swapped.isfinite().all()


def test_no_probability_changes_nothing() -> None:
    batch = make_batch()
    same, share = swap_backgrounds(batch.image, batch.mask, 0.0, random())
    assert torch.equal(same, batch.image)
    assert share == 0.0


def own_method() -> Method:
    def terms(step: StepContext) -> Terms:
        logits = step.forward(step.batch.image).logits
        return Terms(logits, {"cross_entropy": logits.square().mean()})

    return Method(find_method("baseline").build, terms)


def own_module(monkeypatch: pytest.MonkeyPatch, **names: object) -> None:
    monkeypatch.setitem(sys.modules, "own_methods", SimpleNamespace(**names))


def test_a_method_of_the_users_own_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    own_module(monkeypatch, mine=own_method, ready=own_method())
    for name in ("own_methods:mine", "own_methods:ready"):
        assert run(make_step(name)).total().isfinite()


def test_what_is_no_method_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    own_module(monkeypatch, number=lambda: 3)
    with pytest.raises(MethodError, match="unknown method 'ref'; did you mean 'reff'"):
        find_method("ref")
    with pytest.raises(MethodError, match="gave a int; it should be a function"):
        find_method("own_methods:number")
