"""The maps on which a model's focus is measured: `explain_batch`."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from reff_bench.data.batch import Batch
from reff_bench.explain import class_score, grad_cam
from reff_bench.models.output import Output

TARGETS = ("label", "predicted")
ATTENTION = "attention"
GRADIENT = "input_x_gradient"


@dataclass(frozen=True, slots=True)
class Explained:
    """A batch as a model sees it.

    Attributes:
        predicted: (N,) int64, the class.
        maps: (N, h, w) float >= 0, neither normalized nor resized, by name:
            `<stage>_<target>` and `input_x_gradient_<target>` for both `TARGETS`, and
            `attention` of a model that has it.
    """

    predicted: Tensor
    maps: dict[str, Tensor]


def explain_batch(model: nn.Module, batch: Batch) -> Explained:
    """Return the maps of a batch, the same for every method.

    Per stage it is Grad-CAM with the ReLU, of the logit (Selvaraju et al. 2017). Input
    times gradient (Shrikumar et al. 2016) is |x dy/dx| of the normalized image, summed
    over the channels: no method was trained on it. Both are of the label's logit and
    of the predicted class's. A model of the user's own may lack any of these maps.

    Args:
        model: gives a `reff_bench.models.Output`; in evaluation mode, in which the
            images of a batch don't depend on each other.
        batch: of any split.
    """
    image = batch.image.detach().requires_grad_()
    with torch.enable_grad():
        output: Output = model(image)
    predicted = output.logits.detach().argmax(1)
    maps = {
        f"{name}_{target}": one
        for target, wanted in zip(TARGETS, (batch.label, predicted), strict=True)
        for name, one in _maps_of(output, image, wanted).items()
    }
    if output.attention is not None:
        maps[ATTENTION] = output.attention.detach().squeeze(1)
    return Explained(predicted, maps)


def _maps_of(output: Output, image: Tensor, target: Tensor) -> dict[str, Tensor]:
    if not output.logits.requires_grad:
        return {}
    stages = {
        name: stage
        for name, stage in output.stages.items()
        if stage.requires_grad and stage.ndim == 4
    }
    maps: dict[str, Tensor] = {}
    if stages:
        cams = grad_cam(output.logits, target, [*stages.values()])
        maps |= zip(stages, cams, strict=True)
    (gradient,) = torch.autograd.grad(
        class_score(output.logits, target).sum(),
        image,
        retain_graph=True,
        allow_unused=True,
    )
    if gradient is not None:
        maps[GRADIENT] = (image.detach() * gradient).abs().sum(1)
    return maps
