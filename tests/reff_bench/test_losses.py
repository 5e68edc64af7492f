from collections.abc import Callable
from functools import partial
from typing import Any, Literal, TypeAlias

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import gradcheck, gradgradcheck
from torch.func import functional_call
from torch.nn import functional as F

from reff_bench.explain import SCORES, Score, grad_cam
from reff_bench.losses import (
    Norm,
    Normalization,
    attention_penalty,
    difference_penalty,
    normalize_maps,
    outside_penalty,
    pool_mask,
    relevant_share,
    zero_map_share,
)
from reff_bench.models.backbone import build_backbone

Penalty = Callable[[list[Tensor], Tensor], Tensor]

G = torch.tensor([[[0.0, 1.0], [2.0, 4.0]], [[0.0, 0.0], [0.0, 0.5]]])
M = torch.tensor([[[0.0, 0.0], [1.0, 1.0]], [[1.0, 0.0], [0.0, 0.0]]])

PENALTIES: dict[str, Penalty] = {
    f"outside {norm} {kind}": partial(outside_penalty, norm=norm, normalization=kind)
    for norm in ("rms", "squared", "l1")
    for kind in ("max", "none", "sum")
}
PENALTIES |= {f"L{p}": partial(difference_penalty, p=p) for p in (1, 2)}
OUTSIDE = [f"outside {one}" for one in ("rms max", "rms sum", "squared none", "l1 max")]
MORE = [score for score in SCORES if score != "logit"]


class TinyNet(nn.Module):
    """Two smooth convolutions; ReLU's kinks would break finite differences."""

    def __init__(self) -> None:
        """Build the layers."""
        super().__init__()
        self.first = nn.Conv2d(1, 2, 3)
        self.second = nn.Conv2d(2, 3, 2, stride=2)
        self.fc = nn.Linear(3, 3)

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Give the logits and both maps."""
        first = F.softplus(self.first(x))
        second = F.softplus(self.second(first))
        return self.fc(second.mean((2, 3)).tanh()), [first, second]


def penalty_of_weights(
    penalty: Penalty, score: Score
) -> tuple[Callable[..., Tensor], tuple[Tensor, ...]]:
    """The penalty as a function of the network's weights, and those weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(196)  # no map is all zero, and no cell is near ReLU's kink
        network = TinyNet().double()
        images = torch.randn(2, 1, 8, 8, dtype=torch.float64)
    mask = torch.zeros(2, 8, 8, dtype=torch.float64)
    mask[:, :4, 2:5] = 1
    names = [name for name, _ in network.named_parameters()]
    target = torch.tensor([0, 2])

    def value(*weights: Tensor) -> Tensor:
        given = dict(zip(names, weights, strict=True))
        logits, stages = functional_call(network, given, (images,))
        maps = grad_cam(logits, target, stages, create_graph=True, score=score)
        assert zero_map_share(maps) == [0, 0]
        return penalty(maps, mask)

    return value, tuple(one.detach().requires_grad_() for one in network.parameters())


def test_every_entry_of_the_penaltys_gradient_is_right() -> None:
    assert gradcheck(*penalty_of_weights(outside_penalty, "logit"))


@pytest.mark.parametrize(
    ("name", "score"),
    [*((name, "logit") for name in PENALTIES), *(("outside rms max", s) for s in MORE)],
)
def test_the_gradient_of_the_penalty_is_right(name: str, score: Score) -> None:
    value, weights = penalty_of_weights(PENALTIES[name], score)
    assert gradcheck(value, weights, fast_mode=True)  # random directions


@pytest.mark.parametrize("name", ["outside rms max", "outside squared none", "L2"])
def test_the_second_gradient_of_the_penalty_is_right(name: str) -> None:
    value, weights = penalty_of_weights(PENALTIES[name], "logit")
    assert gradgradcheck(value, weights, fast_mode=True)


