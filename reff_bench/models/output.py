"""What a model says of images: `Output`."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True)
class Output:
    """What a model says of N images.

    Attributes:
        logits: (N, K) float, the prediction.
        stages: "stage1" ... "stage4" -> (N, C, h, w) float, with their graph.
        attention: (N, 1, h, w) float in (0, 1), ABN's map.
        attention_logits: (N, K) float, the label head of ABN's attention branch.
    """

    logits: Tensor
    stages: dict[str, Tensor]
    attention: Tensor | None = None
    attention_logits: Tensor | None = None
