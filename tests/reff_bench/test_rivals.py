"""The methods that others published, each against another statement of its formula."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn
from torch.autograd import gradcheck
from torch.nn import functional as F

from reff_bench.methods.dfr import (
    Images,
    balanced_rows,
    find_head,
    fit_head,
    halves,
    score,
)
from reff_bench.methods.groups import (
    GroupWeights,
    balancing_weights,
    check_groups,
    group_means,
)
from reff_bench.methods.lff import BiasedNet, difficulty, generalized_cross_entropy
from reff_bench.methods.map_rivals import energy_outside, map_error, squares_outside
from reff_bench.methods.mask_input import mask_out
from reff_bench.methods.method import MethodError, StepContext, TrainingImages
from reff_bench.methods.pgd_ex import attack
from reff_bench.methods.r4 import gradient_norm, r4_terms
from reff_bench.methods.rrr import input_gradient_penalty
from reff_bench.methods.tap import activations_outside
from reff_bench.models.backbone import build_backbone
from reff_bench.models.output import Output
from tests.reff_bench.test_methods import make_batch, make_step, run

SIZE = 4
Penalty = Callable[[Sequence[Tensor], Tensor], Tensor]


class Linear(nn.Module):
    """Logits that are linear in the pixels."""

    def __init__(self, weight: Tensor) -> None:
        """Keep (K, 3 * SIZE * SIZE) weights."""
        super().__init__()
        self.weight = nn.Parameter(weight)

    def forward(self, image: Tensor) -> Output:
        """Classify images."""
        return Output(image.flatten(1) @ self.weight.T, {})


def random(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def masks(count: int) -> Tensor:
    """Soft masks, one of them empty and one full."""
    mask = random(count, SIZE, SIZE, seed=9).sigmoid()
    mask[0], mask[1] = 0.0, 1.0
    return mask


def linear_step(classes: int = 2, count: int = 5) -> StepContext:
    image, mask = random(count, 3, SIZE, SIZE), masks(count)
    batch = replace(make_batch(count), image=image, mask=mask)
    batch = replace(batch, label=torch.arange(count) % classes)
    model = Linear(random(classes, 3 * SIZE**2, seed=1))
    generator = torch.Generator().manual_seed(2)
    return StepContext(model, batch, make_step("r4").config, 0.9, generator)


def weight_of(step: StepContext) -> Tensor:
    return step.model.get_parameter("weight")


def test_rrr_of_a_linear_model_is_its_closed_form() -> None:
    step = linear_step(classes=3)
    image, weight = step.batch.image.requires_grad_(), weight_of(step)
    logits = step.forward(image).logits
    found = input_gradient_penalty(logits, image, step.batch.mask)
    # d/dx sum_k log p_k = sum_k w_k - K sum_k p_k w_k
    slope = weight.sum(0) - 3 * logits.softmax(1) @ weight
    outside = (1 - step.batch.mask).unsqueeze(1)
    squares = (outside * slope.view_as(image)).square().flatten(1).sum(1)
    area = outside.flatten(1).sum(1).clamp_min(1)
    torch.testing.assert_close(found, (squares / area).mean())


def test_rrr_takes_the_gradients_that_captum_takes() -> None:
    reason = "captum is not installed (pip install --no-deps captum)"
    attr = pytest.importorskip("captum.attr", reason=reason)
    batch = make_batch()
    network = build_backbone("resnet_small", 10, seed=0).eval()
    image = batch.image.requires_grad_()
    found = input_gradient_penalty(network(image).logits, image, batch.mask)
    slope = attr.Saliency(lambda x: network(x).logits.log_softmax(1).sum(1)).attribute(
        batch.image, abs=False
    )
    outside = (1 - batch.mask).unsqueeze(1)
    squares = (outside * slope).square().sum((1, 2, 3)) / outside.sum((1, 2, 3))
    torch.testing.assert_close(found.detach(), squares.mean())


def test_the_gradients_of_rrr_and_r4_are_those_of_finite_differences() -> None:
    step = linear_step(classes=3)
    weight = random(3, 3 * SIZE**2, seed=1).requires_grad_()

    def penalties(weight: Tensor) -> tuple[Tensor, Tensor]:
        model = Linear(weight.detach())
        del model.weight
        model.weight = weight  # type: ignore[assignment]
        own = replace(step, model=model)
        image = step.batch.image.detach().requires_grad_()
        logits = own.forward(image).logits
        norm = gradient_norm(own, step.batch.image, create_graph=True)
        rrr = input_gradient_penalty(logits, image, step.batch.mask)
        return rrr, norm.sum()

    assert gradcheck(penalties, (weight,))


def test_r4_of_a_linear_model_is_the_largest_closed_form_of_its_points() -> None:
    step = linear_step()
    options: dict[str, Any] = {"radius": 0.5, "samples": 4, "weight": 2.0}
    step = replace(step, config=make_step("r4", **options).config)
    terms = r4_terms(step)
    image, label, weight = step.batch.image, step.batch.label, weight_of(step)
    outside = (1 - step.batch.mask).unsqueeze(1)
    slope = (weight[1] - weight[0]).view(3, SIZE, SIZE)
    scale = (outside * slope).square().sum((1, 2, 3)) / outside.sum((1, 2, 3)).clamp(1)
    generator = torch.Generator().manual_seed(2)
    draws = [torch.rand(image.shape, generator=generator) for _ in range(4)]
    points = [image, *(image + 0.5 * (2 * draw - 1) for draw in draws)]
    # dL/dx = (1 - p_label) times the difference of the weights
    sizes = [
        (1 - step.forward(point).logits.softmax(1)[range(5), label]) * scale.sqrt()
        for point in points
    ]
    expected = torch.stack(sizes).amax(0)
    torch.testing.assert_close(terms.losses["penalty"], expected.mean())
    assert (expected > sizes[0]).any()
    assert terms.weights == {"penalty": 2.0}


def test_pgd_ex_finds_the_worst_corner_of_a_linear_model() -> None:
    step = linear_step()
    hard = (step.batch.mask > 0.5).double()
    step = replace(step, batch=replace(step.batch, mask=hard))
    weight = weight_of(step)
    slope = (weight[1] - weight[0]).view(3, SIZE, SIZE).sign()
    against = torch.where(step.batch.label == 1, -1.0, 1.0).view(-1, 1, 1, 1)
    expected = step.batch.image + 0.3 * against * slope * (1 - hard).unsqueeze(1)
    torch.testing.assert_close(attack(step, 0.3, 5), expected)
    assert attack(step, 0.3, 5).requires_grad is False


def test_pgd_ex_leaves_the_statistics_to_the_two_passes_that_are_trained() -> None:
    step = make_step("pgd_ex", attack_steps=3)
    run(step)
    assert int(step.model.state_dict()["bn1.num_batches_tracked"]) == 2
    assert all(module.training for module in step.model.modules())


def test_rrr_g_of_the_last_layer_is_its_closed_form() -> None:
    step = make_step("rrr_g", pooling="area")
    found = run(step).losses["penalty"]
    step = make_step("rrr_g")  # the same weights, and statistics of no batch yet
    stage = step.forward(step.batch.image).stages["stage4"]
    weight = find_head(step.model, 10, "resnet_small").weight
    # BatchNorm follows no more: the gradient is a weight over the map's size.
    maps = torch.einsum("nk,nkhw->nhw", weight[step.batch.label], stage).relu()
    maps = maps / stage[0, 0].numel()
    mask = F.interpolate(step.batch.mask[:, None], stage.shape[2:], mode="area")
    expected = ((1 - mask[:, 0]) * maps).square().sum((1, 2)).mean()
    torch.testing.assert_close(found, expected)


def test_energy_is_what_numpy_says() -> None:
    maps, mask = [random(4, SIZE, SIZE), random(4, 2, 2) + 1], masks(4)
    expected = []
    for one, config in zip(maps, (1, 2), strict=True):
        blocks = mask.numpy().reshape(4, SIZE // config, config, SIZE // config, config)
        pooled, positive = blocks.mean((2, 4)), np.maximum(one.numpy(), 0)
        inside = (pooled * positive).sum((1, 2)) / positive.sum((1, 2))
        expected.append(np.mean(1 - inside))
    assert float(energy_outside(maps, mask)) == pytest.approx(np.mean(expected))


def test_an_empty_map_has_no_energy_inside_and_no_gradient() -> None:
    maps = torch.zeros(3, SIZE, SIZE, dtype=torch.float64)
    maps[1] = 1e-9 / SIZE**2  # below what counts
    maps[2] = 1e-3
    maps.requires_grad_()
    penalty = energy_outside([maps], torch.ones(3, SIZE, SIZE, dtype=torch.float64))
    assert penalty.item() == pytest.approx(2 / 3)
    penalty.backward()  # type: ignore[no-untyped-call]
    assert maps.grad is not None
    assert maps.grad.isfinite().all()
    assert maps.grad[:2].abs().max() == 0


def test_energy_is_blind_to_scale() -> None:
    maps, mask = random(4, SIZE, SIZE), masks(4)
    found = [energy_outside([scale * maps], mask) for scale in (1.0, 1e-3)]
    torch.testing.assert_close(*found)


def test_hint_is_what_numpy_says() -> None:
    maps, mask = random(4, SIZE, SIZE).abs(), masks(4)
    scaled = maps.numpy() / maps.numpy().max((1, 2), keepdims=True)
    expected = np.mean((scaled - mask.numpy()) ** 2)
    assert float(map_error([maps], mask)) == pytest.approx(expected)


def test_tap_is_a_frobenius_norm() -> None:
    stages, mask = [random(3, 2, SIZE, SIZE), random(3, 5, 2, 2, seed=1)], masks(3)
    pooled = [mask, F.max_pool2d(mask[:, None], 2)[:, 0]]
    expected = [
        (torch.linalg.matrix_norm((1 - own) * one.sum(1)) ** 2).mean()
        for one, own in zip(stages, pooled, strict=True)
    ]
    found = activations_outside(stages, mask)
    torch.testing.assert_close(found, torch.stack(expected).mean())


@pytest.mark.parametrize(
    "penalty", [squares_outside, energy_outside, map_error, activations_outside]
)
def test_the_gradients_are_those_of_finite_differences(penalty: Penalty) -> None:
    is_tap = penalty is activations_outside
    maps = random(3, 2, SIZE, SIZE) if is_tap else random(3, SIZE, SIZE).abs()
    assert gradcheck(lambda one: penalty([one], masks(3)), (maps.requires_grad_(),))


def test_mask_input_shows_what_is_relevant_alone() -> None:
    batch = make_batch()
    other = torch.where(batch.mask[:, None] > 0, batch.image, batch.image + 7)
    assert torch.equal(mask_out(other, batch.mask), mask_out(batch.image, batch.mask))
    assert torch.equal(mask_out(batch.image, torch.ones_like(batch.mask)), batch.image)


def test_group_dro_steps_as_its_algorithm_is_written() -> None:
    batch = replace(make_batch(6), group=torch.tensor([0, 0, 3, 3, 3, 5]))
    step = make_step("group_dro", batch, group_step=0.5)
    assert isinstance(step.state, GroupWeights)
    assert step.state.weights.nonzero().flatten().tolist() == [0, 3, 5]
    weights = {0: 1 / 3, 3: 1 / 3, 5: 1 / 3}
    for _ in range(2):
        terms = run(step)
        each = F.cross_entropy(terms.logits, batch.label, reduction="none").tolist()
        rows = {0: each[:2], 3: each[2:5], 5: each[5:]}
        means = {group: sum(losses) / len(losses) for group, losses in rows.items()}
        risen = {g: q * math.exp(0.5 * means[g]) for g, q in weights.items()}
        weights = {g: q / sum(risen.values()) for g, q in risen.items()}
        expected = sum(q * means[g] for g, q in weights.items())
        assert terms.losses["cross_entropy"].item() == pytest.approx(expected)
    found = {g: float(step.state.weights[g]) for g in weights}
    assert found == pytest.approx(weights)


def test_group_dro_stands_a_loss_of_any_size() -> None:
    batch = replace(make_batch(3), group=torch.tensor([0, 3, 5]))
    step = make_step("group_dro", batch, group_step=1e4)
    loss = run(step).losses["cross_entropy"]
    assert isinstance(step.state, GroupWeights)
    assert step.state.weights.sort().values.tolist()[-2:] == [0, 1]
    assert loss.isfinite()


def test_the_mean_of_an_absent_group_is_0() -> None:
    found = group_means(torch.tensor([1.0, 3.0, 5.0]), torch.tensor([2, 2, 0]), 4)
    assert found.tolist() == [5.0, 0.0, 2.0, 0.0]


@pytest.mark.parametrize("balance", ["resample", "subsample"])
def test_groups_are_drawn_evenly(balance: Literal["resample", "subsample"]) -> None:
    groups = torch.tensor([4] * 7 + [1] * 3 + [2] * 12)
    weights = balancing_weights(groups, balance, torch.Generator().manual_seed(0))
    shares = [float(weights[groups == one].sum()) for one in (4, 1, 2)]
    assert shares == pytest.approx([shares[0]] * 3)
    used = 9 if balance == "subsample" else len(groups)
    assert int((weights > 0).sum()) == used


def test_without_counter_examples_groups_are_refused() -> None:
    labels = torch.arange(3).repeat(4)
    images = TrainingImages(labels, 2 * labels + 1, 3, 6)
    with pytest.raises(MethodError, match="group_dro needs groups, and in the split"):
        check_groups("group_dro", images, "val")
    check_groups("dfr", replace(images, groups=torch.arange(12) % 6), "val")
    few = replace(images, labels=labels % 2)
    with pytest.raises(MethodError, match="dfr: 1 of 3 classes have no image in the s"):
        check_groups("dfr", few, "val")


def test_the_generalized_cross_entropy_weighs_by_confidence() -> None:
    logits, label = random(6, 4).requires_grad_(), torch.arange(6) % 4
    loss = generalized_cross_entropy(logits, label, 0.7)
    (slope,) = torch.autograd.grad(loss, logits)
    p = logits.softmax(1)
    ordinary = (p - F.one_hot(label, 4)) / 6  # the gradient of cross-entropy
    weight = p[range(6), label].pow(0.7).unsqueeze(1)
    torch.testing.assert_close(slope, weight * ordinary, rtol=1e-5, atol=1e-6)
    near = generalized_cross_entropy(logits, label, 1e-4)
    ordinary_loss = F.cross_entropy(logits, label).item()
    assert near.item() == pytest.approx(ordinary_loss, rel=1e-3)


def test_lff_weighs_by_the_ratio_of_the_running_losses() -> None:
    batch = make_batch(6)
    step = make_step("lff", batch, loss_memory=0.5)
    state = step.state
    assert isinstance(state, BiasedNet)
    running = [np.zeros(6), np.zeros(6)]
    for _ in range(2):
        both = (step.model, state.network)
        outputs = [network(batch.image).logits for network in both]
        terms = run(step)
        for kept, logits in zip(running, outputs, strict=True):
            loss = F.cross_entropy(logits, batch.label, reduction="none")
            kept[:] = 0.5 * kept + 0.5 * loss.detach().numpy()
        labels = batch.label.numpy()
        debiased, biased = (
            one / np.array([one[labels == k].max() for k in labels]) for one in running
        )
        weight = biased / (biased + debiased)
        np.testing.assert_allclose(difficulty(state, batch.index), weight, rtol=1e-4)
        loss = F.cross_entropy(terms.logits, batch.label, reduction="none")
        expected = float(np.mean(weight * loss.detach().numpy()))
        found = terms.losses["cross_entropy"].item()
        assert found == pytest.approx(expected, rel=1e-4)


def test_each_network_of_lff_learns_from_its_own_loss() -> None:
    step = make_step("lff")
    assert isinstance(step.state, BiasedNet)
    for name, other in (("cross_entropy", step.state.network), ("biased", step.model)):
        run(step).losses[name].backward()  # type: ignore[no-untyped-call]
        assert all(one.grad is None for one in other.parameters())
        step.model.zero_grad()


def features(count: int = 120) -> Images:
    labels = np.arange(count) % 3
    groups = 2 * labels + (np.arange(count) % 5 > 0)
    signal = np.random.default_rng(0).normal(size=(count, 8))
    signal[:, :3] += 2 * np.eye(3)[labels]
    signal[:, 3] = 5.0  # never changes
    return Images(signal, labels, groups)


def test_a_dfr_head_is_that_of_scikit_learn() -> None:
    images = features()
    even = images.take(balanced_rows(images.groups, np.random.default_rng(1)))
    head = fit_head(even, 3, 0.3, 1, np.random.default_rng(2))
    options = {"l1_ratio": 1.0, "C": 0.3, "solver": "liblinear", "random_state": 0}
    lasso = OneVsRestClassifier(LogisticRegression(max_iter=1000, **options))
    reference = make_pipeline(StandardScaler(), lasso).fit(even.features, even.labels)
    expected = reference.decision_function(images.features)
    found = images.features @ head.weight.T + head.bias
    np.testing.assert_allclose(found, expected, atol=2e-3)
    assert (head.weight == 0).any()  # what L1 is for


def test_dfr_averages_its_refits() -> None:
    images = features()
    several = fit_head(images, 3, 0.3, 3, np.random.default_rng(4))
    draws = np.random.default_rng(4)
    each = [fit_head(images, 3, 0.3, 1, draws) for _ in range(3)]
    np.testing.assert_allclose(several.weight, np.mean([h.weight for h in each], 0))
    np.testing.assert_allclose(several.bias, np.mean([h.bias for h in each], 0))


def test_dfr_halves_every_group_and_balances_them() -> None:
    groups = features().groups
    first, second = halves(groups, np.random.default_rng(0))
    assert sorted([*first, *second]) == [*range(len(groups))]
    sizes = [np.bincount(groups[rows], minlength=6) for rows in (first, second)]
    assert {*(sizes[0] - sizes[1])} <= {0, 1}
    rows = balanced_rows(groups, np.random.default_rng(0))
    assert len({*rows}) == len(rows)
    assert {*np.bincount(groups[rows], minlength=6)} == {np.bincount(groups).min()}


def test_dfr_is_judged_by_its_worst_group() -> None:
    images = features()
    head = fit_head(images, 3, 1.0, 1, np.random.default_rng(0))
    worst, mean = score(head, images)
    right = head.predict(images.features) == images.labels
    each = [right[images.groups == group].mean() for group in range(6)]
    assert worst == min(each)
    assert mean == pytest.approx(np.mean(each))


def test_dfr_needs_a_linear_last_layer() -> None:
    network = build_backbone("resnet_small", 10, seed=0)
    assert find_head(network, 10, "resnet_small") is network.fc
    with pytest.raises(MethodError, match="resnet_small ends on no torch"):
        find_head(network, 3, "resnet_small")