@pytest.mark.parametrize("name", OUTSIDE)
@pytest.mark.parametrize("empty", [False, True])
def test_nothing_outside_costs_and_moves_nothing(name: str, empty: bool) -> None:
    network = build_backbone("resnet_small", 3, seed=0)
    if empty:  # all evidence is negative
        nn.init.constant_(network.get_parameter("fc.weight"), -1.0)
    images = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    output = network(images)
    layers = [output.stages["stage4"]] if empty else list(output.stages.values())
    target = torch.tensor([0, 1, 2, 0])
    maps = grad_cam(output.logits, target, layers, create_graph=True)
    assert zero_map_share(maps) == [1.0] if empty else max(zero_map_share(maps)) < 1
    mask = torch.zeros(4, 32, 32) if empty else torch.ones(4, 32, 32)
    value = PENALTIES[name](maps, mask)
    assert value == 0
    torch.autograd.backward(value)
    gradients = [one.grad for one in network.parameters() if one.grad is not None]
    assert gradients
    assert all((one == 0).all() for one in gradients)  # NaN == 0 is false


@pytest.mark.parametrize("p", [1, 2])
def test_the_difference_to_an_empty_map_moves_nothing(p: Literal[1, 2]) -> None:
    evidence = torch.full((2, 2, 2), -1.0, requires_grad=True)
    value = difference_penalty([evidence.relu()], M, p=p)
    assert value > 0
    torch.autograd.backward(value)
    assert evidence.grad is not None
    assert (evidence.grad == 0).all()


@pytest.mark.parametrize(
    ("norm", "expected"),
    [
        # Outside: image 1 holds 0 and 1/4 of its maximum, image 2 its maximum.
        ("rms", ((1 / 16 / 4) ** 0.5 + (1 / 4) ** 0.5) / 2),
        ("squared", (1 / 16 / 4 + 1 / 4) / 2),
        ("l1", (1 / 4 / 4 + 1 / 4) / 2),
    ],
)
def test_the_outside_penalty_by_hand(norm: Norm, expected: float) -> None:
    found = outside_penalty([G], M, norm=norm)
    torch.testing.assert_close(found, torch.tensor(expected))


def test_layers_add_up() -> None:
    both = outside_penalty([G, 3 * G], M)
    torch.testing.assert_close(both, 2 * outside_penalty([G], M))


def test_the_outside_penalty_sees_nothing_inside() -> None:
    inside = G + 7 * M
    raw = partial(outside_penalty, normalization="none")
    torch.testing.assert_close(raw([inside], M), raw([G], M))
    assert normalize_maps(G, "none") is G


@pytest.mark.parametrize(("p", "power"), [(1, 1.0), (2, 2.0)])
def test_the_difference_penalty_by_hand(p: Literal[1, 2], power: float) -> None:
    gap = (M - G / torch.tensor([4.0, 0.5])[:, None, None]).abs()
    expected = (gap**power).mean((1, 2)) ** (1 / power)
    torch.testing.assert_close(difference_penalty([G], M, p=p), expected.mean())


def test_a_map_equal_to_the_mask_is_at_no_distance() -> None:
    assert difference_penalty([M, 5 * M], M, p=2) == 0


def test_the_attention_penalty_is_the_mean_square_error() -> None:
    attention = torch.rand(2, 1, 7, 7, generator=torch.Generator().manual_seed(0))
    mask = (torch.arange(28 * 28).reshape(1, 28, 28) % 3 == 0).float().repeat(2, 1, 1)
    expected = F.mse_loss(attention, F.interpolate(mask[:, None], (7, 7), mode="area"))
    torch.testing.assert_close(attention_penalty(attention, mask), expected)


@pytest.mark.parametrize(("kind", "total"), [("max", torch.amax), ("sum", torch.sum)])
def test_normalized_maps_have_one_scale(
    kind: Normalization, total: Callable[..., Tensor]
) -> None:
    found = normalize_maps(G, kind)
    torch.testing.assert_close(total(found, (1, 2)), torch.ones(2))
    torch.testing.assert_close(found, normalize_maps(10 * G, kind))
    torch.testing.assert_close(normalize_maps(-G, kind), -found)


