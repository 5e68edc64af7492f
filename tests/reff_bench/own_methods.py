"""Methods as users may bring them: networks that lack what ours have."""

from typing import Literal

import torch
from torch import Tensor, nn

from reff_bench.grid.config import RunConfig
from reff_bench.methods.method import Method, StepContext, Terms
from reff_bench.models.output import Output

Kind = Literal["bare", "detached", "odd"]


class OwnNet(nn.Module):
    """A linear network on the mean colors of image quarters."""

    def __init__(self, kind: Kind, num_classes: int) -> None:
        """Build it; the kind says what its output has besides logits."""
        super().__init__()
        self.kind = kind
        self.linear = nn.Linear(12, num_classes)

    def forward(self, image: Tensor) -> Output:
        """Classify images."""
        features = nn.functional.adaptive_avg_pool2d(image, 2)
        logits = self.linear(features.flatten(1))
        if self.kind == "detached":
            return Output(logits.detach(), {"stage4": features.detach()})
        stages = {"block": features, "flat": features.flatten(1)}
        return Output(logits, stages if self.kind == "odd" else {})


def bare() -> Method:
    """A network without stages."""
    return own("bare")


def detached() -> Method:
    """A network whose output has no graph."""
    return own("detached")


def odd() -> Method:
    """A network whose stages have other names and forms."""
    return own("odd")


def own(kind: Kind) -> Method:
    def build(config: RunConfig, num_classes: int, seed: int) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return OwnNet(kind, num_classes)

    def terms(step: StepContext) -> Terms:
        logits = step.forward(step.batch.image).logits
        return Terms(logits, {"spread": logits.logsumexp(1).mean()})

    return Method(build, terms)
