from collections.abc import Callable
from unittest.mock import create_autospec

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reff_bench import second_order
from reff_bench.second_order import FastSecondOrder

DOUBLE = torch.float64


def draw(*shape: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, dtype=DOUBLE, generator=generator).requires_grad_()


def channels_last(x: Tensor) -> Tensor:
    laid = x.detach().contiguous(memory_format=torch.channels_last)
    return laid.requires_grad_()


def penalized(forward: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """A loss with a penalty on a gradient in it, as ReFF's."""
    out = forward(x)
    (slope,) = torch.autograd.grad((out**3).sum(), x, create_graph=True)
    return (slope.mean((2, 3), keepdim=True) * x).relu().sum() + (out**2).sum()


def slopes(forward: Callable[[Tensor], Tensor], *inputs: Tensor) -> tuple[Tensor, ...]:
    return torch.autograd.grad(penalized(forward, inputs[0]), inputs)


@pytest.mark.parametrize(
    ("groups", "stride", "padding", "dilation", "bias"),
    [(6, 1, 1, 1, False), (6, 2, 0, 1, True), (3, (1, 2), (2, 1), 2, False)],
)
def test_a_grouped_convolution_has_torchs_second_derivative(
    groups: int, stride: int, padding: int, dilation: int, bias: bool
) -> None:
    x, weight = draw(4, 6, 9, 9, seed=0), draw(12, 6 // groups, 3, 3, seed=1)
    inputs = [x, weight, *([draw(12, seed=2)] if bias else [])]

    def convolve(image: Tensor) -> Tensor:
        own = inputs[2] if bias else None
        return F.conv2d(image, weight, own, stride, padding, dilation, groups)

    expected = slopes(convolve, *inputs)
    with FastSecondOrder():
        found = slopes(convolve, *inputs)
    torch.testing.assert_close(found, expected)


def test_batch_norm_has_torchs_second_derivative_and_running_statistics() -> None:
    x, weight, bias = draw(4, 6, 5, 5, seed=0), draw(6, seed=1), draw(6, seed=2)
    x = channels_last(x)
    norms = [nn.BatchNorm2d(6, dtype=DOUBLE) for _ in range(2)]
    for norm in norms:
        norm.weight, norm.bias = nn.Parameter(weight), nn.Parameter(bias)
    inputs = [(x, norm.weight, norm.bias) for norm in norms]
    expected = slopes(norms[0], *inputs[0])
    with FastSecondOrder():
        found = slopes(norms[1], *inputs[1])
    torch.testing.assert_close(found, expected)
    for name, buffer in norms[0].named_buffers():
        torch.testing.assert_close(norms[1].get_buffer(name), buffer)


def test_the_second_derivative_of_batch_norm_passes_gradcheck() -> None:
    x, weight, bias = draw(3, 2, 4, 4, seed=0), draw(2, seed=1), draw(2, seed=2)
    x = channels_last(x)

    def first(image: Tensor, scale: Tensor) -> Tensor:
        with FastSecondOrder():
            out = F.batch_norm(image, None, None, scale, bias, True)
        return torch.autograd.grad((out**3).sum(), image, create_graph=True)[0]

    assert torch.autograd.gradcheck(first, (x, weight))


def test_what_it_does_not_know_is_left_to_torch() -> None:
    x, weight = draw(2, 4, 6, 6, seed=0), draw(4, 4, 3, 3, seed=1)
    norm = nn.BatchNorm2d(4, dtype=DOUBLE).eval()
    with FastSecondOrder():
        plain = F.conv2d(x, weight)
        named = F.conv2d(x, weight[:, :1], padding="same", groups=4)
        running = norm(channels_last(x))
        first = norm.train()(x)
    outs = (plain, named, running, first)
    names = [one.grad_fn.name() for one in outs if one.grad_fn]
    assert names == ["ConvolutionBackward0"] * 2 + ["NativeBatchNormBackward0"] * 2


def test_mixed_precision_is_left_to_torch() -> None:
    x, weight = draw(2, 4, 6, 6, seed=0).float(), draw(4, 1, 3, 3, seed=1).float()
    with FastSecondOrder(), torch.autocast("cpu", torch.bfloat16):
        out = F.conv2d(x, weight, groups=4)
    assert out.dtype == torch.bfloat16


def test_maps_need_no_gradient_of_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    geometry = second_order._Geometry
    watched = create_autospec(geometry.backward, side_effect=geometry.backward)
    monkeypatch.setattr(geometry, "backward", watched)
    x, weight = draw(2, 4, 6, 6, seed=0), draw(4, 1, 3, 3, seed=1)
    with FastSecondOrder():
        out = F.conv2d(x, weight, groups=4)
    (slope,) = torch.autograd.grad(out.sum(), x, create_graph=True)
    assert [one.args[-1] for one in watched.mock_calls] == [(True, False)]
    torch.autograd.backward(slope.square().sum() + out.sum())
    asked = [one.args[-1] for one in watched.mock_calls[1:]]
    assert asked == [(False, True), (True, True)]


@pytest.mark.parametrize("kind", ["convolution", "norm"])
def test_a_gradient_of_weights_is_not_differentiated(kind: str) -> None:
    x = channels_last(draw(2, 4, 6, 6, seed=0))
    weight, scale = draw(4, 1, 3, 3, seed=1), draw(4, seed=2)
    with FastSecondOrder():
        out = (
            F.conv2d(x, weight, groups=4)
            if kind == "convolution"
            else F.batch_norm(x, None, None, scale, scale, True)
        )
    of = weight if kind == "convolution" else scale
    (slope,) = torch.autograd.grad((out**2).sum(), of, create_graph=True)
    with pytest.raises(RuntimeError, match="gradient of a weight can't be different"):
        torch.autograd.backward(slope.sum())
