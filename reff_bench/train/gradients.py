"""The gradients of a second-order step as one compiled graph: `GradientGraph`."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.fx.experimental.proxy_tensor import make_fx

from reff_bench.data.batch import Batch
from reff_bench.grid.config import RunConfig
from reff_bench.methods.method import StepContext, Terms

Values = dict[str, Tensor]
Found = tuple[Tensor, Values, Values, Values, list[Tensor]]


class GradientGraph:
    """What a step gives and the gradients of all weights, without autograd.

    `torch.compile` refuses what is differentiated twice. So the first step is traced
    with its forward pass, the gradients that make the maps and the gradients of the
    loss; the trace is a plain list of operators, that of an eager step to the bit, and
    nothing is left in it to differentiate. That is what is compiled.

    The trace belongs to the first batch's size; other batches need an eager step.

    Args:
        config: what is trained.
        model: whose weights' gradients are wanted; in training mode.
        terms: of the run's method, without randomness.
        autocast: the type of mixed precision, or None.
        batch: the first one.
    """

    def __init__(
        self,
        config: RunConfig,
        model: nn.Module,
        terms: Callable[[StepContext], Terms],
        autocast: torch.dtype | None,
        batch: Batch,
    ) -> None:
        """Trace; the compiler itself works when it is called first."""
        self._model, self.size = model, len(batch)
        self._fixed: dict[str, float] = {}

        def compute(batch: Batch, progress: Tensor) -> Terms:
            nothing = torch.Generator()
            return terms(StepContext(model, batch, config, progress, nothing, autocast))

        losses = _Losses(model, compute)

        def gradients(
            weights: Values, buffers: Values, fields: Values, progress: Tensor
        ) -> Found:
            state = {**weights, **buffers}
            found: Terms = functional_call(losses, state, (Batch(**fields), progress))
            slopes = torch.autograd.grad(found.total(), [*weights.values()])
            moving = {k: v for k, v in found.weights.items() if isinstance(v, Tensor)}
            self._fixed = {
                k: v for k, v in found.weights.items() if not isinstance(v, Tensor)
            }
            plain = {name: loss.detach() for name, loss in found.losses.items()}
            log = {name: torch.as_tensor(value) for name, value in found.log.items()}
            return found.logits.detach(), plain, moving, log, [*slopes]

        with _plain_batch_norm():
            # By shapes alone: nothing is computed, and no statistics are moved.
            traced = make_fx(gradients, tracing_mode="fake")(
                *self._state(), _fields(batch), _progress(0.5, batch)
            )
        self._run = torch.compile(traced)

    def __call__(self, batch: Batch, progress: float) -> Terms:
        """Set the gradient of every weight; return what is minimized, without a graph.

        The batch has the first one's size and layout; progress is in [0, 1).
        """
        weights, buffers = self._state()
        with torch.no_grad():
            logits, losses, moving, log, slopes = self._run(
                weights, buffers, _fields(batch), _progress(progress, batch)
            )
        for weight, slope in zip(weights.values(), slopes, strict=True):
            # Fused optimizers want both in one layout, as autograd would leave them.
            same = slope.stride() == weight.stride()
            weight.grad = slope if same else torch.empty_like(weight).copy_(slope)
        return Terms(logits, losses, {**self._fixed, **moving}, log)

    def _state(self) -> tuple[Values, Values]:
        prefix = "model."
        return (
            {prefix + name: one for name, one in self._model.named_parameters()},
            {prefix + name: one for name, one in self._model.named_buffers()},
        )


class _Losses(nn.Module):
    """A method's terms as a module, so that its model's weights can be inputs."""

    def __init__(
        self, model: nn.Module, compute: Callable[[Batch, Tensor], Terms]
    ) -> None:
        super().__init__()
        self.model, self.compute = model, compute

    def forward(self, batch: Batch, progress: Tensor) -> Terms:
        return self.compute(batch, progress)


@contextmanager
def _plain_batch_norm() -> Iterator[None]:
    """Trace torch's own BatchNorm rather than cuDNN's.

    It is the one that the compiler takes apart and fuses. Convolutions choose their
    library when they run.
    """
    before = torch.backends.cudnn.enabled
    torch.backends.cudnn.enabled = False
    try:
        yield
    finally:
        torch.backends.cudnn.enabled = before


def _fields(batch: Batch) -> Values:
    return {name: getattr(batch, name) for name in Batch.__slots__}


def _progress(value: float, batch: Batch) -> Tensor:
    return torch.full((), value, device=batch.image.device)
