"""Convolutions and BatchNorm that are cheap to differentiate twice on a CPU.

torch differentiates the gradient of a grouped convolution group by group, and that of
BatchNorm in some thirty passes over the map: in EfficientNet-Lite0, its channels last
in memory, the two were more than half of a ReFF step. Both are written out here,
exactly. What is differentiated once stays torch's own, and so do torchvision's ResNets.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.autograd.graph import Node
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

ATEN: Any = torch.ops.aten  # its stubs know no operators
Context: TypeAlias = Any  # what autograd hands to a function; grows attributes
Slopes: TypeAlias = tuple[Tensor | None, ...]


class FastSecondOrder(TorchFunctionMode):
    """Gives grouped convolutions and BatchNorm fast second derivatives in the block.

    Values and gradients are torch's, up to rounding. On a CPU in float32 or float64
    alone, BatchNorm with the channels last: elsewhere, and in mixed precision, nothing
    is changed. The gradients of
    weights can't themselves be differentiated; maps and penalties on them need none.

    >>> x = torch.randn(2, 4, 8, 8, requires_grad=True)
    >>> with FastSecondOrder():
    ...     y = F.conv2d(x, torch.randn(4, 1, 3, 3), groups=4)
    >>> y.shape
    torch.Size([2, 4, 6, 6])
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401 (whatever the function returns)
        """Call a function of torch, or what stands for it here."""
        replacement = _REPLACEMENTS.get(func)
        if replacement is not None and _is_plain(args[0]):
            result = replacement(*args, **(kwargs or {}))
            if result is not None:
                return result
        return func(*args, **(kwargs or {}))


def _is_plain(x: Tensor) -> bool:
    kind = x.device.type
    return kind == "cpu" and not torch.is_autocast_enabled(kind) and x.ndim == 4


class _Geometry(NamedTuple):
    """Of a convolution, as `aten` takes it."""

    stride: list[int]
    padding: list[int]
    dilation: list[int]
    groups: int

    def convolve(self, x: Tensor, weight: Tensor) -> Tensor:
        stride, padding, dilation, groups = self
        out: Tensor = ATEN.convolution(
            x, weight, None, stride, padding, dilation, False, [0, 0], groups
        )
        return out

    def backward(
        self, slope: Tensor, x: Tensor, weight: Tensor, wanted: tuple[bool, bool]
    ) -> tuple[Tensor | None, Tensor | None]:
        """The gradients of x and weight, of which only the wanted ones are computed."""
        stride, padding, dilation, groups = self
        place = stride, padding, dilation, False, [0, 0], groups
        of_x, of_weight, _ = ATEN.convolution_backward(
            slope, x, weight, None, *place, [*wanted, False]
        )
        return of_x, of_weight


