"""The Attention Branch Network on any of the backbones."""

from copy import deepcopy
from typing import Literal

from torch import Tensor, nn

from reff_bench.models.backbone import build_staged, seeded
from reff_bench.models.output import ModelError, Output
from reff_bench.models.resnet import initialize
from reff_bench.models.timm_network import remove_strides


class AttentionBranch(nn.Module):
    """ABN's attention branch, as in the authors' code [other].

    A copy of stage 4 with stride 1 -> BN -> 1x1 convolution to K -> BN -> ReLU; from
    there a map head (convolution to 1, BN, sigmoid) and a label head (1x1 convolution,
    average pooling).
    """

    def __init__(
        self, layer4: nn.Module, channels: int, num_classes: int, map_kernel: int
    ) -> None:
        """Build the layers.

        Args:
            layer4: Stage 4; copied, not changed.
            channels: The channels that it gives.
            num_classes: K.
            map_kernel: 3 as in the authors' code, or 1 as in their text.
        """
        super().__init__()
        K = num_classes
        self.layer4 = deepcopy(layer4)
        remove_strides(self.layer4)
        self.classes = nn.Sequential(
            nn.BatchNorm2d(channels),
            nn.Conv2d(channels, K, 1, bias=False),
            nn.BatchNorm2d(K),
            nn.ReLU(inplace=True),
        )
        self.map_head = nn.Sequential(
            nn.Conv2d(K, 1, map_kernel, padding=map_kernel // 2, bias=False),
            nn.BatchNorm2d(1),
            nn.Sigmoid(),
        )
        self.label_head = nn.Conv2d(K, K, 1, bias=False)
        for head in (self.classes, self.map_head, self.label_head):
            initialize(head)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """The attention map (N, 1, h, w) in (0, 1) and the label head's logits (N, K).

        Both are float, as the features (N, C, h, w), the output of stage 3.
        """
        classes = self.classes(self.layer4(features))
        return self.map_head(classes), self.label_head(classes).mean((2, 3))


class AttentionBranchNetwork(nn.Module):
    """ABN (Fukui et al. 2019) [paper: on ResNet-50; the rest other: authors' code].

    Stages 1 to 3 give features F; the attention branch makes a map and logits of its
    own of F; the perception branch classifies F * (1 + map) with stage 4. From scratch
    the branch's copy of stage 4 is drawn again; with weights it starts from those of
    stage 4.
    """

    def __init__(
        self,
        name: str,
        num_classes: int,
        *,
        map_kernel: Literal[1, 3] = 3,
        multiplicative_only: bool = False,
        weights: str | None = None,
        seed: int | None = None,
    ) -> None:
        """Build the layers; name, classes, weights and seed as of `build_backbone`.

        The map's kernel is 3 as in the authors' code, or 1 as in their text; with
        `multiplicative_only` the perception branch gets F * map.

        Raises:
            ModelError: As `build_backbone`, if `map_kernel` is neither 1 nor 3, or if
                the backbone's last stage can't be copied.
        """
        if map_kernel not in (1, 3):
            raise ModelError(f"map_kernel is {map_kernel}; allowed: 1, 3")
        super().__init__()
        self.multiplicative_only = multiplicative_only
        with seeded(seed):
            network = build_staged(name, num_classes, weights=weights)
            self.backbone = network
            self.branch = AttentionBranch(
                network.last_stage_modules(),
                network.num_features,
                num_classes,
                map_kernel,
            )
            if weights is None:
                initialize(self.branch.layer4)

    def attend(self, features: Tensor, attention: Tensor) -> Tensor:
        """What the perception branch sees, as features F: F * (1 + map), or F * map.

        Features are (N, C, h, w) float, the attention is (N, 1, h, w) float in (0, 1).
        """
        weighted = features * attention
        return weighted if self.multiplicative_only else features + weighted

    def forward(self, x: Tensor) -> Output:
        """Classify (N, 3, H, W) float images, normalized, by the perception branch.

        "stage3" is F, before attention; "attention" has its size.
        """
        network = self.backbone
        stages = network.early_stages(x)
        features = stages["stage3"]
        attention, attention_logits = self.branch(features)
        last = network.last_stage(self.attend(features, attention))
        stages["stage4"] = last
        return Output(network.classify(last), stages, attention, attention_logits)
