"""One training step of a run's classifier: `TrainStep`."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import torch
from torch import Tensor, nn

from reff_bench.catalog.methods import known_method
from reff_bench.data.batch import Batch
from reff_bench.grid.config import RunConfig
from reff_bench.methods.method import StepContext, Terms
from reff_bench.methods.registry import check_terms, find_method
from reff_bench.results.run import RunError
from reff_bench.train.gradients import GradientGraph
from reff_bench.train.machine import ComputeContext

FLOAT32, MIXED = 0.01, 0.2  # relative; a wrong graph is off by more


class TrainStep:
    """Trains a model of a run's method, step by step.

    No step waits for a GPU: what it gives are tensors that aren't read yet.

    Args:
        config: what to train.
        model: of `find_method(config.method).build`; moved to the machine's device.
        machine: where to run.
        state: what the method keeps beside the model; moved likewise.

    Attributes:
        model: on the device, in whatever mode it came or was put into.
        state: likewise; empty where the method keeps nothing.
        optimizer: of the run, for all parameters of the model and the state.
        scaler: of the losses; does nothing but in float16.
        compiled: whether the steps go through `torch.compile`: the model, or where
            maps are differentiated all the step's gradients. `model` itself stays as it
            is, with its names.
    """

    def __init__(
        self,
        config: RunConfig,
        model: nn.Module,
        machine: ComputeContext,
        state: nn.Module | None = None,
    ) -> None:
        """Place the model and make its optimizer."""
        self.config, self.machine = config, machine
        self.model = _place(model, machine)
        self.state = _place(nn.Module() if state is None else state, machine)
        self.optimizer = self._make_optimizer()
        scales = machine.autocast == torch.float16
        self.scaler = torch.amp.GradScaler(machine.device.type, enabled=scales)
        self.compiled = config.compile and known_method(config.method).compiles
        self._method = find_method(config.method)
        self._called = self.model
        if self.compiled and not self._method.second_order:
            self._called = cast(nn.Module, torch.compile(self.model))
        self._graph: GradientGraph | None = None
        self._checked = False  # what the method returns

    def step(self, batch: Batch, progress: float, generator: torch.Generator) -> Terms:
        """Forward, losses, backward, one step of the optimizer; see `StepContext`.

        The first compiled step takes minutes. What was minimized is without its graph.

        Raises:
            RunError: the compiled step isn't the plain one.
            MethodError: the method or its model returns what can't be trained.
        """
        if self.machine.is_gpu:
            batch = batch.channels_last()
        self.optimizer.zero_grad(set_to_none=True)
        graph = self._find_graph(batch)
        if graph is None:
            terms = self._differentiate(batch, progress, generator)
        else:
            terms = graph(batch, progress)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return terms

    def train(self) -> None:
        """Put the model and the state into training mode."""
        self.model.train()
        self.state.train()

    def restart(self, model: nn.Module) -> None:
        """Take over the weights of a model built alike, with a fresh optimizer."""
        self.model.load_state_dict(model.state_dict())
        self.optimizer = self._make_optimizer()

    def state_dict(self) -> dict[str, Any]:
        """Return what it takes to go on, beside the model's own state."""
        return {
            "state": self.state.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state of `state_dict`, of this or of another kind of device."""
        own = self.optimizer.param_groups[0]["fused"]
        groups = [{**one, "fused": own} for one in state["optimizer"]["param_groups"]]
        self.optimizer.load_state_dict({**state["optimizer"], "param_groups": groups})
        self.scaler.load_state_dict(state["scaler"])
        self.state.load_state_dict(state.get("state", {}))

    def _make_optimizer(self) -> torch.optim.Optimizer:
        both = nn.ModuleList([self.model, self.state])
        return make_optimizer(self.config, both, fused=self.machine.is_gpu)

    def _differentiate(
        self, batch: Batch, progress: float, generator: torch.Generator
    ) -> Terms:
        """Set the gradients by autograd."""
        where = self.machine.autocast
        model = self._called if self._is_full(batch) else self.model
        step = StepContext(
            model, batch, self.config, progress, generator, where, self.state
        )
        terms = self._method.terms(step)
        if not self._checked:
            check_terms(terms, self.config.method, len(batch))
            self._checked = True
        scaled: Tensor = self.scaler.scale(terms.total())
        scaled.backward()  # type: ignore[no-untyped-call]
        losses = {name: loss.detach() for name, loss in terms.losses.items()}
        return replace(terms, logits=terms.logits.detach(), losses=losses)

    def _find_graph(self, batch: Batch) -> GradientGraph | None:
        """Return the compiled gradients of a second-order step, if the batch fits."""
        if not (self.compiled and self._method.second_order and self._is_full(batch)):
            return None
        if self._graph is None:
            where = self.machine.autocast
            what = self.config, self.model, self._method.terms
            graph = GradientGraph(*what, where, batch)
            self._check(graph, batch)
            self._graph = graph
        return self._graph

    def _is_full(self, batch: Batch) -> bool:
        """Whether a batch is compiled for; an epoch's last one isn't worth it."""
        return len(batch) == self.config.batch_size

    def _check(self, graph: GradientGraph, batch: Batch) -> None:
        """Hold the compiled gradients against autograd's, on the first batch.

        Raises:
            RunError: they are others.
        """
        before = [buffer.clone() for buffer in self.model.buffers()]
        plain = self._differentiate(batch, 0.5, torch.Generator())
        expected = self._outcome(plain, before)
        self._restore(before)
        found = self._outcome(graph(batch, 0.5), before)
        self._restore(before)
        self.optimizer.zero_grad(set_to_none=True)
        tolerance = FLOAT32 if self.machine.autocast is None else MIXED
        # NaN in both is for the meter to report.
        if not torch.allclose(found, expected, tolerance, 1e-6, equal_nan=True):
            raise RunError(
                "the compiled step gives other results than the plain one (loss, size "
                f"of the gradient and of the change of BatchNorm's statistics "
                f"{found.tolist()}, not {expected.tolist()}); leave compile out for "
                f"{self.config.method}"
            )

    def _outcome(self, terms: Terms, before: Sequence[Tensor]) -> Tensor:
        """Return a loss and the norms of what its step has changed, (3,) float64."""
        slopes = [one.grad for one in self.model.parameters() if one.grad is not None]
        moved = [
            now - then for now, then in zip(self.model.buffers(), before, strict=True)
        ]
        norms = [_norm(values) for values in (slopes, moved)]
        return torch.stack([terms.total().double(), *norms])

    def _restore(self, buffers: Sequence[Tensor]) -> None:
        for buffer, value in zip(self.model.buffers(), buffers, strict=True):
            buffer.copy_(value)


def make_optimizer(
    config: RunConfig, model: nn.Module, *, fused: bool
) -> torch.optim.Optimizer:
    """Return the run's optimizer of a model's parameters.

    `fused`: one kernel for all of them, faster on a GPU; other bits, so not on a CPU.
    """
    weights: list[Tensor] = [*model.parameters()]
    options: dict[str, Any] = {"lr": config.lr, "weight_decay": config.weight_decay}
    options["fused"] = fused or None  # None: torch's own choice
    if config.optimizer == "adam":
        return torch.optim.Adam(weights, **options)
    return torch.optim.SGD(weights, momentum=config.momentum, **options)


def _norm(values: Sequence[Tensor]) -> Tensor:
    return torch.stack([one.double().square().sum() for one in values]).sum().sqrt()


def _place(model: nn.Module, machine: ComputeContext) -> nn.Module:
    if machine.is_gpu:
        return model.to(machine.device, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]
    return model.to(machine.device)