def _convolution(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | str | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> Tensor | None:
    """`F.conv2d` of several groups; None leaves it to torch."""
    if groups == 1 or isinstance(padding, str):
        return None
    geometry = _Geometry(_pair(stride), _pair(padding), _pair(dilation), groups)
    # A view is no leaf: autograd can say of it alone whether its gradient is wanted.
    out: Tensor = _Convolution.apply(x, weight.view_as(weight), geometry)
    return out if bias is None else out + bias.view(1, -1, 1, 1)


def _pair(value: int | Sequence[int]) -> list[int]:
    return [value, value] if isinstance(value, int) else [*value]


class _Convolution(Function):
    @staticmethod
    def forward(ctx: Context, x: Tensor, weight: Tensor, geometry: _Geometry) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.geometry = geometry
        return geometry.convolve(x, weight)

    @staticmethod
    def backward(ctx: Context, slope: Tensor) -> Slopes:
        wanted = tuple(_is_wanted(node) for node, _ in ctx.next_functions[:2])
        slopes = _ConvolutionBackward.apply(
            slope, *ctx.saved_tensors, ctx.geometry, wanted
        )
        return *slopes, None


def _is_wanted(node: Node | None) -> bool:
    """Whether the gradient that goes to a node of the graph is asked for.

    Grad-CAM asks for those of maps alone; `ctx.needs_input_grad` doesn't know it. Of a
    leaf nobody knows, so it gets one.
    """
    if node is None:
        return False
    leaf = node.name().endswith("AccumulateGrad")
    return leaf or torch._C._will_engine_execute_node(node)


class _ConvolutionBackward(Function):
    @staticmethod
    def forward(
        ctx: Context,
        slope: Tensor,
        x: Tensor,
        weight: Tensor,
        geometry: _Geometry,
        wanted: tuple[bool, bool],
    ) -> tuple[Tensor | None, Tensor | None]:
        ctx.save_for_backward(slope, weight)
        ctx.geometry = geometry
        ctx.set_materialize_grads(False)
        return geometry.backward(slope, x, weight, wanted)

    @staticmethod
    @once_differentiable
    def backward(ctx: Context, of_x: Tensor | None, of_weight: Tensor | None) -> Slopes:
        _refuse(of_weight)
        if of_x is None:
            return (None,) * 5
        slope, weight = ctx.saved_tensors
        _, second = ctx.geometry.backward(slope, of_x, weight, (False, True))
        return ctx.geometry.convolve(of_x, weight), None, second, None, None


def _batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor | None:
    """`F.batch_norm` by the batch's own statistics; None leaves it to torch.

    With the channels last the passes over a map are what takes the time; otherwise
    torch's own derivative is as fast.
    """
    last = input.is_contiguous(memory_format=torch.channels_last)
    if not training or not last or weight is None or bias is None:
        return None
    running = running_mean, running_var, momentum
    out: Tensor = _BatchNorm.apply(input, weight, bias, running, eps)
    return out


class _BatchNorm(Function):
    @staticmethod
    def forward(
        ctx: Context,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        running: tuple[Tensor | None, Tensor | None, float],
        eps: float,
    ) -> Tensor:
        mean, var, momentum = running
        out, *statistics = ATEN.native_batch_norm(
            x, weight, bias, mean, var, True, momentum, eps
        )
        ctx.save_for_backward(x, weight, *statistics)
        ctx.eps = eps
        return out  # type: ignore[no-any-return]

    @staticmethod
    def backward(ctx: Context, slope: Tensor) -> Slopes:
        slopes = _BatchNormBackward.apply(slope, *ctx.saved_tensors, ctx.eps)
        return *slopes, None, None


class _BatchNormBackward(Function):
    """BatchNorm's gradient as a function of its own, so that it can be differentiated.

    With z = (x - mean) invstd, n pixels a channel and E the mean over them, BatchNorm
    gives x the gradient w invstd (g - E[g] - z E[g z]). A gradient v of that one is,
    in each channel,

        to g:  w invstd (v - E[v] - z E[v z]), BatchNorm's gradient once more
        to w:  n invstd S,  S = E[v g] - E[v] E[g] - E[v z] E[g z]
        to x:  w invstd^2 ( E[v z] E[g] + E[v] E[g z]
                            - v E[g z] - g E[v z] + z (2 E[v z] E[g z] - S) )
    """

    @staticmethod
    def forward(
        ctx: Context,
        g: Tensor,
        x: Tensor,
        weight: Tensor,
        mean: Tensor,
        invstd: Tensor,
        eps: float,
    ) -> Slopes:
        slopes = _first_order(g, x, weight, mean, invstd, eps)
        ctx.save_for_backward(g, x, weight, mean, invstd, *slopes[1:])
        ctx.eps = eps
        ctx.set_materialize_grads(False)
        return slopes

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Context, v: Tensor | None, of_weight: Tensor | None, of_bias: Tensor | None
    ) -> Slopes:
        _refuse(of_weight)
        _refuse(of_bias)
        if v is None:
            return (None,) * 6
        g, x, weight, mean, invstd, *g_sums = ctx.saved_tensors
        n = x.numel() // x.shape[1]
        to_g, *v_sums = _first_order(v, x, weight, mean, invstd, ctx.eps)
        (gz, g1), (vz, v1) = ([one / n for one in sums] for sums in (g_sums, v_sums))
        s = (v * g).mean((0, 2, 3)) - v1 * g1 - vz * gz
        scale = weight * invstd.square()
        of_x = scale * (2 * vz * gz - s) * invstd
        constant = scale * (vz * g1 + v1 * gz) - of_x * mean
        wide = [one.view(1, -1, 1, 1) for one in (constant, -scale * gz, -scale * vz)]
        to_x = torch.addcmul(wide[0], v, wide[1]).addcmul_(g, wide[2])
        to_x = to_x.addcmul_(x, of_x.view(1, -1, 1, 1))
        return to_g, to_x, n * invstd * s, None, None, None


def _first_order(
    g: Tensor, x: Tensor, weight: Tensor, mean: Tensor, invstd: Tensor, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """BatchNorm's gradients of x, weight (the sum of g z) and bias (of g)."""
    slopes: tuple[Tensor, Tensor, Tensor] = ATEN.native_batch_norm_backward(
        g, x, weight, None, None, mean, invstd, True, eps, [True, True, True]
    )
    return slopes


def _refuse(slope: Tensor | None) -> None:
    if slope is not None:
        raise RuntimeError(
            "the gradient of a weight can't be differentiated within FastSecondOrder"
        )


_REPLACEMENTS: dict[Callable[..., Any], Callable[..., Tensor | None]] = {
    F.conv2d: _convolution,
    F.batch_norm: _batch_norm,
}
