"""How well a model's maps cover what is relevant: `explain_batch`, `measure_focus`."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from reff_bench.catalog.options import STAGES
from reff_bench.data.batch import Batch
from reff_bench.data.split import Split
from reff_bench.explain import class_score, grad_cam
from reff_bench.metrics.focus import METRICS, FocusScores, focus_scores
from reff_bench.models.output import Output
from reff_bench.results.json_file import Fields

TARGETS = ("label", "predicted")
ATTENTION = "attention"
GRADIENT = "input_x_gradient"
FOCUS_SAMPLES = 256
BATCH_SIZE = 32  # graphs of this many images fit into memory at 224 px
UNIFORM = "chance"
CHANCE_METRICS = ("epg", "off_mask_central_share")
HEADLINE = "stage4_label"
EXPLANATIONS = (
    *(f"{name}_{target}" for name in (*STAGES, GRADIENT) for target in TARGETS),
    ATTENTION,
)


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


def rows_with_mask(split: Split, rows: Tensor, count: int) -> Tensor:
    """Return the first of some rows whose true mask is there and isn't empty.

    They are int64, at most `count`.
    """
    found: list[Tensor] = []
    for some in torch.split(rows[split.annotated[rows]], max(1, count)):
        relevant = (split.source.read(some)[1] != 0).flatten(1).any(1)
        found.append(some[relevant])
        if sum(map(len, found)) >= count:
            break
    return torch.cat([rows[:0], *found])[:count]


def measure_focus(
    model: nn.Module,
    split: Split,
    rows: Tensor,
    device: torch.device | str = "cpu",
    batch_size: int = BATCH_SIZE,
) -> Fields:
    """Return the focus metrics of a model in evaluation mode, means over some samples.

    They are named `<metric>_<explanation>`: the metrics are those of `FocusScores`, the
    explanations those of `explain_batch`; `<metric>_chance` is a uniform map's. A bare
    `<metric>` is the one to quote: of ABN's attention map where there is one, else of
    the last stage's Grad-CAM for the label. What a model lacks is None.

    The rows, (n,) int64, are of samples whose mask isn't empty; there may be none. The
    metrics don't depend on the batch size beyond rounding.
    """
    parts: dict[str, list[FocusScores]] = {}
    for some in torch.split(rows, batch_size) if len(rows) else ():
        batch = split.get(some, device)
        maps = explain_batch(model, batch).maps
        maps[UNIFORM] = batch.mask.new_ones(len(batch), 1, 1)
        for name, one in maps.items():
            parts.setdefault(name, []).append(focus_scores(one, batch.mask))
    found = {name: FocusScores.join(several).means() for name, several in parts.items()}
    return {"focus_samples": len(rows), **_flat(found)}


def _flat(found: dict[str, dict[str, float | None]]) -> Fields:
    nothing: dict[str, float | None] = dict.fromkeys(METRICS)
    explanations = dict.fromkeys([*EXPLANATIONS, *found])
    explanations.pop(UNIFORM, None)
    headline = found.get(ATTENTION) or found.get(HEADLINE) or nothing
    chance = found.get(UNIFORM) or nothing
    return {
        **headline,
        **{f"{name}_chance": chance[name] for name in CHANCE_METRICS},
        **{
            f"{metric}_{name}": value
            for name in explanations
            for metric, value in (found.get(name) or nothing).items()
        },
    }
