"""One training step of a cell's classifier: `Stepper`."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

import torch
from torch import Tensor, nn

from reff_bench.data import Batch
from reff_bench.grid import Cell, method_spec
from reff_bench.methods import Step, Terms, find_method
from reff_bench.train.machine import Machine


class Stepper:
    """Trains a model of a cell's method, step by step.

    No step waits for a GPU: what it gives are tensors that aren't read yet.

    Args:
        cell: what to train.
        model: of `find_method(cell.method).build`; moved to the machine's device.
        machine: where to run.

    Attributes:
        model: on the device, in whatever mode it came or was put into.
        optimizer: of the cell, for all of the model's parameters.
        scaler: of the losses; does nothing but in float16.
        compiled: whether the steps run the model through `torch.compile`; `model`
            itself stays as it is, with its names.
    """

    def __init__(self, cell: Cell, model: nn.Module, machine: Machine) -> None:
        """Place the model and make its optimizer."""
        self.cell, self.machine = cell, machine
        self.model = _place(model, machine)
        self.optimizer = make_optimizer(cell, self.model, fused=machine.is_gpu)
        scales = machine.autocast == torch.float16
        self.scaler = torch.amp.GradScaler(machine.device.type, enabled=scales)
        self.compiled = cell.compile and method_spec(cell.method).compiles
        called = torch.compile(self.model) if self.compiled else self.model
        self._called = cast(nn.Module, called)
        self._terms = find_method(cell.method).terms

    def step(self, batch: Batch, progress: float, generator: torch.Generator) -> Terms:
        """Forward, losses, backward, one step of the optimizer.

        Args:
            batch: on the machine's device.
            progress: share of all steps that are done, in [0, 1).
            generator: of the step's own randomness, on the CPU.

        Returns:
            What was minimised, without its graph.
        """
        terms = self._terms(
            Step(
                self._called,
                batch.channels_last() if self.machine.is_gpu else batch,
                self.cell,
                progress,
                generator,
                self.machine.autocast,
            )
        )
        self.optimizer.zero_grad(set_to_none=True)
        scaled: Tensor = self.scaler.scale(terms.total())
        scaled.backward()  # type: ignore[no-untyped-call]
        self.scaler.step(self.optimizer)
        self.scaler.update()
        losses = {name: loss.detach() for name, loss in terms.losses.items()}
        return replace(terms, logits=terms.logits.detach(), losses=losses)

    def state_dict(self) -> dict[str, Any]:
        """Return what it takes to go on, beside the model's own state."""
        return {
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state of `state_dict`, of this or of another kind of device."""
        own = self.optimizer.param_groups[0]["fused"]
        groups = [{**one, "fused": own} for one in state["optimizer"]["param_groups"]]
        self.optimizer.load_state_dict({**state["optimizer"], "param_groups": groups})
        self.scaler.load_state_dict(state["scaler"])


def make_optimizer(
    cell: Cell, model: nn.Module, *, fused: bool
) -> torch.optim.Optimizer:
    """Return the cell's optimizer.

    Args:
        cell: says which, and its rates.
        model: whose parameters it moves.
        fused: one kernel for all of them, faster on a GPU; other bits, so not on a CPU.
    """
    weights: list[Tensor] = [*model.parameters()]
    options: dict[str, Any] = {"lr": cell.lr, "weight_decay": cell.weight_decay}
    options["fused"] = fused or None  # None: torch's own choice
    if cell.optimizer == "adam":
        return torch.optim.Adam(weights, **options)
    return torch.optim.SGD(weights, momentum=cell.momentum, **options)


def _place(model: nn.Module, machine: Machine) -> nn.Module:
    if machine.is_gpu:
        return model.to(machine.device, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]
    return model.to(machine.device)