@pytest.mark.parametrize("kind", ["max", "sum"])
def test_the_gradient_goes_through_the_divisor(kind: Normalization) -> None:
    maps = G.double().requires_grad_()
    assert gradcheck(partial(normalize_maps, kind=kind), (maps + 0.1,))
    (gradient,) = torch.autograd.grad(normalize_maps(maps, kind)[0, 1, 0], maps)
    # A scale-free value doesn't change along the map itself.
    assert gradient.abs().max() > 0
    assert (gradient * maps).sum().abs() < 1e-12


@pytest.mark.parametrize("kind", ["max", "sum", "none"])
def test_an_empty_map_stays_empty(kind: Normalization) -> None:
    assert (normalize_maps(torch.zeros(1, 3, 3), kind) == 0).all()


Size: TypeAlias = tuple[int, int]
SIZES = [((32, 32), (8, 8)), ((33, 47), (7, 9)), ((224, 224), (7, 7)), ((5, 5), (5, 5))]


def random_mask(height: int, width: int) -> Tensor:
    draws = torch.Generator().manual_seed(height)
    return torch.rand(2, height, width, generator=draws)


@pytest.mark.parametrize(("size", "to"), SIZES)
def test_area_pooling_is_torchs(size: Size, to: Size) -> None:
    mask = random_mask(*size)
    expected = F.interpolate(mask[:, None], to, mode="area")[:, 0]
    torch.testing.assert_close(pool_mask(mask, to, "area"), expected)


@pytest.mark.parametrize(("size", "to"), SIZES)
def test_a_cell_is_as_relevant_as_its_most_relevant_pixel(size: Size, to: Size) -> None:
    (H, W), (h, w) = size, to
    mask, found = random_mask(H, W), pool_mask(random_mask(H, W), to, "max")
    for i in range(h):
        for j in range(w):
            rows = slice(i * H // h, -(-(i + 1) * H // h))
            columns = slice(j * W // w, -(-(j + 1) * W // w))
            assert found[:, i, j].equal(mask[:, rows, columns].amax((1, 2)))


def test_max_pooling_of_sizes_that_divide_is_max_pool2d() -> None:
    mask = random_mask(32, 48)
    assert pool_mask(mask, (8, 12), "max").equal(F.max_pool2d(mask, 4))


def test_shares_of_relevant_cells() -> None:
    mask = torch.zeros(1, 8, 8)
    mask[0, 0, 0] = 1
    assert relevant_share(mask, [(8, 8), (4, 4), (2, 2)]) == [1 / 64, 1 / 16, 1 / 4]
    assert relevant_share(mask, [(2, 2)], "area") == [1 / 64]


def test_shares_of_zero_maps() -> None:
    maps = torch.stack([G[0], torch.zeros(2, 2)])
    assert zero_map_share([maps, G, 0 * G]) == [0.5, 0.0, 1.0]
    assert zero_map_share([]) == []


X: Any = "x"
THREE: Any = 3
BESIDE = r"allowed: \(N, h, w\) beside \(N, H, W\)"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: normalize_maps(G, X), "normalization is 'x'; allowed: max, none, "),
        (lambda: pool_mask(M, (1, 1), X), "pooling is 'x'; allowed: max, area"),
        (lambda: outside_penalty([G], M, norm=X), "norm is 'x'; allowed: rms, squ"),
        (lambda: difference_penalty([G], M, p=THREE), "p is 3; allowed: 1, 2"),
        (lambda: outside_penalty([], M), "no map to penalize; give one layer or more"),
        (lambda: PENALTIES["L1"]([], M), "no map to penalize; give one layer or more"),
        (lambda: outside_penalty([G[:1]], M), BESIDE),
        (lambda: outside_penalty([G[:, None]], M), BESIDE),
        (
            lambda: pool_mask(M[:, None], (1, 1)),
            r"shape \(2, 1, 2, 2\); allowed: \(N, H",
        ),
    ],
)
def test_what_does_not_fit_is_refused(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
