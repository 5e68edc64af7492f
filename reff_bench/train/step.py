"""One training step of a cell's classifier: `Stepper`."""

from dataclasses import replace

import torch
from torch import Tensor, nn

from reff_bench.data import Batch
from reff_bench.grid import Cell
from reff_bench.methods import Step, Terms, find_method
from reff_bench.train.machine import Machine


class Stepper:
    """Trains a model of a cell's method, step by step.

    Args:
        cell: what to train.
        model: of `find_method(cell.method).build`; moved to the machine's device.
        machine: where to run.

    Attributes:
        model: on the device, in whatever mode it came or was put into.
        optimizer: of the cell, for all of the model's parameters.
        scaler: of the losses; does nothing but in float16.
    """

    def __init__(self, cell: Cell, model: nn.Module, machine: Machine) -> None:
        """Place the model and make its optimizer."""
        self.cell, self.machine = cell, machine
        self.model = _place(model, machine)
        self.optimizer = _optimizer(cell, self.model)
        scales = machine.autocast == torch.float16
        self.scaler = torch.amp.GradScaler(machine.device.type, enabled=scales)
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
                self.model,
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


def _place(model: nn.Module, machine: Machine) -> nn.Module:
    if machine.is_gpu:
        return model.to(machine.device, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]
    return model.to(machine.device)


def _optimizer(cell: Cell, model: nn.Module) -> torch.optim.Optimizer:
    weights: list[Tensor] = [*model.parameters()]
    if cell.optimizer == "adam":
        return torch.optim.Adam(weights, lr=cell.lr, weight_decay=cell.weight_decay)
    return torch.optim.SGD(
        weights, lr=cell.lr, momentum=cell.momentum, weight_decay=cell.weight_decay
    )
