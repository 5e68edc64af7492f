"""What a network is and what it gives for images: `Backbone`, `Output`; its error."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Output:
    """What a model gives for N images.

    Examples:
        >>> import torch
        >>> from reff_bench import build_backbone
        >>> output = build_backbone("resnet_small", 10)(torch.zeros(2, 3, 64, 64))
        >>> output.logits.shape, output.stages["stage4"].shape
        (torch.Size([2, 10]), torch.Size([2, 64, 16, 16]))

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


class Backbone(nn.Module):
    """A network whose last stage can be run by itself, as ABN needs it.

    Every other method takes any module whose output is an `Output`.

    Examples:
        >>> import torch
        >>> from reff_bench import Backbone, build_backbone
        >>> network = build_backbone("resnet_small", 10)
        >>> isinstance(network, Backbone)
        True
        >>> maps = network.early_stages(torch.zeros(2, 3, 64, 64))
        >>> network.last_stage(maps["stage3"]).shape
        torch.Size([2, 64, 16, 16])

    Attributes:
        classifier_names: of the head in the state dict: a head for another number of
            classes is drawn.
    """

    classifier_names: Sequence[str] = ()

    @property
    @abstractmethod
    def num_features(self) -> int:
        """The channels of the last stage."""

    @abstractmethod
    def early_stages(self, x: Tensor) -> dict[str, Tensor]:
        """The maps of stages 1 to 3, by name.

        Args:
            x: (N, 3, H, W) float, normalized with ImageNet's mean and deviation.
        """

    @abstractmethod
    def last_stage(self, features: Tensor) -> Tensor:
        """Stage 4's map of stage 3's."""

    @abstractmethod
    def last_stage_modules(self) -> nn.Module:
        """What `last_stage` runs, to be copied."""

    @abstractmethod
    def classify(self, features: Tensor) -> Tensor:
        """The logits, (N, K) float, of stage 4's map."""


class ModelError(ValueError):
    """A model that can't be built as asked: says why and what is allowed.

    Examples:
        >>> from reff_bench import ModelError, build_backbone
        >>> try:
        ...     build_backbone("resnet19", 10)
        ... except ModelError as error:
        ...     print(str(error)[:53])
        unknown backbone 'resnet19'; did you mean 'resnet18'?
    """
