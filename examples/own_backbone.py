"""A network of one's own, named in a grid as `backbone: own_backbone:tiny`.

Grad-CAM needs the maps of its stages, stage1 to stage4, beside the logits. For ABN it
would be a `reff_bench.Backbone`, whose last stage can be run by itself.
"""

from itertools import pairwise

from torch import Tensor, nn

from reff_bench import Output


class Tiny(nn.Module):
    """Four convolutions, each halving the map."""

    def __init__(self, num_classes: int) -> None:
        """Draw the weights."""
        super().__init__()
        widths = (3, 16, 32, 32, 64)
        pairs = pairwise(widths)
        self.stages = nn.ModuleList(nn.Conv2d(a, b, 3, 2, 1) for a, b in pairs)
        self.head = nn.Linear(widths[-1], num_classes)

    def forward(self, x: Tensor) -> Output:
        """Classify (N, 3, H, W) images."""
        maps = {}
        for number, stage in enumerate(self.stages, 1):
            x = maps[f"stage{number}"] = stage(x).relu()
        return Output(self.head(x.mean((2, 3))), maps)


def tiny(num_classes: int) -> Tiny:
    """Return the network."""
    return Tiny(num_classes)
